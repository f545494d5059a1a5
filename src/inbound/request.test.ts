import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, makeKey } from '../../test/support/issuer.js'
import { JwsParser } from '../jwt/strict-parse.js'
import { introspection } from './introspection.js'
import { jwtBearer } from './jwt-bearer.js'
import { stsIdentity } from './sts-identity.js'
import { workloadToken } from './workload-token.js'

describe('tokens that are too long', () => {
  it.each(['Bearer', 'DPoP'])('J03 are not parsed (%s)', async (scheme) => {
    const parse = vi.spyOn(JwsParser.prototype, 'parse')
    onTestFinished(() => parse.mockRestore())
    const jwks = { keys: [makeKey().jwk] }
    const allowedAudience = ['a']
    const verifier = new InboundVerifier({
      resource: 'https://agent.example',
      authenticators: [
        jwtBearer({
          issuer: 'https://one.example',
          jwks,
          allowedAudience,
          maxTokenBytes: 2_000,
          dpop: {},
        }),
        workloadToken({
          issuer: 'https://two.example',
          jwks,
          allowedAudience,
          allowedWorkloads: null,
        }),
        introspection({
          issuer: 'https://three.example',
          clientId: 'c',
          clientSecret: 's',
          allowedAudience,
        }),
        stsIdentity({ serverId: 's', allowedAccounts: ['111122223333'] }),
      ],
    })
    for (const length of [16_385, 131_073, 10_000_000]) {
      for (const start of ['eyJ.', 'deputize-aws-v1.', 'opaque']) {
        const authorization = `${scheme} ${start.padEnd(length, 'a')}`
        const request = {
          method: 'GET',
          target: '/',
          headers: [['authorization', authorization]] as const,
        }
        const code = await codeOf(verifier.verify(request))
        expect(code).toMatch(/^ERR_(TOKEN_TOO_LARGE|NO_CREDENTIALS)$/)
      }
    }
    expect(parse).not.toHaveBeenCalled()
  })
})
