import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { makeKey } from '../../test/support/issuer.js'
import { InboundAuthError, type InboundAuthErrorCode } from '../errors/inbound.js'
import { challenge } from './challenge.js'
import { jwtBearer } from './jwt-bearer.js'

const error = (code: InboundAuthErrorCode, requiredScopes?: string[]) =>
  new InboundAuthError(code, { reason: 'c4nary', ...(requiredScopes ? { requiredScopes } : {}) })

describe('challenge', () => {
  it.each<[InboundAuthErrorCode, number, string | null, string]>([
    ['ERR_NO_CREDENTIALS', 401, 'Bearer realm="api"', 'no_credentials'],
    [
      'ERR_BAD_SIGNATURE',
      401,
      'Bearer realm="api", error="invalid_token", error_description="The access token is not acceptable"',
      'invalid_token',
    ],
    ['ERR_KEYS_UNAVAILABLE', 503, null, 'temporarily_unavailable'],
  ])('%s is %i', async (code, status, header, body) => {
    const response = challenge(error(code))
    expect(response.status).toBe(status)
    expect(response.headers.get('www-authenticate')).toBe(header)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('retry-after')).toBe(status === 503 ? '5' : null)
    expect(await response.json()).toEqual({ error: body })
  })

  it('names the scopes with 403', async () => {
    const response = challenge(error('ERR_INSUFFICIENT_SCOPE', ['read', 'admin']))
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toBe(
      'Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="read admin"',
    )
    expect(await response.json()).toEqual({ error: 'insufficient_scope' })
  })

  it('points at the metadata of the resource', () => {
    const resourceMetadata = 'https://a.example/.well-known/oauth-protected-resource'
    expect(
      challenge(error('ERR_NO_CREDENTIALS'), { resourceMetadata }).headers.get('www-authenticate'),
    ).toBe(`Bearer realm="api", resource_metadata="${resourceMetadata}"`)
  })

  it('J72 answers every bad credential alike', async () => {
    const codes: InboundAuthErrorCode[] = [
      'ERR_AMBIGUOUS_CREDENTIALS',
      'ERR_MALFORMED_TOKEN',
      'ERR_TOKEN_TOO_LARGE',
      'ERR_TOKEN_TYPE',
      'ERR_ALG_NOT_ALLOWED',
      'ERR_UNKNOWN_ISSUER',
      'ERR_UNKNOWN_KEY',
      'ERR_BAD_SIGNATURE',
      'ERR_BAD_CLAIMS',
      'ERR_TOKEN_EXPIRED',
      'ERR_TOKEN_NOT_YET_VALID',
      'ERR_AUDIENCE_MISMATCH',
      'ERR_PROOF_REQUIRED',
    ]
    const seen = new Set<string>()
    for (const code of codes) {
      const response = challenge(error(code))
      seen.add(JSON.stringify([response.status, [...response.headers], await response.text()]))
    }
    expect(seen.size).toBe(1)
    expect([...seen][0]).not.toContain('c4nary')
  })

  it.each(['ERR_CLIENT_NOT_ALLOWED', 'ERR_CLAIM_RULE', 'ERR_USER_NOT_ALLOWED'] as const)(
    'tells a caller that is known and not permitted (%s) so, and asks for nothing',
    async (code) => {
      const response = challenge(error(code), {
        scopes: ['admin'],
        resourceMetadata: 'https://a.example/meta',
      })
      expect(response.status).toBe(403)
      expect(response.headers.get('www-authenticate')).toBeNull()
      expect(await response.json()).toEqual({ error: 'forbidden' })
    },
  )

  it('J74 no text can end the quotes or the header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const header = challenge(
          error('ERR_INSUFFICIENT_SCOPE', [text, '"\r\nSet-Cookie: a=b\\']),
        ).headers.get('www-authenticate')
        expect(header).toMatch(/^Bearer( [a-z_]+="[^"\\\r\n]*"(,|$))+$/)
      }),
    )
  })
})

describe('the first challenge of a verifier', () => {
  it('asks for the least where an option names it, and a refusal for what it needs', async () => {
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          issuer: 'https://idp.example',
          allowedAudience: ['me'],
          allowedScopes: ['admin', 'invoke'],
          jwks: { keys: [makeKey('ES256', 'k').jwk] },
        }),
      ],
      challengeScopes: ['invoke'],
      advertisedScopeMapping: { invoke: 'api://me/invoke' },
    })
    const asked = (refused: InboundAuthError) =>
      /scope="([^"]*)"/.exec(verifier.challenge(refused).headers.get('www-authenticate') ?? '')?.[1]
    expect(asked(error('ERR_NO_CREDENTIALS'))).toBe('api://me/invoke')
    expect(asked(error('ERR_TOKEN_EXPIRED'))).toBe('admin api://me/invoke')
    expect(asked(error('ERR_INSUFFICIENT_SCOPE', ['admin']))).toBe('admin')
    expect(() => new InboundVerifier({ authenticators: [], challengeScopes: ['a b'] })).toThrow(
      TypeError,
    )
  })
})
