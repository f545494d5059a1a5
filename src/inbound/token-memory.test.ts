import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, fakeClock, makeKey, signToken } from '../../test/support/issuer.js'
import { InboundAuthError } from '../errors/inbound.js'
import { PublicKey } from '../jwt/public-key.js'
import type { Authenticator } from './authenticator.js'
import { awsWebIdentity } from './aws-web-identity.js'
import { jwtBearer } from './jwt-bearer.js'
import { TokenMemory } from './token-memory.js'

const key = makeKey('ES256')
const aws = makeKey('RS256')
const issuer = 'https://issuer.example'
const clock = fakeClock()
const exp = clock() / 1000 + 3600
const token = signToken(key, { iss: issuer, sub: 'u1', aud: 'me', exp })
const bearer = (of = issuer) =>
  jwtBearer({ issuer: of, jwks: { keys: [key.jwk] }, allowedAudience: ['me'] })
const verifierOf = (...authenticators: Authenticator[]) =>
  new InboundVerifier({ authenticators, clock })
const request = (credentials: string) =>
  new Request('https://me.example/', { headers: { authorization: `Bearer ${credentials}` } })

let checks: { mock: { calls: unknown[] } }
beforeEach(() => {
  checks = vi.spyOn(PublicKey.prototype, 'verifier')
})
afterEach(() => vi.restoreAllMocks())

/** Refuses everybody, as an application's rule around `inner` may. */
const refusing = (inner: Authenticator): Authenticator['recognise'] => {
  return (seenRequest) => {
    const seen = inner.recognise(seenRequest)
    if (seen.kind !== 'mine') return seen
    return {
      ...seen,
      authenticate: async (context) => {
        await seen.authenticate(context)
        throw new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', { reason: 'the outer rule' })
      },
    }
  }
}

type Copies = Record<string, (inner: Authenticator) => Authenticator>

const wrapped: Copies = {
  'a spread copy': (inner) => ({ ...inner, recognise: refusing(inner) }),
  'a copy of all its properties': (inner) =>
    Object.defineProperties(
      {},
      {
        ...Object.getOwnPropertyDescriptors(inner),
        recognise: { value: refusing(inner) },
      },
    ) as Authenticator,
  'an object that inherits from it': (inner) =>
    Object.create(inner, { recognise: { value: refusing(inner) } }),
  'a proxy': (inner) =>
    // A frozen property cannot be given another value by a proxy: its target is a copy.
    new Proxy({ ...inner } as Authenticator, {
      get: (target, name) =>
        name === 'recognise' ? refusing(inner) : Reflect.get(target, name, inner),
    }),
  'a wrapper': (inner) => ({
    name: inner.name,
    ...(inner.issuers ? { issuers: inner.issuers } : {}),
    recognise: refusing(inner),
  }),
  'an object of its class': (inner) =>
    Object.assign(Object.create(Object.getPrototypeOf(inner)), inner, {
      recognise: refusing(inner),
    }),
}

const copied: Copies = {
  'a spread copy': (inner) => ({ ...inner }),
  'an object that inherits from it': (inner) => Object.create(inner),
  'a proxy': (inner) => new Proxy(inner, {}),
  'an object of its class': (inner) =>
    Object.assign(Object.create(Object.getPrototypeOf(inner)), inner),
}

describe('the memory of a verifier', () => {
  it.each(Object.entries(wrapped))('lets nobody past the rule of %s', async (_, wrap) => {
    const inner = bearer()
    const verifier = verifierOf(wrap(inner))
    await verifierOf(inner).verifyToken(token) // the inner one has accepted it elsewhere
    for (let time = 0; time < 3; time++) {
      expect(await codeOf(verifier.verifyToken(token))).toBe('ERR_CLIENT_NOT_ALLOWED')
      expect(await codeOf(verifier.verify(request(token)))).toBe('ERR_CLIENT_NOT_ALLOWED')
    }
  })

  it.each(Object.entries(copied))('is none for %s', async (_, copy) => {
    const inner = bearer()
    const outer = copy(inner)
    expect(TokenMemory.of(inner)).toBeDefined()
    expect(TokenMemory.of(outer)).toBeUndefined()
    const verifier = verifierOf(outer)
    expect(await verifier.verifyToken(token)).not.toBe(await verifier.verifyToken(token))
    expect(checks.mock.calls).toHaveLength(2)
  })

  it('cannot be had by a subclass with a rule of its own', () => {
    const inner = bearer()
    const Class = inner.constructor as new (parts: object) => Authenticator
    class Lenient extends Class {
      override readonly recognise = refusing(inner)
    }
    expect(() => new Lenient({ ...inner, judge: {} })).toThrow(TypeError)
    expect(() => Object.assign(inner, { recognise: refusing(inner) })).toThrow(TypeError)
    expect(() => Object.setPrototypeOf(inner, { recognise: refusing(inner) })).toThrow(TypeError)
  })

  it('belongs to one verifier, also where two have the same authenticator', async () => {
    const shared = bearer()
    const [one, other] = [verifierOf(shared), verifierOf(shared)]
    expect(await one.verifyToken(token)).not.toBe(await other.verifyToken(token))
    expect(checks.mock.calls).toHaveLength(2)
    expect(await one.verifyToken(token)).toBe(await one.verifyToken(token))
    expect(checks.mock.calls).toHaveLength(2)
  })

  it('is not filled by an authenticator that is called without a verifier', async () => {
    const inner = bearer()
    const verifier = verifierOf(inner)
    const seen = await verifierOf({
      ...inner,
      recognise: (asked) => inner.recognise(asked),
    }).verifyToken(token)
    expect(seen.subject).toBe('u1')
    expect(await verifier.verifyToken(token)).not.toBe(seen)
    expect(checks.mock.calls).toHaveLength(2)
  })

  it('serves beside an authenticator that has none', async () => {
    const verifier = verifierOf(bearer(), { ...bearer('https://other.example') })
    const first = await verifier.verifyToken(token)
    expect(await verifier.verifyToken(token)).toBe(first)
    expect(await verifier.verify(request(token))).toBe(first)
    expect(checks.mock.calls).toHaveLength(1)
  })

  it('gives an AWS caller as it was let in, and lets nobody in whom the IAM rules refuse', async () => {
    const iss = 'https://abc.tokens.sts.global.api.aws'
    const sub = 'arn:aws:iam::111122223333:role/good'
    const namespace = { 'https://sts.amazonaws.com/': { aws_account: '111122223333' } }
    const sign = (changes: object = {}) =>
      signToken(aws, { iss, sub, aud: 'me', exp, ...namespace, ...changes })
    const verifier = verifierOf(
      awsWebIdentity({
        issuer: iss,
        allowedAudience: ['me'],
        allowedRoles: [sub],
        jwks: { keys: [aws.jwk] },
      }),
    )
    const good = sign()
    const bad = sign({ sub: `${sub}-not` })
    const first = await verifier.verifyToken(good)
    for (let time = 0; time < 3; time++) {
      expect(await codeOf(verifier.verifyToken(bad))).toBe('ERR_CLIENT_NOT_ALLOWED')
      expect(await codeOf(verifier.verify(request(bad)))).toBe('ERR_CLIENT_NOT_ALLOWED')
      expect(await verifier.verifyToken(good)).toBe(first)
    }
    expect(first.iam).toEqual({ accountId: '111122223333', arn: sub, principalArn: sub })
    expect(first.user).toBeUndefined()
    expect(checks.mock.calls).toHaveLength(1 + 6 * 3) // each refusal is presented three times
  })
})
