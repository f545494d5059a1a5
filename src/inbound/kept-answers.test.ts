/** What is kept between requests is what an issuer answered; every rule is applied to it each time. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import {
  codeOf,
  fakeClock,
  json,
  makeKey,
  OIDC_PATH,
  signToken,
  startIssuer,
  type TestIssuer,
} from '../../test/support/issuer.js'
import { signCallerIdentity } from '../aws/sign-caller-identity.js'
import { startFakeSts } from '../testing/fake-sts.js'
import type { RawRequest } from './authenticator.js'
import { type IntrospectionOptions, introspection } from './introspection.js'
import { stsIdentity } from './sts-identity.js'
import { workloadToken } from './workload-token.js'

let server: TestIssuer
let claims: Record<string, unknown>
beforeAll(async () => {
  server = await startIssuer()
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  server.hits.length = 0
  const metadata = { issuer: server.origin, introspection_endpoint: `${server.origin}/introspect` }
  server.routes.set(OIDC_PATH, json(metadata))
  server.routes.set('/introspect', (request, response) => json(claims)(request, response))
})

describe('an introspection that is kept', () => {
  const clock = fakeClock()
  beforeEach(() => {
    claims = {
      active: true,
      sub: 'u1',
      client_id: 'web',
      aud: 'agent',
      token_type: 'Bearer',
      exp: clock() / 1000 + 300,
    }
  })
  const make = (changes: Partial<IntrospectionOptions> = {}) =>
    new InboundVerifier({
      authenticators: [
        introspection({
          issuer: server.origin,
          clientId: 'agent',
          clientSecret: 'secret',
          allowedAudience: ['agent'],
          allowInsecureLoopback: true,
          cacheMs: 60_000,
          ...changes,
        }),
      ],
      resource: 'https://agent.example',
      clock,
    })
  const asked = () => server.count('/introspect')

  it('is judged each time', async () => {
    const verifier = make()
    expect(await verifier.verifyToken('a')).not.toBe(await verifier.verifyToken('a'))
    expect(asked()).toBe(1)
  })

  it('is refused each time, whatever rule refuses it', async () => {
    const rules: [Partial<IntrospectionOptions>, string][] = [
      [{ allowedAudience: ['other'] }, 'ERR_AUDIENCE_MISMATCH'],
      [{ allowedClients: ['other'] }, 'ERR_CLIENT_NOT_ALLOWED'],
      [{ allowedScopes: ['write'] }, 'ERR_INSUFFICIENT_SCOPE'],
      [{ customClaims: [{ name: 'org', operator: 'EQUALS', value: 'acme' }] }, 'ERR_CLAIM_RULE'],
      [{ dpop: { required: true } }, 'ERR_PROOF_REQUIRED'],
    ]
    for (const [changes, code] of rules) {
      const before = asked()
      const verifier = make(changes)
      for (let time = 0; time < 2; time++) {
        expect(await codeOf(verifier.verifyToken('a'))).toBe(code)
      }
      expect(asked() - before).toBe(1)
    }
  })

  it('ends when the token does, and when the clock was set back before it was asked for', async () => {
    const verifier = make()
    await verifier.verifyToken('a')
    clock.advance(-1000)
    await verifier.verifyToken('a')
    expect(asked()).toBe(2)
    clock.advance(59_000)
    await verifier.verifyToken('a')
    expect(asked()).toBe(2)
    clock.advance(1000)
    await verifier.verifyToken('a')
    expect(asked()).toBe(3)
    claims = { ...claims, exp: Math.floor(clock() / 1000) + 2 }
    await verifier.verifyToken('b')
    clock.advance(2000)
    claims = { active: false }
    expect(await codeOf(verifier.verifyToken('b'))).toBe('ERR_TOKEN_INACTIVE')
  })

  it('does not come back with the clock once the issuer has said that the token is not active', async () => {
    const verifier = make()
    const active = claims
    await verifier.verifyToken('a')
    clock.advance(60_000)
    claims = { active: false }
    expect(await codeOf(verifier.verifyToken('a'))).toBe('ERR_TOKEN_INACTIVE')
    clock.advance(-30_000)
    expect(await codeOf(verifier.verifyToken('a'))).toBe('ERR_TOKEN_INACTIVE')
    claims = active
    expect((await verifier.verifyToken('a')).subject).toBe('u1')
  })
})

describe('what STS said of a signature', () => {
  it('is judged each time: by the rules, and by whether the caller may act for its user', async () => {
    const sts = await startFakeSts()
    onTestFinished(() => sts.close())
    const clock = fakeClock()
    let mayAct = true
    const verifier = new InboundVerifier({
      authenticators: [
        stsIdentity({
          serverId: 'agent.example',
          allowedAccounts: ['111122223333'],
          mayActForUser: () => mayAct,
          fetch: sts.fetch,
        }),
      ],
      clock,
    })
    const signed = { serverId: 'agent.example', credentials: sts.caller, clock, userId: 'ana' }
    const headers = Object.entries(await signCallerIdentity(signed))
    const request: RawRequest = { method: 'POST', target: '/', headers }
    const first = await verifier.verify(request)
    expect(first.user?.subject).toBe('ana')
    expect(await verifier.verify(request)).not.toBe(first)
    mayAct = false
    expect(await codeOf(verifier.verify(request))).toBe('ERR_USER_NOT_ALLOWED')
    expect(sts.requests).toHaveLength(1)
  })
})

describe('a workload token', () => {
  it('is judged each time', async () => {
    const clock = fakeClock()
    const key = makeKey()
    const issuer = 'https://agents.example'
    const verifier = new InboundVerifier({
      authenticators: [
        workloadToken({
          issuer,
          jwks: { keys: [key.jwk] },
          allowedAudience: ['me'],
          allowedWorkloads: null,
        }),
      ],
      clock,
    })
    const facts = { iss: issuer, sub: 'agent-a', aud: 'me', jti: 'j', exp: clock() / 1000 + 60 }
    const token = signToken(key, facts, { typ: 'workload-access-token+jwt' })
    expect(await verifier.verifyToken(token)).not.toBe(await verifier.verifyToken(token))
    clock.advance(90_000)
    expect(await codeOf(verifier.verifyToken(token))).toBe('ERR_TOKEN_EXPIRED')
  })
})
