import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import {
  type Answer,
  codeOf,
  fakeClock,
  json,
  makeKey,
  OAUTH_PATH,
  OIDC_PATH,
  signToken,
  startIssuer,
  status,
  type TestIssuer,
} from '../../test/support/issuer.js'
import { InboundAuthError } from '../errors/inbound.js'
import { presentedToken } from '../principal.js'
import { type IntrospectionOptions, introspection } from './introspection.js'
import { jwtBearer } from './jwt-bearer.js'
import { stsIdentity } from './sts-identity.js'

const clock = fakeClock()
const key = makeKey()
let server: TestIssuer
let asked: { authorization: string | undefined; form: URLSearchParams }[] = []
let claims: Record<string, unknown>

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of request) text += part
  return text
}
const answering =
  (answer: () => unknown): Answer =>
  async (request, response) => {
    const form = new URLSearchParams(await bodyOf(request))
    asked.push({ authorization: request.headers.authorization, form })
    json(answer())(request, response)
  }

beforeAll(async () => {
  server = await startIssuer([key])
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  asked = []
  claims = {
    active: true,
    iss: server.origin,
    sub: 'u1',
    client_id: 'web',
    aud: 'agent',
    scope: 'read mail',
    token_type: 'Bearer',
    exp: clock() / 1000 + 300,
  }
  const metadata = { issuer: server.origin, introspection_endpoint: `${server.origin}/introspect` }
  server.routes.set(OIDC_PATH, json(metadata))
  server.routes.set(
    '/introspect',
    answering(() => claims),
  )
})

const optionsOf = (changes: Partial<IntrospectionOptions> = {}): IntrospectionOptions => ({
  issuer: server.origin,
  clientId: 'agent:1',
  clientSecret: 'p w%:é',
  allowedAudience: ['agent'],
  allowInsecureLoopback: true,
  ...changes,
})
const make = (changes: Partial<IntrospectionOptions> = {}) =>
  new InboundVerifier({ authenticators: [introspection(optionsOf(changes))], clock })
const refusal = async (answer: object, changes: Partial<IntrospectionOptions> = {}) => {
  const verifier = make(changes)
  await codeOf(verifier.verifyToken('good'))
  claims = { ...claims, ...answer }
  return codeOf(verifier.verifyToken('opaque'))
}

describe('introspection', () => {
  it('J57 makes a principal of what the issuer says', async () => {
    const principal = await make().verifyToken('opaque')
    expect(principal).toMatchObject({
      method: 'introspection',
      issuer: server.origin,
      subject: 'u1',
      clientId: 'web',
      scopes: ['read', 'mail'],
      audience: ['agent'],
      user: { issuer: server.origin, subject: 'u1' },
      expiresAtMs: clock() + 300_000,
    })
    expect(presentedToken(principal)?.reveal()).toBe('opaque')
    expect([...asked[0]!.form]).toEqual([
      ['token', 'opaque'],
      ['token_type_hint', 'access_token'],
    ])
    const [id, secret] = atob(asked[0]!.authorization!.slice('Basic '.length)).split(':')
    expect([id, secret]).toEqual(['agent%3A1', 'p+w%25%3A%C3%A9'])
  })

  it('authenticates as the server wants it', async () => {
    await make({ clientAuth: 'client_secret_post' }).verifyToken('opaque')
    expect(asked[0]!.authorization).toBeUndefined()
    expect(asked[0]!.form.get('client_id')).toBe('agent:1')
    expect(asked[0]!.form.get('client_secret')).toBe('p w%:é')
    await make({ clientId: 'my-agent', clientSecret: 's_3.*' }).verifyToken('opaque')
    expect(atob(asked[1]!.authorization!.slice('Basic '.length))).toBe('my-agent:s_3.*')
    expect(asked[1]!.form.has('client_secret')).toBe(false)
  })

  it.each([false, undefined, 'true', 'false', 1, null, [true], {}])(
    'J57 refuses when active is %j',
    async (active) => {
      const code = active === false ? 'ERR_TOKEN_INACTIVE' : 'ERR_INTROSPECTION_UNAVAILABLE'
      expect(await refusal({ active })).toBe(code)
    },
  )

  it.each<[string, object, string | undefined]>([
    ['another iss', { iss: 'https://evil.example' }, 'ERR_UNKNOWN_ISSUER'],
    ['iss as a list', { iss: ['x'] }, 'ERR_UNKNOWN_ISSUER'],
    ['no iss', { iss: undefined }, undefined],
    ['another aud', { aud: 'other' }, 'ERR_AUDIENCE_MISMATCH'],
    ['no aud', { aud: undefined }, 'ERR_AUDIENCE_MISMATCH'],
    ['a list of aud', { aud: ['other', 'agent'] }, undefined],
    ['exp gone by', { exp: 1 }, 'ERR_TOKEN_EXPIRED'],
    ['exp as a text', { exp: '9999999999' }, 'ERR_BAD_CLAIMS'],
    ['no exp', { exp: undefined }, undefined],
    ['nbf to come', { nbf: 9_999_999_999 }, 'ERR_TOKEN_NOT_YET_VALID'],
    ['a sub that is blank', { sub: ' ' }, 'ERR_BAD_CLAIMS'],
    ['neither sub nor client', { sub: undefined, client_id: undefined }, 'ERR_BAD_CLAIMS'],
    ['scopes as a list', { scope: ['read'] }, 'ERR_BAD_CLAIMS'],
    ['a key it is bound to', { cnf: { jkt: 'x' } }, 'ERR_PROOF_REQUIRED'],
    ['nine actors', { act: actors(9) }, 'ERR_BAD_CLAIMS'],
  ])('J57 with %s: %s', async (_, answer, code) => {
    expect(await refusal(answer)).toBe(code)
  })

  it.each<[object, string | undefined]>([
    [{ token_type: 'bearer' }, undefined],
    [{ token_type: 'access_token' }, undefined],
    [{ token_type: 'access_token', token_use: 'refresh_token' }, 'ERR_TOKEN_TYPE'],
    [{ token_type: 'id_token' }, 'ERR_TOKEN_TYPE'],
    [{ token_type: 'refresh_token' }, 'ERR_TOKEN_TYPE'],
    [{ token_type: undefined }, 'ERR_TOKEN_TYPE'],
    [{ token_type: undefined, token_use: 'access_token' }, undefined],
    [{ token_use: 'refresh_token' }, 'ERR_TOKEN_TYPE'],
    [{ token_type: undefined, typ: 'Refresh' }, 'ERR_TOKEN_TYPE'],
    [{ token_type: undefined, typ: 'Bearer' }, undefined],
    [{ token_type: 7 }, 'ERR_TOKEN_TYPE'],
  ])('J42 refuses what may be a refresh token: %j', async (answer, code) => {
    expect(await refusal(answer)).toBe(code)
  })

  it('J42 takes untyped answers when told to', async () => {
    expect(await refusal({ token_type: undefined }, { allowUntypedTokens: true })).toBeUndefined()
  })

  it('judges client, scopes and further claims', async () => {
    expect(await refusal({}, { allowedClients: ['cli'] })).toBe('ERR_CLIENT_NOT_ALLOWED')
    expect(await refusal({}, { allowedScopes: ['write'] })).toBe('ERR_INSUFFICIENT_SCOPE')
    const customClaims = [{ name: 'org', operator: 'EQUALS', value: 'acme' }] as const
    expect(await refusal({}, { customClaims })).toBe('ERR_CLAIM_RULE')
    expect(await refusal({ org: 'acme' }, { customClaims })).toBeUndefined()
    expect(
      await refusal({ aud: undefined }, { allowedAudience: null, allowedClients: ['web'] }),
    ).toBeUndefined()
  })

  const named = { subjectClaim: 'username' } as const
  const asClient = { tokensWithoutSubject: 'client' } as const
  it.each<[string, object, Partial<IntrospectionOptions>, [string, boolean] | RegExp]>([
    // as it is by default
    ['sub', {}, {}, ['u1', true]],
    ['sub and username', { username: 'ann' }, {}, ['u1', true]],
    ['sub that is the client', { sub: 'web' }, {}, ['web', false]],
    ['no sub', { sub: undefined }, {}, /no sub.*subjectClaim.*tokensWithoutSubject: 'client'/],
    ['no sub, but username', { sub: undefined, username: 'ann' }, {}, /subjectClaim/],
    ['sub null', { sub: null }, {}, /sub is not/],
    ['sub empty', { sub: '' }, {}, /sub is not/],
    // a client's own
    ['sub', {}, asClient, ['u1', true]],
    ['no sub', { sub: undefined }, asClient, ['web', false]],
    [
      'neither sub nor client',
      { sub: undefined, client_id: undefined },
      asClient,
      /neither sub nor/,
    ],
    [
      'no sub, but username',
      { sub: undefined, username: 'ann' },
      asClient,
      /username names a user/,
    ],
    [
      'no sub, username null',
      { sub: undefined, username: null },
      asClient,
      /username names a user/,
    ],
    ...['preferred_username', 'user_name', 'user_id', 'email', 'upn'].map(
      (member): [string, object, Partial<IntrospectionOptions>, RegExp] => [
        `no sub, but ${member}`,
        { sub: undefined, [member]: 'ann' },
        asClient,
        new RegExp(`${member} names a user`),
      ],
    ),
    ['sub null', { sub: null }, asClient, /sub is not/],
    ['sub empty', { sub: '' }, asClient, /sub is not/],
    ['sub a number', { sub: 7 }, asClient, /sub is not/],
    // another member
    ['username alone', { sub: undefined, username: 'ann' }, named, ['ann', true]],
    ['username beside sub', { username: 'ann' }, named, ['ann', true]],
    [
      'username beside a sub that is the client',
      { sub: 'web', username: 'ann' },
      named,
      ['ann', true],
    ],
    ['username like the client', { username: 'web' }, named, ['web', true]],
    ['username like the client, twice', { sub: 'web', username: 'web' }, named, ['web', true]],
    [
      'a word of Auth0 beside it',
      { username: 'ann', gty: 'client-credentials' },
      named,
      ['ann', true],
    ],
    ['no username', {}, named, /no username.*subjectClaim/],
    ['no username, sub is the client', { sub: 'web' }, named, /no username/],
    ['username null', { username: null }, named, /username is not/],
    ['username empty', { username: '' }, named, /username is not/],
    ['username blank', { username: ' ' }, named, /username is not/],
    ['username a number', { username: 7 }, named, /username is not/],
    ['username a list', { username: ['ann'] }, named, /username is not/],
    // both
    ['username', { username: 'ann' }, { ...named, ...asClient }, ['ann', true]],
    ['username like the client', { username: 'web' }, { ...named, ...asClient }, ['web', true]],
    ['neither', { sub: undefined }, { ...named, ...asClient }, ['web', false]],
    ['a sub that is the client', { sub: 'web' }, { ...named, ...asClient }, ['web', false]],
    ['a sub of somebody', {}, { ...named, ...asClient }, /sub names a user/],
    [
      'username null',
      { sub: undefined, username: null },
      { ...named, ...asClient },
      /username is not/,
    ],
    [
      'no client',
      { sub: undefined, client_id: undefined },
      { ...named, ...asClient },
      /neither username/,
    ],
    // a member that is none of RFC 7662
    ['uid', { uid: 'u-9' }, { subjectClaim: 'uid' }, ['u-9', true]],
    [
      'no uid, but username',
      { sub: undefined, username: 'ann' },
      { subjectClaim: 'uid', ...asClient },
      /username names a user/,
    ],
    ['__proto__', {}, { subjectClaim: '__proto__' }, /no __proto__/],
    ['constructor', {}, { subjectClaim: 'constructor' }, /no constructor/],
  ])('knows whose a token is by %s %j, with %j: %s', async (_, answer, options, expected) => {
    claims = { ...claims, ...answer }
    const result = await make(options)
      .verifyToken('opaque')
      .catch((e: InboundAuthError) => e)
    if (expected instanceof RegExp) {
      expect(result).toMatchObject({ code: 'ERR_BAD_CLAIMS', status: 401 })
      expect((result as InboundAuthError).reason).toMatch(expected)
    } else {
      const [subject, isUser] = expected
      const user = isUser ? { issuer: server.origin, subject } : undefined
      expect(result).toMatchObject({ subject, clientId: claims.client_id })
      expect((result as { user?: object }).user).toEqual(user)
    }
  })

  it('refuses a jwtBearer of the issuer beside users by another name', () => {
    const issuer = server.origin
    const bearer = jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'] })
    for (const options of [{}, asClient]) {
      expect(
        () => new InboundVerifier({ authenticators: [bearer, introspection(optionsOf(options))] }),
      ).not.toThrow()
    }
    const authenticators = [bearer, introspection(optionsOf(named))]
    expect(() => new InboundVerifier({ authenticators })).toThrow(/subjectClaim/)
  })

  it.each<[object, Partial<IntrospectionOptions>, string | undefined]>([
    [{}, {}, 'ERR_PROOF_REQUIRED'],
    [{}, { dpop: {} }, 'ERR_PROOF_REQUIRED'],
    [{}, { allowUntypedTokens: true }, 'ERR_PROOF_REQUIRED'],
    [{ cnf: {} }, {}, 'ERR_PROOF_REQUIRED'],
    [{ cnf: null }, {}, 'ERR_PROOF_REQUIRED'],
    [{ cnf: { 'x5t#S256': 'a'.repeat(43) } }, {}, 'ERR_PROOF_REQUIRED'],
    [{ cnf: { jkt: 'a'.repeat(43) } }, { dpop: {} }, 'ERR_PROOF_REQUIRED'], // sent as a bearer
  ])('refuses a DPoP token as a bearer: %j with %j', async (answer, options, code) => {
    for (const token_type of ['DPoP', 'dpop']) {
      claims = { ...claims, token_type, ...answer }
      const verifier = new InboundVerifier({
        authenticators: [introspection(optionsOf(options))],
        resource: 'https://agent.example',
        clock,
      })
      expect(await codeOf(verifier.verifyToken('opaque'))).toBe(code)
      expect(await codeOf(verifier.verifyToken('opaque'))).toBe(code) // from what is kept
    }
  })

  it('stands beside stsIdentity, whose tokens it never sends', async () => {
    const sts = stsIdentity({ serverId: 'agent', allowedAccounts: ['111122223333'] })
    const both = new InboundVerifier({ authenticators: [introspection(optionsOf()), sts], clock })
    expect(await codeOf(both.verifyToken('deputize-aws-v1.aHR0cHM6Ly94'))).toMatch(/^ERR_MALFORMED/)
    expect((await both.verifyToken('opaque')).subject).toBe('u1')
    await codeOf(make().verifyToken('deputize-aws-v1.aHR0cHM6Ly94'))
    expect(asked.length).toBe(1)
  })

  it('J57 asks again after cacheMs, after exp, and never serves a token for another', async () => {
    const verifier = make()
    const times = async (token: string) => {
      const before = asked.length
      await codeOf(verifier.verifyToken(token))
      return asked.length - before
    }
    expect(await times('a')).toBe(1)
    expect(await times('a')).toBe(0)
    expect(await times('b')).toBe(1)
    clock.advance(10_000)
    expect(await times('a')).toBe(1)
    claims = { ...claims, exp: clock() / 1000 + 3 }
    expect(await times('c')).toBe(1)
    clock.advance(3000)
    claims = { active: false }
    expect(await times('c')).toBe(3) // presented three times: what is refused is not kept
  })

  it('J57 does not keep answers with cacheMs 0, nor ask for one token twice at a time', async () => {
    const verifier = make({ cacheMs: 0 })
    await verifier.verifyToken('a')
    await verifier.verifyToken('a')
    expect(asked.length).toBe(2)
    let count = 0
    const slow = async () => {
      count++
      await new Promise((done) => setTimeout(done, 200))
      return Response.json(claims)
    }
    const endpoint = { introspectionEndpoint: 'https://idp.example/introspect' }
    const shared = make({ ...endpoint, cacheMs: 0, fetch: slow })
    await Promise.all([shared.verifyToken('a'), shared.verifyToken('a'), shared.verifyToken('b')])
    expect(count).toBe(2)
  })

  it('J57 keeps a bounded number of answers', async () => {
    const verifier = make({ cacheMs: 60_000 })
    for (let at = 0; at <= 1000; at++) await verifier.verifyToken(`t${at}`)
    expect(asked.length).toBe(1001)
    await verifier.verifyToken('t1000')
    expect(asked.length).toBe(1001)
    await verifier.verifyToken('t0')
    expect(asked.length).toBe(1002)
  })

  it.each([0, 10_000])(
    'J57 lets no junk of strangers keep good tokens out, with cacheMs %i',
    async (cacheMs) => {
      let open = () => {}
      const gate = new Promise<void>((resolve) => {
        open = resolve
      })
      let [running, most] = [0, 0]
      const answer: typeof fetch = async (_, init) => {
        const token = new URLSearchParams(String(init?.body)).get('token')!
        if (token.startsWith('good')) return Response.json(claims)
        most = Math.max(most, ++running)
        await gate
        running--
        return Response.json({ active: false })
      }
      const endpoint = { introspectionEndpoint: 'https://idp.example/introspect' }
      const verifier = make({ ...endpoint, cacheMs, fetch: answer })
      await verifier.verifyToken('good-known')
      clock.advance(20_000)
      claims = { ...claims, exp: clock() / 1000 + 300 }
      const junk = Array.from({ length: 1100 }, (_, at) =>
        codeOf(verifier.verifyToken(`junk-${at}`)),
      )
      expect((await verifier.verifyToken('good-known')).subject).toBe('u1') // though 1,100 are before it
      expect(await codeOf(verifier.verifyToken('junk-more'))).toBe('ERR_INTROSPECTION_UNAVAILABLE')
      expect(most).toBe(100)
      open()
      expect(new Set(await Promise.all(junk))).toEqual(new Set(['ERR_TOKEN_INACTIVE']))
      expect(most).toBe(100)
      expect((await verifier.verifyToken('good-new')).subject).toBe('u1')
    },
  )

  it('J57 lets a token that is new wait behind strangers', async () => {
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const answer: typeof fetch = async (_, init) => {
      const token = new URLSearchParams(String(init?.body)).get('token')
      await gate
      return Response.json(token === 'good' ? claims : { active: false })
    }
    const endpoint = { introspectionEndpoint: 'https://idp.example/introspect' }
    const verifier = make({ ...endpoint, cacheMs: 0, fetch: answer })
    const junk = Array.from({ length: 100 }, (_, at) => codeOf(verifier.verifyToken(`junk-${at}`)))
    const good = verifier.verifyToken('good')
    open()
    expect((await good).subject).toBe('u1')
    await Promise.all(junk)
  })

  it('J57 counts a token that is no longer active among the strangers', async () => {
    let gate: Promise<void> | undefined
    let open = () => {}
    const answer: typeof fetch = async () => {
      await gate
      return Response.json(claims)
    }
    const endpoint = { introspectionEndpoint: 'https://idp.example/introspect' }
    const verifier = make({ ...endpoint, cacheMs: 0, fetch: answer })
    await verifier.verifyToken('once-good')
    claims = { active: false }
    expect(await codeOf(verifier.verifyToken('once-good'))).toBe('ERR_TOKEN_INACTIVE')
    gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const junk = Array.from({ length: 1100 }, (_, at) => codeOf(verifier.verifyToken(`junk-${at}`)))
    expect(await codeOf(verifier.verifyToken('once-good'))).toBe('ERR_INTROSPECTION_UNAVAILABLE')
    open()
    await Promise.all(junk)
  })

  it.each<[string, Answer, RegExp]>([
    ['fails', status(500), /HTTP 500/],
    ['does not know us', status(401), /clientSecret/],
    ['sends us elsewhere', status(302, { location: '/other' }), /reached/],
    ['answers no JSON', json('<html>'), /JSON/],
    ['says everything twice', json('{"active":true,"active":true}'), /JSON/],
    ['answers a list', json([]), /JSON/],
    ['answers without end', json({ active: true, x: 'x'.repeat(40_000) }), /reached/],
  ])('J57 answers 503 when the issuer %s', async (_, answer, reason) => {
    server.routes.set('/introspect', answer)
    const error = await make()
      .verifyToken('c4nary')
      .catch((e: InboundAuthError) => e)
    expect(error).toBeInstanceOf(InboundAuthError)
    expect(error).toMatchObject({ code: 'ERR_INTROSPECTION_UNAVAILABLE', status: 503 })
    expect((error as InboundAuthError).reason).toMatch(reason)
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toMatch(/c4nary|p w%/)
    expect(server.count('/other')).toBe(0)
  })

  it('J57 does not take an issuer that is away for one without metadata', async () => {
    server.routes.set(OIDC_PATH, status(503))
    const error = await make()
      .verifyToken('a')
      .catch((e: InboundAuthError) => e)
    expect((error as InboundAuthError).reason).toBe(
      `introspection: the issuer's metadata cannot be had: ${server.origin}${OIDC_PATH}: HTTP 503; ${server.origin}${OAUTH_PATH}: HTTP 404`,
    )
  })

  it('J57 finds the endpoint once, and trusts metadata of its own issuer only', async () => {
    const verifier = make()
    const before = server.count(OIDC_PATH)
    await verifier.verifyToken('a')
    await verifier.verifyToken('b')
    expect(server.count(OIDC_PATH) - before).toBe(1)
    for (const [metadata, reason] of [
      [
        { issuer: 'https://evil.example', introspection_endpoint: 'x' },
        /names the issuer "https:\/\/evil\.example" instead of/,
      ],
      [{ issuer: server.origin }, /set introspectionEndpoint/],
    ] as const) {
      server.routes.set(OIDC_PATH, json(metadata))
      const error = await make()
        .verifyToken('a')
        .catch((e: InboundAuthError) => e)
      expect((error as InboundAuthError).reason).toMatch(reason)
    }
    const named = make({ introspectionEndpoint: `${server.origin}/introspect` })
    expect(await codeOf(named.verifyToken('a'))).toBeUndefined()
  })

  it('J57 never sends a JWT, sound or broken, and stands beside jwtBearer of the same issuer', async () => {
    const jwt = signToken(key, { iss: server.origin, sub: 'u2', aud: 'agent', exp: 9_999_999_999 })
    const bearer = jwtBearer({
      issuer: server.origin,
      jwks: { keys: [key.jwk] },
      allowedAudience: ['agent'],
    })
    const both = new InboundVerifier({
      authenticators: [bearer, introspection(optionsOf())],
      clock,
    })
    expect((await both.verifyToken(jwt)).subject).toBe('u2')
    for (const token of [
      `${jwt.slice(0, -2)}_`,
      `${jwt}x`,
      jwt.replace('.', '.x'),
      signToken(key, { iss: 'https://other.example', sub: 'u', exp: 9_999_999_999 }),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`,
      `${Buffer.from('{\n"alg":"none"}').toString('base64url')}.e30.`,
    ]) {
      expect(await codeOf(both.verifyToken(token))).toBeTypeOf('string')
    }
    expect(asked.length).toBe(0)
    for (const token of ['opaque', 'ya29.a0.b', 'a.b.c', `${jwt}.x.y`]) {
      expect((await both.verifyToken(token)).method).toBe('introspection')
    }
    expect(await codeOf(both.verifyToken('x'.repeat(16_385)))).toBe('ERR_TOKEN_TOO_LARGE')
    expect(asked.length).toBe(4)
  })

  it('is no public client', () => {
    const { clientSecret: _, ...options } = optionsOf()
    expect(() => introspection(options as IntrospectionOptions)).toThrow(/needs a clientSecret/)
  })

  it('is one a verifier', () => {
    const authenticators = [introspection(optionsOf()), introspection(optionsOf())]
    expect(() => new InboundVerifier({ authenticators })).toThrow(/one introspection/)
  })

  it.each<[object, RegExp]>([
    [{ issuer: 'idp' }, /issuer/],
    [{ issuer: 'https://idp.example?x' }, /issuer .*query/],
    [{ introspectionEndpoint: 'http://idp.example/i' }, /introspectionEndpoint .*https/],
    [{ clientId: '' }, /clientId/],
    [{ clientSecret: '' }, /clientSecret/],
    [{ clientSecret: undefined }, /clientSecret/],
    [{ clientAuth: 'none' }, /clientAuth/],
    [{ clientAuth: 'private' }, /clientAuth/],
    [{ allowedAudience: undefined }, /allowedAudience/],
    [{ allowedAudience: null }, /allowedClients/],
    [{ cacheMs: 60_001 }, /cacheMs/],
    [{ cacheMs: Number.NaN }, /cacheMs/],
    [{ allowUntypedTokens: 'yes' }, /allowUntypedTokens/],
    [{ subjectClaim: '' }, /subjectClaim/],
    [{ subjectClaim: ['username'] }, /subjectClaim/],
    [{ subjectClaim: 'client_id' }, /subjectClaim/],
    [{ tokensWithoutSubject: 'user' }, /tokensWithoutSubject/],
    [{ tokensWithoutSubject: true }, /tokensWithoutSubject/],
    [{ dpop: true }, /dpop/],
    [{ scopes: [] }, /no option "scopes"/],
  ])('refuses the options %j', (changes, message) => {
    expect(() => introspection(optionsOf(changes))).toThrow(TypeError)
    expect(() => introspection(optionsOf(changes))).toThrow(message)
  })
})

function actors(depth: number): object {
  return { sub: `a${depth}`, ...(depth > 1 ? { act: actors(depth - 1) } : {}) }
}
