import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import {
  codeOf,
  encode,
  fakeClock,
  makeKey,
  signToken,
  startIssuer,
  status,
} from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isPrincipal, makePrincipal } from '../principal.js'
import type { Authenticator, RawRequest } from './authenticator.js'
import { requireScopes } from './guards.js'
import { jwtBearer } from './jwt-bearer.js'
import type { InboundVerifierOptions } from './verifier.js'

const key = makeKey()
const clock = fakeClock()
const issuer = 'https://idp.example'
const now = clock() / 1000
const claims = { iss: issuer, sub: 'u1', aud: 'agent', client_id: 'web', exp: now + 300 }
const token = signToken(key, claims)
const bearer = jwtBearer({
  issuer,
  jwks: { keys: [key.jwk] },
  allowedAudience: ['agent'],
  allowedScopes: undefined,
})

const make = (options: Partial<InboundVerifierOptions> = {}) =>
  new InboundVerifier({ authenticators: [bearer], clock, ...options })
const verifier = make()
const web = (authorization?: string, init: RequestInit = {}) =>
  new Request('https://agent.example/invoke?x=1', {
    ...init,
    ...(authorization === undefined ? {} : { headers: { authorization } }),
  })
const raw = (...headers: [string, string][]): RawRequest => ({
  method: 'POST',
  target: '/invoke',
  headers: [['Host', 'agent.example'], ...headers],
})

function thrown(work: () => void): InboundAuthError {
  try {
    work()
  } catch (error) {
    return error as InboundAuthError
  }
  throw new Error('It did not throw.')
}

/** Recognises requests with the header `x-key`. */
const keyed: Authenticator = {
  name: 'sts',
  recognise: (request) =>
    request.headers.some(([name]) => name.toLowerCase() === 'x-key')
      ? {
          kind: 'mine',
          authenticate: async () =>
            makePrincipal({
              method: 'sts',
              issuer: 'aws',
              subject: 'role',
              scopes: [],
              audience: [],
              claims: {},
            }),
        }
      : { kind: 'absent' },
}

describe('InboundVerifier', () => {
  it.each(['Bearer', 'bearer', 'BEARER', 'Bearer  '])(
    'J71 takes the scheme as %j',
    async (scheme) => {
      expect((await verifier.verify(web(`${scheme} ${token}`))).subject).toBe('u1')
      expect((await verifier.verify(raw(['AUTHORIZATION', `${scheme} ${token}`]))).subject).toBe(
        'u1',
      )
    },
  )

  it.each<[string, Request | RawRequest, string]>([
    ['no credential', web(), 'ERR_NO_CREDENTIALS'],
    ['no credential in a raw request', raw(), 'ERR_NO_CREDENTIALS'],
    ['another scheme', web('Basic dTpw'), 'ERR_NO_CREDENTIALS'],
    ['a scheme with Bearer in it', web(`XBearer ${token}`), 'ERR_NO_CREDENTIALS'],
    ['a bare token', web(token), 'ERR_NO_CREDENTIALS'],
    [
      'a token in the query',
      new Request(`https://agent.example/?access_token=${token}`),
      'ERR_NO_CREDENTIALS',
    ],
    [
      'a token in the body',
      web(undefined, { method: 'POST', body: `access_token=${token}` }),
      'ERR_NO_CREDENTIALS',
    ],
    ['the scheme alone', web('Bearer'), 'ERR_MALFORMED_TOKEN'],
    ['the scheme twice', web(`Bearer Bearer ${token}`), 'ERR_MALFORMED_TOKEN'],
    ['a tab', raw(['Authorization', `Bearer \t${token}`]), 'ERR_MALFORMED_TOKEN'],
    ['a line break', raw(['Authorization', `Bearer ${token}\r\nX: y`]), 'ERR_MALFORMED_TOKEN'],
    ['text after the token', web(`Bearer ${token} x`), 'ERR_MALFORMED_TOKEN'],
    ['quotes', web(`Bearer "${token}"`), 'ERR_MALFORMED_TOKEN'],
    ['an opaque token', web('Bearer abc'), 'ERR_MALFORMED_TOKEN'],
    [
      'two headers',
      raw(['Authorization', `Bearer ${token}`], ['authorization', 'Bearer x']),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'the same header twice',
      raw(['Authorization', `Bearer ${token}`], ['Authorization', `Bearer ${token}`]),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    ['two tokens joined', web(`Bearer ${token}, Bearer ${token}`), 'ERR_AMBIGUOUS_CREDENTIALS'],
    [
      'an unknown issuer',
      web(`Bearer ${signToken(key, { ...claims, iss: 'https://x.example' })}`),
      'ERR_UNKNOWN_ISSUER',
    ],
  ])('J27 J71 refuses %s', async (_, request, code) => {
    expect(await codeOf(verifier.verify(request))).toBe(code)
  })

  it('J71 refuses headers that a Web Request has joined', async () => {
    const headers = new Headers()
    headers.append('authorization', `Bearer ${token}`)
    headers.append('authorization', `Bearer ${token}`)
    expect(await codeOf(verifier.verify(web(undefined, { headers })))).toBe(
      'ERR_AMBIGUOUS_CREDENTIALS',
    )
  })

  it.each(['', ' ', 'a.b.c', `Bearer ${token}`, `${token}\n`, `${token}, x`, undefined, 7, {}])(
    'J27 verifyToken refuses %j with a typed error',
    async (bad) => {
      expect(await codeOf(verifier.verifyToken(bad as string))).toMatch(
        /^ERR_(MALFORMED_TOKEN|AMBIGUOUS_CREDENTIALS)$/,
      )
    },
  )

  it('leaves the body to the application', async () => {
    const request = web(`Bearer ${token}`, { method: 'POST', body: 'hello' })
    await verifier.verify(request)
    expect(request.bodyUsed).toBe(false)
    expect(await request.text()).toBe('hello')
  })

  it('shows authenticators the request, and its body without using it up', async () => {
    let seen: unknown[] = []
    const spy: Authenticator = {
      name: 'sigv4',
      recognise: ({ raw, method, target, headers, authorization, body }) => {
        seen = [raw, method, target, headers.length, authorization?.scheme, body]
        return { kind: 'absent' }
      },
    }
    const both = make({ authenticators: [spy, bearer] })
    const request = web(`Bearer ${token}`, { method: 'POST', body: 'hello' })
    await both.verify(request)
    expect(seen.slice(0, 5)).toEqual([false, 'POST', '/invoke?x=1', 2, 'bearer'])
    const body = await (seen[5] as () => Promise<Uint8Array>)()
    expect(new TextDecoder().decode(body)).toBe('hello')
    expect(await request.text()).toBe('hello')
    await both.verify(raw(['Authorization', `Bearer ${token}`]))
    expect(seen.slice(0, 5)).toEqual([true, 'POST', '/invoke', 2, 'bearer'])
  })

  it('refuses a request that two authenticators recognise', async () => {
    const both = make({ authenticators: [bearer, keyed] })
    expect((await both.verify(raw(['x-key', '1']))).method).toBe('sts')
    expect((await both.verify(web(`Bearer ${token}`))).method).toBe('jwt')
    const request = raw(['x-key', '1'], ['Authorization', `Bearer ${token}`])
    expect(await codeOf(both.verify(request))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
  })

  it('answers with a principal or a response', async () => {
    const scoped = make({
      authenticators: [
        jwtBearer({
          issuer,
          jwks: { keys: [key.jwk] },
          allowedAudience: ['agent'],
          allowedScopes: ['read'],
        }),
      ],
      resource: 'https://agent.example/mcp',
    })
    expect(isPrincipal(await verifier.authenticate(web(`Bearer ${token}`)))).toBe(true)
    const none = (await scoped.authenticate(web())) as Response
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).toBe(
      'Bearer realm="api", scope="read", resource_metadata="https://agent.example/.well-known/oauth-protected-resource/mcp"',
    )
    const bad = (await scoped.authenticate(web(`Bearer ${token.slice(0, -6)}AAAAAA`))) as Response
    expect([bad.status, await bad.json()]).toEqual([401, { error: 'invalid_token' }])
    const scope = (await scoped.authenticate(web(`Bearer ${token}`))) as Response
    expect(scope.status).toBe(403)
    expect(scope.headers.get('www-authenticate')).toContain('scope="read"')
  })

  it('J53 answers 503 while keys cannot be had', async () => {
    await using server = await startIssuer([key])
    server.routes.set('/jwks', status(500))
    const remote = make({
      authenticators: [
        jwtBearer({
          issuer: server.origin,
          allowedAudience: ['agent'],
          allowInsecureLoopback: true,
        }),
      ],
    })
    const response = (await remote.authenticate(
      web(`Bearer ${signToken(key, { ...claims, iss: server.origin })}`),
    )) as Response
    expect(response.status).toBe(503)
    expect(response.headers.get('www-authenticate')).toBeNull()
  })

  it('tells the audit about every decision once, and no token', async () => {
    const events: AuditEvent[] = []
    const audited = make({ audit: (event) => void events.push(event) })
    await audited.verify(web(`Bearer ${token}`))
    await codeOf(audited.verify(web()))
    await codeOf(audited.verifyToken(signToken(key, { ...claims, exp: now - 60 })))
    await codeOf(audited.verifyToken(signToken(key, { ...claims, iss: 'c4nary' })))
    await codeOf(audited.verifyToken(`${encode({ alg: 'c4nary' })}.${encode(claims)}.AAAA`))
    const atMs = clock()
    expect(events).toEqual([
      { atMs, type: 'caller_verified', method: 'jwt', issuer, subject: 'u1', clientId: 'web' },
      { atMs, type: 'caller_refused', code: 'ERR_NO_CREDENTIALS', reason: expect.any(String) },
      {
        atMs,
        type: 'caller_refused',
        code: 'ERR_TOKEN_EXPIRED',
        reason: 'the token has expired',
        method: 'jwt',
        issuer,
      },
      { atMs, type: 'caller_refused', code: 'ERR_UNKNOWN_ISSUER', reason: expect.any(String) },
      {
        atMs,
        type: 'caller_refused',
        code: 'ERR_ALG_NOT_ALLOWED',
        reason: expect.any(String),
        method: 'jwt',
        issuer,
      },
    ])
    expect(JSON.stringify(events)).not.toContain('c4nary')
    expect(JSON.stringify(events)).not.toContain(token.slice(0, 20))
  })

  it('tells the audit whom a guard refused, once, and what was refused before no second time', async () => {
    const events: AuditEvent[] = []
    const audited = make({ audit: (event) => void events.push(event) })
    const caller = await audited.verify(web(`Bearer ${token}`))
    const refusal = thrown(() => requireScopes('calendar:write')(caller))
    for (let times = 0; times < 2; times++) {
      expect(audited.challenge(refusal, web(`Bearer ${token}`), caller).status).toBe(403)
    }
    await audited.authenticate(web())
    const shared = new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason: 'away' })
    const away: Authenticator = {
      name: 'sts',
      recognise: () => ({ kind: 'refused', error: shared }),
    }
    const other = make({ authenticators: [away], audit: (event) => void events.push(event) })
    await Promise.all([other.authenticate(web()), other.authenticate(web())])
    expect(events.map(({ type, ...rest }) => [type, 'code' in rest && rest.code])).toEqual([
      ['caller_verified', false],
      ['caller_refused', 'ERR_INSUFFICIENT_SCOPE'],
      ['caller_refused', 'ERR_NO_CREDENTIALS'],
      ['caller_refused', 'ERR_KEYS_UNAVAILABLE'],
      ['caller_refused', 'ERR_KEYS_UNAVAILABLE'],
    ])
    expect(events[1]).toMatchObject({ method: 'jwt', issuer, subject: 'u1', clientId: 'web' })
  })

  it('a failing audit sink changes no decision', async () => {
    const audited = make({
      audit: () => {
        throw new Error('sink')
      },
    })
    expect((await audited.verifyToken(token)).subject).toBe('u1')
    expect(await codeOf(audited.verify(web()))).toBe('ERR_NO_CREDENTIALS')
  })

  it('throws on, in authenticate too, what is not a refusal', async () => {
    const broken: Authenticator = {
      name: 'sts',
      recognise: () => ({ kind: 'mine', authenticate: () => Promise.reject(new Error('bug')) }),
    }
    await expect(make({ authenticators: [broken] }).authenticate(web())).rejects.toThrow('bug')
    await expect(verifier.authenticate({} as Request)).rejects.toThrow(TypeError)
  })

  it.each<[string, Partial<InboundVerifierOptions>, RegExp]>([
    ['no authenticators', { authenticators: [] }, /authenticators/],
    ['something else', { authenticators: [{}] as never }, /authenticators\[0\]/],
    ['one issuer twice', { authenticators: [bearer, bearer] }, /issuer "https:\/\/idp.example"/],
    [
      'one issuer twice, by discovery',
      {
        authenticators: [
          jwtBearer({ issuer: `${issuer}/`, jwks: { keys: [key.jwk] }, allowedAudience: ['a'] }),
          jwtBearer({
            discoveryUrl: `${issuer}/.well-known/openid-configuration`,
            allowedAudience: ['a'],
          }),
        ],
      },
      /issuer "https:\/\/idp.example\/"/,
    ],
    ['a resource that is no URL', { resource: 'agent' }, /resource .*"agent"/],
    ['a resource with a fragment', { resource: 'https://a.example/#x' }, /resource/],
  ])('refuses %s at construction', (_, options, message) => {
    expect(() => make(options)).toThrow(TypeError)
    expect(() => make(options)).toThrow(message)
  })
})

describe('a crowd of new tokens', () => {
  /** How many of 400 had their answer when the first of them had it and the event loop turned. */
  async function settledFirst(
    verifier: InboundVerifier,
    iss = issuer,
    verify = (one: string) => verifier.verifyToken(one),
  ): Promise<number> {
    const crowd = Array.from({ length: 400 }, (_, n) => signToken(key, { ...claims, iss, n }))
    let settled = 0
    const answers = crowd.map(async (one) => {
      const caller = await verify(one)
      settled++
      return caller.claims.n
    })
    while (settled === 0) await nextTurn()
    const first = settled
    expect(await Promise.all(answers)).toEqual(crowd.map((_, n) => n))
    return first
  }

  it('leaves the event loop to others after a millisecond', async () => {
    expect(await settledFirst(make())).toBeLessThan(200)
  })

  it('does so where other credentials are taken beside tokens', async () => {
    const mixed = make({ authenticators: [bearer, keyed] })
    const verify = (one: string) => mixed.verify(raw(['Authorization', `Bearer ${one}`]))
    expect(await settledFirst(mixed, issuer, verify)).toBeLessThan(200)
  })

  it('does so too when all of them waited for the keys', async () => {
    await using server = await startIssuer([key])
    const options = { allowedAudience: ['agent'], allowInsecureLoopback: true }
    const fetched = make({ authenticators: [jwtBearer({ issuer: server.origin, ...options })] })
    expect(await settledFirst(fetched, server.origin)).toBeLessThan(200)
  })

  it('has tokens that are refused wait their turn as well', async () => {
    let settled = 0
    const junk = Array.from({ length: 400 }, (_, n) => `${token.slice(0, -8)}${1000 + n}AAAA`)
    const answers = junk.map((one) => codeOf(verifier.verifyToken(one)).finally(() => settled++))
    while (settled === 0) await nextTurn()
    expect(settled).toBeLessThan(200)
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['ERR_BAD_SIGNATURE']))
  })
})
