import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
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
import type { AuditEvent } from '../audit.js'
import { KeySet } from '../jwt/key-set.js'
import { PublicKey } from '../jwt/public-key.js'
import { VerifiedCache } from '../jwt/verified-cache.js'
import type { Authenticator } from './authenticator.js'
import { jwtBearer } from './jwt-bearer.js'
import type { JwtBearerOptions } from './jwt-bearer-options.js'

const key = makeKey('ES256', 'k1')
const issuer = 'https://issuer.example'
const clock = fakeClock()
const nowSeconds = () => Math.floor(clock() / 1000)
const token = (claims = {}, by = key) =>
  signToken(by, { iss: issuer, sub: 'u1', aud: 'me', exp: nowSeconds() + 3600, ...claims })
const bearer = (options: Partial<JwtBearerOptions> = {}) =>
  jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['me'], ...options })
const verifierOf = (...authenticators: Authenticator[]) =>
  new InboundVerifier({ authenticators, clock })

let checks: { mock: { calls: unknown[] } }
beforeEach(() => {
  checks = vi.spyOn(PublicKey.prototype, 'verifier')
})
afterEach(() => vi.restoreAllMocks())
/** How many signatures were checked since the test began. */
const checked = () => checks.mock.calls.length

describe('a token that comes again', () => {
  it('gives the same frozen principal without another look at its signature', async () => {
    const verifier = verifierOf(bearer())
    const one = token()
    const first = await verifier.verifyToken(one)
    expect(await verifier.verifyToken(one)).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
    const headers = { authorization: `Bearer ${one}` }
    expect(await verifier.verify(new Request('https://me.example/', { headers }))).toBe(first)
    const raw = {
      method: 'GET',
      target: '/',
      headers: [['Authorization', `bearer  ${one}`]] as const,
    }
    expect(await verifier.verify(raw)).toBe(first)
    expect(checked()).toBe(1)
  })

  it('is verified each time with cache: false', async () => {
    const verifier = verifierOf(bearer({ cache: false }))
    const one = token()
    expect(await verifier.verifyToken(one)).not.toBe(await verifier.verifyToken(one))
    expect(checked()).toBe(2)
  })

  it('is refused once it has expired', async () => {
    const verifier = verifierOf(bearer({ clockToleranceMs: 1000 }))
    const one = token({ exp: nowSeconds() + 10 })
    await verifier.verifyToken(one)
    clock.advance(10_999)
    await verifier.verifyToken(one)
    expect(checked()).toBe(1)
    clock.advance(1)
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_TOKEN_EXPIRED')
  })

  it('is refused again when the clock is set back before its nbf', async () => {
    const verifier = verifierOf(bearer({ clockToleranceMs: 0 }))
    const one = token({ nbf: nowSeconds() })
    await verifier.verifyToken(one)
    clock.advance(-5000)
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_TOKEN_NOT_YET_VALID')
    clock.advance(5000)
  })

  it('is refused once it is older than maxTokenAgeMs', async () => {
    const verifier = verifierOf(bearer({ clockToleranceMs: 0, maxTokenAgeMs: 5000 }))
    const one = token({ iat: nowSeconds() })
    await verifier.verifyToken(one)
    clock.advance(6001)
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_TOKEN_EXPIRED')
  })

  it('is verified again after maxAgeMs', async () => {
    const verifier = verifierOf(bearer({ cache: { maxAgeMs: 1000 } }))
    const one = token()
    await verifier.verifyToken(one)
    clock.advance(999)
    await verifier.verifyToken(one)
    expect(checked()).toBe(1)
    clock.advance(1)
    await verifier.verifyToken(one)
    expect(checked()).toBe(2)
  })

  it('J56 means something in its own verifier only', async () => {
    const one = token({ aud: 'me' })
    await verifierOf(bearer()).verifyToken(one)
    const other = verifierOf(bearer({ allowedAudience: ['somebody-else'] }))
    expect(await codeOf(other.verifyToken(one))).toBe('ERR_AUDIENCE_MISMATCH')
  })

  it('is never remembered when it was refused', async () => {
    const verifier = verifierOf(bearer())
    for (const bad of [
      token({ aud: 'x' }),
      token({ cnf: { jkt: 'x' } }),
      token({}, makeKey('ES256', 'k1')),
    ]) {
      const code = await codeOf(verifier.verifyToken(bad))
      expect(code).toMatch(/^ERR_/)
      const before = checked()
      expect(await codeOf(verifier.verifyToken(bad))).toBe(code)
      expect(checked()).toBe(before + 3) // presented three times
    }
  })

  it('J18 is another token with another signature', async () => {
    const verifier = verifierOf(bearer())
    const one = token()
    await verifier.verifyToken(one)
    for (const at of [0, 5, one.indexOf('.') + 3, one.length - 40, one.length - 1]) {
      const changed = one.slice(0, at) + (one[at] === 'A' ? 'Q' : 'A') + one.slice(at + 1)
      expect(await codeOf(verifier.verifyToken(changed))).toMatch(/^ERR_/)
    }
    for (const changed of [` ${one}`, `${one} `, `${one}=`, `${one}.`, one.slice(1)]) {
      expect(await codeOf(verifier.verifyToken(changed))).toMatch(/^ERR_/)
    }
  })

  it('still makes a request with two credentials ambiguous', async () => {
    const verifier = verifierOf(bearer())
    const one = token()
    await verifier.verifyToken(one)
    const pair = ['authorization', `Bearer ${one}`] as const
    for (const headers of [
      [pair, pair],
      [pair, ['Authorization', 'Basic eDp5'] as const],
    ]) {
      const raw = { method: 'GET', target: '/', headers }
      expect(await codeOf(verifier.verify(raw))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
    }
    const presigned: Authenticator = {
      name: 'sigv4',
      recognise: (request) =>
        request.target.includes('X-Amz-Signature')
          ? { kind: 'mine', authenticate: () => Promise.reject(new Error('asked')) }
          : { kind: 'absent' },
    }
    const both = verifierOf(bearer(), presigned)
    await both.verifyToken(one)
    const raw = { method: 'GET', target: '/?X-Amz-Signature=0', headers: [pair] }
    expect(await codeOf(both.verify(raw))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
    for (const [value, code] of [
      ['Bearer a, Bearer b', 'ERR_AMBIGUOUS_CREDENTIALS'],
      ['Bearer a b', 'ERR_MALFORMED_TOKEN'],
    ] as const) {
      const odd = { ...raw, headers: [['authorization', value] as const] }
      expect(await codeOf(verifierOf(presigned).verify(odd))).toBe(code)
    }
    const before = checked()
    await both.verify({ ...raw, target: '/' })
    expect(checked()).toBe(before)
  })

  it('is kept in memory of its own, not with the header that it was cut from', async () => {
    const own = vi.spyOn(VerifiedCache.prototype, 'own')
    const set = vi.spyOn(VerifiedCache.prototype, 'set')
    await verifierOf(bearer()).verifyToken(token())
    expect(own).toHaveBeenCalledTimes(1)
    expect(set.mock.calls[0]![0]).toBe(own.mock.results[0]!.value)
  })

  it('reaches the audit each time', async () => {
    const events: AuditEvent[] = []
    const verifier = new InboundVerifier({
      authenticators: [bearer()],
      clock,
      audit: (e) => events.push(e),
    })
    const one = token()
    for (let n = 0; n < 3; n++) await verifier.verifyToken(one)
    expect(events.map(({ type }) => type)).toEqual(Array(3).fill('caller_verified'))
    expect(events[2]).toEqual(events[0])
  })

  it('J56 fc: is never another', async () => {
    const verifier = verifierOf(bearer({ cache: { maxTokens: 8 } }))
    const tokens = Array.from({ length: 20 }, (_, n) => token({ sub: `u${n}` }))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(19), { maxLength: 40 }), async (order) => {
        const subjects = await Promise.all(
          order.map(async (n) => (await verifier.verifyToken(tokens[n]!)).subject),
        )
        expect(subjects).toEqual(order.map((n) => `u${n}`))
      }),
      { numRuns: 50 },
    )
  })

  it.each([
    [{ maxTokens: 1 }, 'cache.maxTokens'],
    [{ maxAgeMs: 300_001 }, 'cache.maxAgeMs'],
    [{ maxBytes: -1 }, 'cache.maxBytes'],
    [{ ttl: 5 }, 'ttl'],
    [true, 'cache'],
    [null, 'cache'],
  ])('has no cache like %j', (cache, option) => {
    expect(() => bearer({ cache: cache as never })).toThrow(option)
  })
})

describe('a token whose key was withdrawn', () => {
  let server: TestIssuer
  const next = makeKey('ES256', 'k2')
  beforeEach(async () => {
    server = await startIssuer([key])
    return () => server[Symbol.asyncDispose]()
  })

  it('counts no more once the keys were fetched again; with the same keys it does', async () => {
    const verifier = verifierOf(
      jwtBearer({
        issuer,
        jwksUri: `${server.origin}/jwks`,
        allowedAudience: ['me'],
        allowInsecureLoopback: true,
        cache: { maxAgeMs: 300_000 },
      }),
    )
    const one = token()
    const first = await verifier.verifyToken(one)
    expect(await verifier.verifyToken(one)).toBe(first)

    clock.advance(31_000) // past the cool-down for unknown keys
    expect(await codeOf(verifier.verifyToken(token({}, next)))).toBe('ERR_UNKNOWN_KEY')
    expect(server.count('/jwks')).toBe(2)
    expect(await verifier.verifyToken(one)).toBe(first)

    clock.advance(31_000)
    server.routes.set('/jwks', json({ keys: [next.jwk] }))
    await verifier.verifyToken(token({}, next))
    expect(server.count('/jwks')).toBe(3)
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_UNKNOWN_KEY')
  })

  it('is not remembered when its key left while it was verified', async () => {
    const { find } = KeySet.prototype
    const verifier = verifierOf(
      jwtBearer({
        issuer,
        jwksUri: `${server.origin}/jwks`,
        allowedAudience: ['me'],
        allowInsecureLoopback: true,
      }),
    )
    vi.spyOn(KeySet.prototype, 'find').mockImplementationOnce(async function (this: KeySet, ...by) {
      const found = await find.apply(this, by)
      clock.advance(31_000)
      server.routes.set('/jwks', json({ keys: [next.jwk] }))
      await find.call(this, { alg: 'ES256', kid: 'k2' }, clock) // another caller brings the new keys in
      return found
    })
    const one = token()
    expect((await verifier.verifyToken(one)).subject).toBe('u1') // its key was there when it was looked up
    expect(server.count('/jwks')).toBe(2)
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_UNKNOWN_KEY')
  })

  it('counts no more once the metadata names another issuer, with the same keys', async () => {
    const metadata = (of: string) =>
      json({ issuer: of, jwks_uri: `${server.origin}/jwks` }, { 'cache-control': 'max-age=60' })
    server.routes.set(OIDC_PATH, metadata(server.origin))
    server.routes.set('/jwks', json({ keys: [key.jwk] }, { 'cache-control': 'max-age=60' }))
    const verifier = verifierOf(
      jwtBearer({
        discoveryUrl: `${server.origin}${OIDC_PATH}`,
        allowedAudience: ['me'],
        allowInsecureLoopback: true,
        cache: { maxAgeMs: 300_000 },
      }),
    )
    const one = token({ iss: server.origin })
    const first = await verifier.verifyToken(one)
    server.routes.set(OIDC_PATH, metadata(`${server.origin}/`))
    clock.advance(61_000)
    expect(await verifier.verifyToken(one)).toBe(first)
    // Another caller has the metadata read again.
    expect((await verifier.verifyToken(token({ iss: `${server.origin}/` }))).subject).toBe('u1')
    expect(await codeOf(verifier.verifyToken(one))).toBe('ERR_UNKNOWN_ISSUER')
  })
})
