import { inspect } from 'node:util'
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose'
import { describe, expect, it } from 'vitest'
import { codeOf, fakeClock, makeKey, signToken } from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { ConfigurationError } from '../errors/outbound.js'
import { jwtBearer } from '../inbound/jwt-bearer.js'
import { InboundVerifier } from '../inbound/verifier.js'
import { generateSigningJwk } from '../jwt/sign.js'
import { makePrincipal, type Principal, type UserRef } from '../principal.js'
import { type Acting, allowedReturnUrls, isActing } from './acting.js'
import { WorkloadIdentity, type WorkloadIdentityOptions } from './identity.js'
import { signingKeys } from './signing-keys.js'

const issuer = 'https://agents.example'
const clock = fakeClock()
const now = clock() / 1000
const user = { issuer: 'https://idp.example', subject: 'u1' }
const jwk = await generateSigningJwk()

const make = (options: Partial<WorkloadIdentityOptions> = {}) =>
  new WorkloadIdentity({
    name: 'calendar-agent',
    issuer,
    clock,
    keys: signingKeys({ keys: [jwk] }),
    ...options,
  })
const agent = make()

const idpKey = makeKey()
const verifier = new InboundVerifier({
  authenticators: [
    jwtBearer({ issuer: user.issuer, jwks: { keys: [idpKey.jwk] }, allowedAudience: ['agent'] }),
  ],
  clock,
})
const userToken = (claims: object = {}) =>
  signToken(idpKey, {
    iss: user.issuer,
    sub: 'u1',
    aud: 'agent',
    client_id: 'web',
    exp: now + 300,
    ...claims,
  })

async function jwksOf(identity: WorkloadIdentity): Promise<JSONWebKeySet> {
  const response = await identity.handler(new Request(`${identity.issuer}/.well-known/jwks.json`))
  return (await response.json()) as JSONWebKeySet
}

describe('WorkloadIdentity, its options', () => {
  it.each(['abc', 'a.b-c_9', 'x'.repeat(255), '...', '__proto__'])('takes the name %s', (name) => {
    expect(make({ name }).name).toBe(name)
  })

  it.each([
    '',
    'ab',
    'x'.repeat(256),
    'a b',
    'a/b',
    'agent\n',
    '\nagent',
    'ägent',
    'a:b',
    'a%b',
    'agent\0',
    5,
    undefined,
    null,
    {},
    ['abc'],
  ])('refuses the name %j and says the rule', (name) => {
    expect(() => make({ name: name as string })).toThrow(TypeError)
    expect(() => make({ name: name as string })).toThrow(/^name must be 3 to 255/)
  })

  it.each([
    '',
    'agents',
    'http://agents.example',
    'https://127.0.0.1',
    'https://169.254.169.254',
    'https://u:canary@a.example',
    'https://a.example/?x',
    'https://a.example/?',
    'https://a.example/#',
    'https://a.example/#f',
    'https://a.example\\b',
    ' https://a.example',
    5,
  ])('O37 refuses the issuer %j, without showing a password', (value) => {
    let error: unknown
    try {
      make({ issuer: value as string })
    } catch (reason) {
      error = reason
    }
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toMatch(/^issuer/)
    expect((error as Error).message).not.toContain('canary')
  })

  it('takes loopback with allowInsecureLoopback', () => {
    expect(make({ issuer: 'http://127.0.0.1:1', allowInsecureLoopback: true }).issuer).toBe(
      'http://127.0.0.1:1',
    )
  })

  it.each([
    'javascript:alert(1)',
    '/connected',
    'http://app.example/',
    'https://app.example/#x',
    'https://u:canary@app.example/',
    'https://app.example\\@evil.example/',
  ])('refuses the return URL %s', (url) => {
    expect(() => make({ allowedReturnUrls: ['https://ok.example/', url] })).toThrow(
      /^allowedReturnUrls (?!.*canary)/,
    )
  })

  it.each([
    'https://*.app.example/connected',
    'https://app.example/*',
    'https://app.example:*/connected',
    'https://u:canary@app.example/a*b?x=canary',
    '*',
  ])('refuses the wildcard in the return URL %s', (url) => {
    expect(() => make({ allowedReturnUrls: [url] })).toThrow(TypeError)
    expect(() => make({ allowedReturnUrls: [url] })).toThrow(
      /^allowedReturnUrls (?!.*canary).* has a wildcard. Return URLs are compared as a whole/,
    )
  })

  it('takes an asterisk in the query of a return URL, where nobody expects a pattern', () => {
    const acting = make({ allowedReturnUrls: ['https://app.example/?x=*'] }).actAsSelf()
    expect(allowedReturnUrls(acting)).toEqual(['https://app.example/?x=*'])
  })

  it('keeps a copy of the return URLs, for the library alone', () => {
    const urls = ['https://app.example/connected?x=1']
    const acting = make({ allowedReturnUrls: urls }).actAsSelf()
    urls.push('https://evil.example/')
    expect(allowedReturnUrls(acting)).toEqual(['https://app.example/connected?x=1'])
    expect(Object.isFrozen(allowedReturnUrls(acting))).toBe(true)
    expect(JSON.stringify(acting)).not.toContain('app.example')
  })
})

describe('actFor', () => {
  it('acts for the user whom a verifier vouches for', async () => {
    const acting = agent.actFor(await verifier.verifyToken(userToken()))
    expect({ ...acting }).toEqual({
      workload: { issuer, name: 'calendar-agent' },
      user,
      userKnown: 'verified',
    })
  })

  it('hands on who stands between', async () => {
    const token = userToken({ act: { sub: 'front', act: { sub: 'first' } } })
    const acting = await agent.actForToken(token, verifier)
    expect(acting.actor).toMatchObject({ subject: 'front', actor: { subject: 'first' } })
    expect(Object.isFrozen(acting.actor)).toBe(true)
  })

  it('J63 acts for nobody when the caller is a client of its own', async () => {
    const acting = await agent.actForToken(userToken({ sub: 'web' }), verifier)
    expect(acting.user).toBeUndefined()
    expect(acting.userKnown).toBeUndefined()
  })

  it('passes on that a verifier refuses the token', async () => {
    expect(await codeOf(agent.actForToken(userToken({ aud: 'other' }), verifier))).toBe(
      'ERR_AUDIENCE_MISMATCH',
    )
    expect(await codeOf(agent.actForToken('x', verifier))).toBe('ERR_MALFORMED_TOKEN')
  })

  const real = makePrincipal({
    method: 'jwt',
    issuer: 'i',
    subject: 's',
    scopes: [],
    audience: [],
    claims: {},
    user,
  })
  it.each<[string, unknown]>([
    ['a literal', { ...real }],
    ['parsed JSON', JSON.parse(JSON.stringify(real))],
    ['a clone', structuredClone(real)],
    ['a Proxy', new Proxy(real, {})],
    ['an object that inherits from one', Object.create(real)],
    [
      'an object of its prototype',
      Object.assign(Object.create(Object.getPrototypeOf(real)), { user }),
    ],
    ['a user', user],
    ['a subject', 'u1'],
    ['an Acting', agent.actAsSelf()],
    ['undefined', undefined],
  ])('J63 refuses %s', (_, principal) => {
    expect(() => agent.actFor(principal as Principal)).toThrow(TypeError)
    expect(() => agent.actFor(principal as Principal)).toThrow(/unverifiedUser\(\)/)
  })

  it('J63 refuses what a verifier of the caller’s own makes up', async () => {
    const forged = { verifyToken: async () => ({ ...real }) }
    await expect(agent.actForToken('x', forged)).rejects.toThrow(TypeError)
  })
})

describe('unverifiedUser', () => {
  it('says in the Acting that the user is asserted, and takes nothing but the pair', () => {
    const acting = agent.unverifiedUser({ ...user, admin: true } as UserRef)
    expect({ ...acting }).toEqual({
      workload: { issuer, name: 'calendar-agent' },
      user,
      userKnown: 'asserted',
    })
  })

  it.each<[string, unknown, string]>([
    ['no user', undefined, 'issuer'],
    ['a string', 'u1', 'issuer'],
    ['no issuer', { subject: 'u1' }, 'issuer'],
    ['no subject', { issuer: 'i' }, 'subject'],
    ['an empty subject', { issuer: 'i', subject: '' }, 'subject'],
    ['a blank subject', { issuer: 'i', subject: ' \t' }, 'subject'],
    ['a number', { issuer: 'i', subject: 5 }, 'subject'],
    ['an array', { issuer: ['i'], subject: 's' }, 'issuer'],
    ['a long subject', { issuer: 'i', subject: 'x'.repeat(2049) }, 'subject'],
    ['a lone surrogate', { issuer: 'i', subject: '\ud800' }, 'subject'],
  ])('J60 refuses %s', (_, value, field) => {
    expect(() => agent.unverifiedUser(value as UserRef)).toThrow(TypeError)
    expect(() => agent.unverifiedUser(value as UserRef)).toThrow(new RegExp(`; ${field} must`))
  })

  it('reads each field once: a getter cannot answer otherwise later', () => {
    let reads = 0
    const shifty = {
      issuer: 'i',
      get subject() {
        return reads++ === 0 ? 'u1' : 'admin'
      },
    }
    expect(agent.unverifiedUser(shifty).user).toEqual({ issuer: 'i', subject: 'u1' })
  })
})

describe('an Acting', () => {
  const acting = agent.unverifiedUser(user)

  it('is frozen, all of it', () => {
    for (const part of [acting, acting.workload, acting.user])
      expect(Object.isFrozen(part)).toBe(true)
    expect(() => Object.assign(acting, { user: { issuer: 'i', subject: 'admin' } })).toThrow(
      TypeError,
    )
  })

  const prototype: object = Object.getPrototypeOf(acting)
  const brand = Symbol.for('deputize.acting')
  it.each<[string, unknown]>([
    ['a literal', { workload: { name: 'calendar-agent' }, user }],
    ['a literal with the symbol', { ...acting, [brand]: true }],
    ['a spread copy', { ...acting }],
    ['parsed JSON', JSON.parse(JSON.stringify(acting))],
    ['a Proxy', new Proxy(acting, {})],
    ['an object that inherits from one', Object.create(acting)],
    ['an object of its prototype', Object.assign(Object.create(prototype), acting)],
    ['its prototype', prototype],
    ['the workload', agent],
    ['null', null],
  ])('J63 is not %s', (_, value) => {
    expect(isActing(value)).toBe(false)
    expect(isActing(acting)).toBe(true)
  })
})

describe('audit events of a workload', () => {
  it('say who, for whom, and how the user is known; never a token', async () => {
    const events: AuditEvent[] = []
    const audited = make({ audit: (event) => events.push(event) })
    const verified = await audited.actForToken(userToken(), verifier)
    audited.unverifiedUser({ issuer: 'i', subject: 's' })
    audited.actAsSelf()
    const token = await verified.workloadAccessToken({ audience: 'https://api.example' })
    const who = { atMs: clock(), workload: 'calendar-agent', workloadIssuer: issuer }
    expect(events).toEqual([
      { type: 'acting_started', ...who, user, userKnown: 'verified' },
      {
        type: 'acting_started',
        ...who,
        user: { issuer: 'i', subject: 's' },
        userKnown: 'asserted',
      },
      { type: 'acting_started', ...who },
      {
        type: 'workload_token_issued',
        ...who,
        user,
        userKnown: 'verified',
        audience: 'https://api.example',
      },
    ])
    expect(inspect(events, { depth: null })).not.toContain(token.value.slice(0, 20))
  })

  it('cannot break the decision', async () => {
    const audits = [
      () => {
        throw new Error('sink')
      },
      () => Promise.reject(new Error('sink')),
    ]
    for (const audit of audits)
      expect(isActing(make({ audit: audit as () => void }).actAsSelf())).toBe(true)
  })
})

describe('workloadAccessToken', () => {
  it('says this agent, for this user, for this audience, for 15 minutes', async () => {
    const token = await agent
      .unverifiedUser(user)
      .workloadAccessToken({ audience: 'https://api.example' })
    const jti = expect.stringMatching(/^[A-Za-z0-9_-]{43}$/)
    expect(decodeJwt(token.value)).toEqual({
      iss: issuer,
      sub: 'calendar-agent',
      aud: 'https://api.example',
      iat: now,
      exp: now + 900,
      jti,
      user: { iss: user.issuer, sub: user.subject },
      user_known: 'asserted',
    })
    const kid = (await jwksOf(agent)).keys[0]?.kid
    expect(decodeProtectedHeader(token.value)).toEqual({
      alg: 'ES256',
      kid,
      typ: 'workload-access-token+jwt',
    })
    expect(token).toMatchObject({
      tokenType: 'Bearer',
      expiresAtMs: clock() + 900_000,
      scopes: [],
      provider: 'calendar-agent',
    })
    expect(`${token}${JSON.stringify(token)}${inspect(token)}`).not.toContain(token.value)
  })

  it('names no user when the agent acts for none, and is another token each time', async () => {
    const acting = agent.actAsSelf()
    const [one, two] = await Promise.all(
      [1, 2].map(() => acting.workloadAccessToken({ audience: 'a' })),
    )
    expect(decodeJwt(one!.value)).not.toHaveProperty('user')
    expect(decodeJwt(one!.value)).not.toHaveProperty('user_known')
    expect(decodeJwt(one!.value).jti).not.toBe(decodeJwt(two!.value).jti)
  })

  it.each([undefined, '', 5, null, ['a'], {}])(
    'J64 needs an audience; %j is none',
    async (audience) => {
      await expect(
        agent.actAsSelf().workloadAccessToken({ audience: audience as string }),
      ).rejects.toThrow(/audience/)
    },
  )

  it('is not minted without an issuer, where nobody could verify it', async () => {
    const { issuer: _, ...options } = { issuer, name: 'calendar-agent', clock }
    const nameless = new WorkloadIdentity(options)
    const error = await nameless
      .actAsSelf()
      .workloadAccessToken({ audience: 'a' })
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(ConfigurationError)
    expect((error as Error).message).toContain('option issuer')
    expect(await codeOf(nameless.verifyWorkloadAccessToken('x', { audience: 'a' }))).toBe(
      'ERR_CONFIGURATION',
    )
    expect(
      (await nameless.handler(new Request('https://a.example/.well-known/jwks.json'))).status,
    ).toBe(404)
  })

  it('is verified by jose with the published keys alone', async () => {
    const token = await agent
      .unverifiedUser(user)
      .workloadAccessToken({ audience: 'https://api.example' })
    const { payload } = await jwtVerify(token.value, createLocalJWKSet(await jwksOf(agent)), {
      issuer,
      audience: 'https://api.example',
      typ: 'workload-access-token+jwt',
      algorithms: ['ES256'],
      currentDate: new Date(clock()),
    })
    expect(payload.sub).toBe('calendar-agent')
  })

  it('J44 J64 is refused as a user’s token by a verifier that trusts the same keys', async () => {
    const trusting = new InboundVerifier({
      authenticators: [
        jwtBearer({
          issuer,
          jwks: (await jwksOf(agent)) as never,
          allowedAudience: ['https://api.example'],
        }),
      ],
      clock,
    })
    const token = await agent
      .unverifiedUser(user)
      .workloadAccessToken({ audience: 'https://api.example' })
    expect(await codeOf(trusting.verifyToken(token.value))).toBe('ERR_TOKEN_TYPE')
  })
})

describe('verifyWorkloadAccessToken', () => {
  const audience = 'https://api.example'
  const mint = async (acting: Acting = agent.unverifiedUser(user)) =>
    (await acting.workloadAccessToken({ audience })).value
  const verify = (token: string, by: WorkloadIdentity = agent, for_ = audience) =>
    by.verifyWorkloadAccessToken(token, { audience: for_ })

  it('gives back who and for whom', async () => {
    const access = await verify(await mint())
    expect(access).toMatchObject({
      issuer,
      workload: 'calendar-agent',
      user,
      userKnown: 'asserted',
      audience: [audience],
      expiresAtMs: (now + 900) * 1000,
    })
    expect(Object.isFrozen(access) && Object.isFrozen(access.user)).toBe(true)
    expect(await verify(await mint(agent.actAsSelf()))).not.toHaveProperty('user')
  })

  it('ends after 15 minutes and half a minute of tolerance', async () => {
    const token = await mint()
    const later = (ms: number) => make({ clock: () => clock() + ms })
    await verify(token, later(929_999))
    expect(await codeOf(verify(token, later(930_000)))).toBe('ERR_TOKEN_EXPIRED')
    expect(await codeOf(verify(token, later(-60_000)))).toBe('ERR_TOKEN_NOT_YET_VALID')
  })

  it('J63 is for this workload at this issuer alone, though another has the same key', async () => {
    const token = await mint()
    expect(await codeOf(verify(token, make({ name: 'other-agent' })))).toBe('ERR_BAD_CLAIMS')
    expect(await codeOf(verify(token, make({ issuer: `${issuer}/` })))).toBe('ERR_UNKNOWN_ISSUER')
    expect(await codeOf(verify(token, agent, 'https://other.example'))).toBe(
      'ERR_AUDIENCE_MISMATCH',
    )
    const none = agent.verifyWorkloadAccessToken(token, { audience: undefined as never })
    expect(await codeOf(none)).toBe('ERR_AUDIENCE_MISMATCH')
    expect(await codeOf(verify(token, agent, ''))).toBe('ERR_AUDIENCE_MISMATCH')
    expect(await codeOf(verify(token, make({ keys: signingKeys() })))).toBe('ERR_UNKNOWN_KEY')
  })

  it('J44 refuses a user’s access token, signed with the very same key', async () => {
    const { createPrivateKey } = await import('node:crypto')
    const kid = (await jwksOf(agent)).keys[0]!.kid!
    const own = {
      alg: 'ES256',
      kid,
      privateKey: createPrivateKey({ key: jwk as never, format: 'jwk' }),
    }
    const claims = {
      iss: issuer,
      sub: 'calendar-agent',
      aud: audience,
      iat: now,
      exp: now + 300,
      jti: 'j',
    }
    const signed = (typ: string | undefined, more: object = {}) =>
      signToken(own as never, { ...claims, ...more }, typ === undefined ? {} : { typ })
    const good = 'workload-access-token+jwt'
    await verify(signed(good))
    for (const typ of [
      'at+jwt',
      'JWT',
      'dpop+jwt',
      'logout+jwt',
      'wit+jwt',
      `x${good}`,
      '',
      undefined,
    ]) {
      expect([typ, await codeOf(verify(signed(typ)))]).toEqual([typ, 'ERR_TOKEN_TYPE'])
    }
    for (const more of [
      { jti: undefined },
      { user: 'u1', user_known: 'verified' },
      { user: { iss: 'i' }, user_known: 'verified' },
      { user: { iss: 'i', sub: 's' } },
      { user: { iss: 'i', sub: 's' }, user_known: 'sure' },
      { user: { iss: '', sub: 's' }, user_known: 'verified' },
      { exp: undefined },
      { sub: undefined },
    ]) {
      expect([more, await codeOf(verify(signed(good, more)))]).toEqual([more, 'ERR_BAD_CLAIMS'])
    }
  })

  it('J01 J27 refuses tokens that are cut, joined, unsigned or signed by another', async () => {
    const token = await mint()
    const [head, body] = token.split('.')
    const none = Buffer.from(
      JSON.stringify({
        alg: 'none',
        kid: decodeProtectedHeader(token).kid,
        typ: 'workload-access-token+jwt',
      }),
    ).toString('base64url')
    const other = makeKey('ES256', decodeProtectedHeader(token).kid as string)
    for (const wrong of [
      '',
      'x',
      token.slice(0, -1),
      `${token}A`,
      `${head}.${body}.`,
      `${none}.${body}.`,
      `${head}.${body}`,
      ` ${token}`,
    ]) {
      expect(await codeOf(verify(wrong))).toMatch(
        /^ERR_(MALFORMED_TOKEN|BAD_SIGNATURE|ALG_NOT_ALLOWED)$/,
      )
    }
    const forged = signToken(other, decodeJwt(token), { typ: 'workload-access-token+jwt' })
    expect(await codeOf(verify(forged))).toBe('ERR_BAD_SIGNATURE')
  })
})

describe('a WorkloadIdentity printed', () => {
  it('W05 shows its name and issuer', async () => {
    await agent.actAsSelf().workloadAccessToken({ audience: 'a' })
    expect(JSON.parse(JSON.stringify(agent))).toEqual({ name: 'calendar-agent', issuer })
    const shown = inspect([agent, agent.actAsSelf()], {
      depth: null,
      showHidden: true,
      getters: true,
    })
    expect(shown).not.toContain(jwk.d)
  })
})
