import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import {
  codeOf,
  fakeClock,
  json,
  makeKey,
  OIDC_PATH,
  signToken,
  startIssuer,
} from '../../test/support/issuer.js'
import { isPrincipal, type Principal, presentedToken } from '../principal.js'
import type { JsonObject } from '../strict-json.js'
import { jwtBearer } from './jwt-bearer.js'
import type { JwtBearerOptions } from './jwt-bearer-options.js'

const key = makeKey()
const clock = fakeClock()
const issuer = 'https://idp.example'
const now = clock() / 1000
const claims = { iss: issuer, sub: 'u1', aud: 'agent', client_id: 'web', iat: now, exp: now + 300 }
const sign = (changes: object = {}, header: object = {}) =>
  signToken(key, { ...claims, ...changes }, header)

const verifierOf = (changes: Partial<JwtBearerOptions> = {}) =>
  new InboundVerifier(
    {
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'], ...changes }),
      ],
      clock,
    },
    () => sign({}),
  )
const verifier = verifierOf()
const refusal = (changes: object, options?: Partial<JwtBearerOptions>, header?: object) =>
  codeOf((options ? verifierOf(options) : verifier).verifyToken(sign(changes, header)))

describe('jwtBearer', () => {
  it('makes a principal', async () => {
    const token = sign({ scope: 'a b', act: { sub: 'agent-1', iss: 'https://as.example' } })
    const principal = await verifier.verifyToken(token)
    expect(principal).toMatchObject({
      method: 'jwt',
      issuer,
      subject: 'u1',
      clientId: 'web',
      scopes: ['a', 'b'],
      audience: ['agent'],
      actor: { subject: 'agent-1', issuer: 'https://as.example' },
      expiresAtMs: clock() + 300_000,
      user: { issuer, subject: 'u1' },
    })
    expect(isPrincipal(principal)).toBe(true)
    expect(Object.isFrozen(principal) && Object.isFrozen(principal.claims)).toBe(true)
    expect(presentedToken(principal)?.reveal()).toBe(token)
    expect(JSON.stringify(principal)).not.toContain(token.slice(-20))
  })

  it.each<[string, object]>([
    ['a client_id', { client_id: 'm2m', sub: 'm2m' }],
    ['azp', { client_id: undefined, azp: 'm2m', sub: 'm2m' }],
    [
      'gty of Auth0',
      { gty: 'client-credentials', sub: 'm2m@clients', client_id: undefined, azp: 'm2m' },
    ],
    ['idtyp of Entra', { idtyp: 'app' }],
  ])('gives a client as its own subject, told by %s, no user', async (_, changes) => {
    const principal = await verifier.verifyToken(sign(changes))
    expect(principal.user).toBeUndefined()
    expect('user' in principal).toBe(false)
  })

  const ownless = { tokensWithoutSubject: 'client' } as const
  it.each<[object, JwtBearerOptions['profile'], string | undefined]>([
    [{ sub: undefined }, undefined, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined }, {}, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined }, ownless, undefined],
    [{ sub: undefined }, { ...ownless, isClient: () => true }, undefined],
    [{ sub: undefined }, { ...ownless, isClient: () => false }, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, client_id: undefined }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, username: 'ann' }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, preferred_username: null }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, user_name: 'ann' }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, user_id: 'ann' }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, email: 'ann@example.com' }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: undefined, upn: 'ann' }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: null }, ownless, 'ERR_BAD_CLAIMS'],
    [{ sub: '' }, ownless, 'ERR_BAD_CLAIMS'],
  ])(
    'takes a token without sub for a client where its profile says so: %j, %j: %s',
    async (changes, profile, code) => {
      const verifier = verifierOf({ profile })
      const token = sign(changes)
      if (code !== undefined) return expect(await codeOf(verifier.verifyToken(token))).toBe(code)
      const principals = [await verifier.verifyToken(token), await verifier.verifyToken(token)]
      for (const principal of principals) {
        expect(principal).toMatchObject({ subject: 'web', clientId: 'web' })
        expect('user' in principal).toBe(false)
      }
    },
  )

  it('leaves a user a user where tokens without sub are of clients', async () => {
    const principal = await verifierOf({ profile: ownless }).verifyToken(sign())
    expect(principal.user).toEqual({ issuer, subject: 'u1' })
  })

  it('takes scope as a list where its profile says so', async () => {
    const verifier = verifierOf({ profile: { scopeLists: true }, allowedScopes: ['read'] })
    const token = sign({ scope: ['read', 'mail'] })
    expect((await verifier.verifyToken(token)).scopes).toEqual(['read', 'mail'])
    expect((await verifier.verifyToken(sign({ scope: 'read mail' }))).scopes).toEqual([
      'read',
      'mail',
    ])
    for (const scope of [['read mail'], ['admin'], []]) {
      expect(await codeOf(verifier.verifyToken(sign({ scope })))).toBe('ERR_INSUFFICIENT_SCOPE')
    }
    for (const scope of [['read', 7], { read: true }, 7, null]) {
      expect(await codeOf(verifier.verifyToken(sign({ scope })))).toBe('ERR_BAD_CLAIMS')
    }
  })

  it('takes Ed25519 by its old name and by that of RFC 9864', async () => {
    for (const alg of ['EdDSA', 'Ed25519']) {
      for (const named of [undefined, 'EdDSA', 'Ed25519']) {
        const ed = makeKey(alg, 'ed')
        const jwks = { keys: [{ ...ed.jwk, ...(named ? { alg: named } : {}) }] }
        const token = signToken(ed, claims)
        const read = (options: Partial<JwtBearerOptions>) =>
          codeOf(
            new InboundVerifier(
              {
                authenticators: [
                  jwtBearer({ issuer, jwks, allowedAudience: ['agent'], ...options }),
                ],
                clock,
              },
              () => token,
            ).verifyToken(token),
          )
        expect(await read({})).toBeUndefined()
        expect(await read({ algorithms: ['ES256'] })).toBe('ERR_ALG_NOT_ALLOWED')
      }
    }
  })

  it('takes times that are fractions of seconds, from its memory, too', async () => {
    const own = fakeClock(clock())
    const authenticators = [
      jwtBearer({
        issuer,
        jwks: { keys: [key.jwk] },
        allowedAudience: ['agent'],
        clockToleranceMs: 0,
      }),
    ]
    const verifier = new InboundVerifier({ authenticators, clock: own }, () => sign({}))
    const token = sign({ iat: now - 0.5, nbf: now - 0.001, exp: now + 10.5 })
    await verifier.verifyToken(token)
    own.advance(10_499)
    await verifier.verifyToken(token)
    own.advance(1)
    expect(await codeOf(verifier.verifyToken(token))).toBe('ERR_TOKEN_EXPIRED')
  })

  it.each([
    'https://idp.example/',
    'https://idp.example.evil.example',
    'https://idp.exampl',
    'HTTPS://idp.example',
    'https://idp.еxample',
    ' https://idp.example',
    '',
    ['https://idp.example'],
    ['https://idp.example', 'https://evil.example'],
    { 0: 'https://idp.example' },
    null,
    7,
    undefined,
  ])('J45 refuses iss %j', async (iss) => {
    expect(await refusal({ iss })).toBe('ERR_UNKNOWN_ISSUER')
  })

  it.each([
    ['other', 'ERR_AUDIENCE_MISMATCH'],
    ['agent2', 'ERR_AUDIENCE_MISMATCH'],
    ['Agent', 'ERR_AUDIENCE_MISMATCH'],
    [[], 'ERR_AUDIENCE_MISMATCH'],
    [undefined, 'ERR_AUDIENCE_MISMATCH'],
    ['other agent', 'ERR_AUDIENCE_MISMATCH'],
    [['agent', 7], 'ERR_BAD_CLAIMS'],
    [[['agent']], 'ERR_BAD_CLAIMS'],
    [{ agent: true }, 'ERR_BAD_CLAIMS'],
    ['agent', undefined],
    [['other', 'agent'], undefined],
  ])('J38 J39 with aud %j: %s', async (aud, code) => {
    expect(await refusal({ aud })).toBe(code)
  })

  it.each<[object, string | undefined]>([
    [{ client_id: 'web' }, undefined],
    [{ client_id: undefined, azp: 'web' }, undefined],
    [{ client_id: 'other', azp: 'web' }, 'ERR_CLIENT_NOT_ALLOWED'],
    [{ client_id: 'WEB' }, 'ERR_CLIENT_NOT_ALLOWED'],
    [{ client_id: undefined }, 'ERR_CLIENT_NOT_ALLOWED'],
    [{ client_id: undefined, cid: 'web', appid: 'web' }, 'ERR_CLIENT_NOT_ALLOWED'],
    [{ client_id: ['web'] }, 'ERR_BAD_CLAIMS'],
    [{ client_id: '' }, 'ERR_BAD_CLAIMS'],
    [{ client_id: undefined, azp: 7 }, 'ERR_BAD_CLAIMS'],
  ])('J41 with client claims %j: %s', async (changes, code) => {
    expect(await refusal(changes, { allowedClients: ['web', 'cli'] })).toBe(code)
    const options = { allowedClients: ['web', 'cli'], allowedAudience: null }
    expect(await refusal({ ...changes, aud: undefined }, options)).toBe(code)
  })

  it.each<[string, object]>([
    ['nonce', { nonce: 'n' }],
    ['at_hash', { at_hash: 'h' }],
    ['c_hash', { c_hash: 'h' }],
    ['s_hash', { s_hash: 'h' }],
    ['token_use of Cognito', { token_use: 'id' }],
    ['typ of Keycloak: ID', { typ: 'ID' }],
    ['typ of Keycloak: Refresh', { typ: 'Refresh' }],
    ['typ of Keycloak: Offline', { typ: 'Offline' }],
    ['a typ claim that is a list', { typ: ['ID'] }],
    ['events', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
  ])('J42 refuses a token that %s marks as another kind', async (_, changes) => {
    expect(await refusal(changes)).toBe('ERR_TOKEN_TYPE')
  })

  it('J42 accepts access tokens that say so', async () => {
    expect(await refusal({ token_use: 'access', typ: 'Bearer' })).toBeUndefined()
  })

  it.each(['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/JWT', undefined])(
    'J43 accepts typ %s',
    async (typ) => {
      expect(await refusal({}, undefined, { typ })).toBeUndefined()
    },
  )

  it.each([
    'logout+jwt',
    'dpop+jwt',
    'secevent+jwt',
    'client-authentication+jwt',
    'wit+jwt',
    'wpt+jwt',
    'txntoken+jwt',
    'dc+sd-jwt',
    'vc+sd-jwt',
    'JOSE',
    'at+jwt ',
    'application/application/at+jwt',
    'x/at+jwt',
    '',
  ])('J44 refuses typ %j', async (typ) => {
    expect(await refusal({}, undefined, { typ })).toBe('ERR_TOKEN_TYPE')
  })

  it.each([{ jkt: 'x' }, { 'x5t#S256': 'x' }, {}, null])(
    'J68 refuses a token bound to a key: cnf %j',
    async (cnf) => {
      expect(await refusal({ cnf })).toBe('ERR_PROOF_REQUIRED')
    },
  )

  it.each<[object, string | undefined]>([
    [{ scope: 'read' }, undefined],
    [{ scope: 'x read' }, undefined],
    [{ scp: ['read'] }, undefined],
    [{ scp: 'x read' }, undefined],
    [{ scope: 'admin' }, undefined],
    [{ scope: 'readwrite' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: 'rea d' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: 'READ' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: 'x\tread' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: 'x\nread' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: 'x,read' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: '' }, 'ERR_INSUFFICIENT_SCOPE'],
    [{}, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: '', scp: ['read'] }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scp: ['x read'] }, 'ERR_INSUFFICIENT_SCOPE'],
    [{ scope: ['read'] }, 'ERR_BAD_CLAIMS'],
    [{ scp: [1] }, 'ERR_BAD_CLAIMS'],
    [{ scp: { read: true } }, 'ERR_BAD_CLAIMS'],
  ])('J58 with scopes %j: %s', async (changes, code) => {
    expect(await refusal(changes, { allowedScopes: ['read', 'admin'] })).toBe(code)
  })

  it('J59 applies every custom claim rule', async () => {
    const customClaims = [
      { name: 'groups', operator: 'CONTAINS_ANY', value: ['staff', 'ops'] },
      { name: 'tenant', operator: 'EQUALS', value: 't1' },
    ] as const
    const rule = { customClaims }
    expect(await refusal({ groups: ['x', 'ops'], tenant: 't1' }, rule)).toBeUndefined()
    expect(await refusal({ groups: ['x'], tenant: 't1' }, rule)).toBe('ERR_CLAIM_RULE')
    expect(await refusal({ groups: ['ops'] }, rule)).toBe('ERR_CLAIM_RULE')
  })

  it('J61 reads a chain of 8 actors and refuses a ninth', async () => {
    const chain = (depth: number) =>
      Array.from({ length: depth }).reduce<object | undefined>(
        (act, _, n) => ({ sub: `a${n}`, ...(act ? { act } : {}) }),
        undefined,
      )
    const principal = await verifier.verifyToken(sign({ act: chain(8) }))
    expect(principal.actor?.subject).toBe('a7')
    expect(principal.actor?.actor?.subject).toBe('a6')
    expect(await refusal({ act: chain(9) })).toBe('ERR_BAD_CLAIMS')
    expect(await refusal({ act: chain(400) })).toBe('ERR_MALFORMED_TOKEN')
  })

  it.each([
    'agent',
    null,
    [],
    {},
    { sub: '' },
    { sub: 7 },
    { sub: 'a', iss: 7 },
    { sub: 'a', act: 'b' },
  ])('J61 refuses act %j', async (act) => {
    expect(await refusal({ act })).toBe('ERR_BAD_CLAIMS')
  })

  it('J73 takes nothing below the claims from what somebody gave to all objects', async () => {
    const thumbprint = 'A'.repeat(43)
    const token = sign({ act: { sub: 'agent-1' }, cnf: { 'x5t#S256': thumbprint }, a: [{}] })
    const everything = Object.prototype as { iss?: unknown; act?: unknown; jkt?: unknown }
    Object.assign(everything, { iss: 'https://evil.example', act: { sub: 'evil' }, jkt: 'evil' })
    let outcome: Promise<Principal>
    try {
      outcome = verifier.verify({
        method: 'GET',
        target: '/',
        headers: [['authorization', `Bearer ${token}`]],
        clientCertificateThumbprint: thumbprint,
      })
    } finally {
      for (const name of ['iss', 'act', 'jkt'] as const) delete everything[name]
    }
    const principal = await outcome
    expect(principal.actor).toEqual({ subject: 'agent-1' })
    const { act, a } = principal.claims as { act: object; a: object[] }
    expect(Object.getPrototypeOf(act)).toBeNull()
    expect(Object.getPrototypeOf(a[0])).toBeNull()
    expect(Object.isFrozen(a) && Object.isFrozen(a[0])).toBe(true)
  })

  it('J73 shows functions of the profile claims that they cannot change', async () => {
    const shown: unknown[] = []
    const look = (claims: Readonly<Record<string, unknown>>) => {
      shown.push(claims)
      return undefined
    }
    const profile = { refuse: look, isClient: (claims: JsonObject) => look(claims) !== undefined }
    const principal = await verifierOf({ profile }).verifyToken(sign({ nested: { a: [{}] } }))
    expect(shown).toEqual([principal.claims, principal.claims])
    for (const claims of shown as { nested: { a: object[] } }[]) {
      for (const part of [claims, claims.nested, claims.nested.a, claims.nested.a[0]]) {
        expect(Object.isFrozen(part)).toBe(true)
      }
    }
  })

  it('J62 gives may_act no meaning', async () => {
    const principal = await verifier.verifyToken(sign({ may_act: { sub: 'agent-1' } }))
    expect(principal.actor).toBeUndefined()
  })

  it('J33 J36 checks times on the clock of the verifier', async () => {
    expect(await refusal({ exp: undefined })).toBe('ERR_BAD_CLAIMS')
    expect(await refusal({ exp: now - 31 })).toBe('ERR_TOKEN_EXPIRED')
    expect(await refusal({ iat: now + 31 })).toBe('ERR_TOKEN_NOT_YET_VALID')
    expect(await refusal({ exp: now - 31 }, { clockToleranceMs: 60_000 })).toBeUndefined()
    expect(await refusal({ iat: now - 100 }, { maxTokenAgeMs: 60_000 })).toBe('ERR_TOKEN_EXPIRED')
  })

  it('J30 has a limit of its own', async () => {
    expect(await refusal({ pad: 'x'.repeat(20_000) })).toBe('ERR_TOKEN_TOO_LARGE')
    expect(await refusal({ pad: 'x'.repeat(20_000) }, { maxTokenBytes: 40_000 })).toBeUndefined()
    expect(await refusal({ pad: 'x'.repeat(200_000) }, { maxTokenBytes: 131_072 })).toBe(
      'ERR_TOKEN_TOO_LARGE',
    )
  })

  it('J03 J04 obeys the list of algorithms', async () => {
    expect(await refusal({}, { algorithms: ['RS256'] })).toBe('ERR_ALG_NOT_ALLOWED')
    expect(await refusal({}, { algorithms: ['RS256', 'ES256'] })).toBeUndefined()
  })

  it('J73 lets no claim reach a prototype', async () => {
    const text = JSON.stringify({ ...claims, x: 1 }).replace('"x":1', '"__proto__":{"polluted":1}')
    const principal = await verifier.verifyToken(signToken(key, text))
    expect(Object.keys(principal.claims)).toContain('__proto__')
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect((principal as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it('J56 gives every caller its own claims, however many come at once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ minLength: 1 }), { maxLength: 12 }), async (names) => {
        const subjects = names.map((name) => `u-${name}`)
        const principals = await Promise.all(
          subjects.map((sub) => verifier.verifyToken(sign({ sub, echo: sub }))),
        )
        expect(principals.map((p) => [p.subject, p.claims.echo])).toEqual(
          subjects.map((s) => [s, s]),
        )
      }),
      { numRuns: 30 },
    )
  })
})

describe('jwtBearer with discovery', () => {
  const tokenOf = (iss: string) => signToken(key, { ...claims, iss })
  const bearer = (options: Partial<JwtBearerOptions>) =>
    new InboundVerifier({
      authenticators: [
        jwtBearer({ allowedAudience: ['agent'], allowInsecureLoopback: true, ...options }),
      ],
      clock,
    })

  it('J45 J47 lets the document decide about the trailing slash', async () => {
    await using server = await startIssuer([key])
    const discoveryUrl = `${server.origin}${OIDC_PATH}`
    const verifier = bearer({ discoveryUrl })
    expect((await verifier.verifyToken(tokenOf(server.origin))).issuer).toBe(server.origin)
    expect(await codeOf(verifier.verifyToken(tokenOf(`${server.origin}/`)))).toBe(
      'ERR_UNKNOWN_ISSUER',
    )
    server.routes.set(
      OIDC_PATH,
      json({ issuer: `${server.origin}/`, jwks_uri: `${server.origin}/jwks` }),
    )
    const slashed = bearer({ discoveryUrl })
    expect((await slashed.verifyToken(tokenOf(`${server.origin}/`))).issuer).toBe(
      `${server.origin}/`,
    )
    expect(await codeOf(slashed.verifyToken(tokenOf(server.origin)))).toBe('ERR_UNKNOWN_ISSUER')
    const exact = bearer({ discoveryUrl, issuer: server.origin })
    expect(await codeOf(exact.verifyToken(tokenOf(server.origin)))).toBe('ERR_KEYS_UNAVAILABLE')
  })

  it('J07 J45 asks nobody about a token of an unknown issuer, nor at addresses in its header', async () => {
    await using server = await startIssuer([key])
    await using evil = await startIssuer([key])
    const verifier = bearer({ issuer: server.origin })
    const header = { jku: `${evil.origin}/jwks`, x5u: `${evil.origin}/x5u` }
    const foreign = signToken(key, { ...claims, iss: evil.origin }, header)
    expect(await codeOf(verifier.verifyToken(foreign))).toBe('ERR_UNKNOWN_ISSUER')
    expect(server.hits).toEqual([])
    await verifier.verifyToken(signToken(key, { ...claims, iss: server.origin }, header))
    expect(evil.hits).toEqual([])
  })

  it('J11 keeps the keys of several issuers apart', async () => {
    const otherKey = makeKey('ES256', key.kid)
    await using one = await startIssuer([key])
    await using two = await startIssuer([otherKey])
    const common = { allowedAudience: ['agent'], allowInsecureLoopback: true }
    const verifier = new InboundVerifier({
      authenticators: [one, two].map((s) => jwtBearer({ ...common, issuer: s.origin })),
      clock,
    })
    await verifier.verifyToken(signToken(key, { ...claims, iss: one.origin }))
    await verifier.verifyToken(signToken(otherKey, { ...claims, iss: two.origin }))
    const crossed = signToken(otherKey, { ...claims, iss: one.origin })
    expect(await codeOf(verifier.verifyToken(crossed))).toBe('ERR_BAD_SIGNATURE')
  })
})
