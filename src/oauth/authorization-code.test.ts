import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type HostileServer,
  replyJson,
  startHostileServer,
} from '../../test/support/hostile-server.js'
import { codeOf, makeKey, signToken } from '../../test/support/issuer.js'
import { oauth2 } from '../providers/oauth2.js'
import {
  isReservedParameter,
  readAuthorizationResponse,
  redeemCode,
  startAuthorization,
} from './authorization-code.js'
import { AuthorizationServer } from './server.js'

let hostile: HostileServer
let server: AuthorizationServer
const key = makeKey('ES256')
beforeAll(async () => {
  hostile = await startHostileServer({
    code_challenge_methods_supported: ['plain'],
    id_token_signing_alg_values_supported: ['ES256'],
  })
  server = new AuthorizationServer({
    name: 'api',
    issuer: hostile.issuer,
    clientId: 'agent',
    clientAuth: 'none',
    allowInsecureLoopback: true,
    timeoutMs: 1_000,
    clock: Date.now,
  })
})
afterAll(() => hostile[Symbol.asyncDispose]())

const start = (extra: object = {}) =>
  startAuthorization(server, { scopes: ['read'], redirectUri: 'https://app.example/cb', ...extra })

describe('an authorization request', () => {
  it('uses S256 also where the server claims to know plain only (O07)', async () => {
    const { url, codeVerifier } = await start()
    const query = new URL(url).searchParams
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(codeVerifier))
    expect(query.get('code_challenge_method')).toBe('S256')
    expect(query.get('code_challenge')).toBe(Buffer.from(digest).toString('base64url'))
    expect(url).not.toContain(codeVerifier)
  })

  it('has secrets of its own each time (O06, O07)', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => start({ scopes: ['openid'] })))
    for (const name of ['state', 'codeVerifier', 'nonce'] as const) {
      expect(new Set(all.map((one) => one[name])).size).toBe(20)
      expect(all.every((one) => /^[\w-]{43}$/.test(one[name] ?? ''))).toBe(true)
    }
  })

  it('is not bent by parameters of the configuration or of the endpoint (O16)', async () => {
    const { url } = await start({
      parameters: { prompt: 'consent', client_id: 'evil', state: 'x' },
    })
    const query = new URL(url).searchParams
    expect(query.get('prompt')).toBe('consent')
    expect(query.getAll('client_id')).toEqual(['agent'])
    expect(query.getAll('state')).not.toContain('x')
  })
})

describe('reserved parameters', () => {
  const names = [
    ...['client_id', 'redirect_uri', 'state', 'response_type', 'response_mode', 'scope', 'nonce'],
    ...['code_challenge', 'code_challenge_method', 'code_verifier', 'request', 'request_uri'],
    ...['resource', 'client_assertion', 'client_assertion_type', 'client_secret', 'grant_type'],
    ...['code', 'refresh_token', 'dpop_jkt', '__proto__'],
  ]

  it.each(names)('%s is refused in any case (O16)', (name) => {
    for (const spelled of [name, name.toUpperCase(), name[0]!.toUpperCase() + name.slice(1)]) {
      expect(isReservedParameter(spelled)).toBe(true)
      const parameters = JSON.parse(`{"${spelled}":"x"}`)
      expect(() =>
        oauth2({
          issuer: 'https://a.example',
          clientId: 'c',
          authorizationParameters: parameters,
        }),
      ).toThrow(TypeError)
    }
  })
})

describe('an authorization response', () => {
  const read = (query: string) => readAuthorizationResponse(server, new URLSearchParams(query))
  const iss = () => encodeURIComponent(hostile.issuer)

  it('gives the code, with or without iss', async () => {
    expect(await read('code=c')).toEqual({ kind: 'code', code: 'c' })
    expect(await read(`code=c&iss=${iss()}`)).toEqual({ kind: 'code', code: 'c' })
  })

  it.each([
    ['code=', 'missing code'],
    ['', 'missing code'],
    [`code=${'x'.repeat(4097)}`, 'missing code'],
    ['code=a&code=b', 'repeated code'],
    ['error=a&error=b', 'repeated error'],
    ['code=a&iss=x&iss=x', 'repeated iss'],
    ['code=a&iss=', 'iss of another server'],
    ['code=a&iss=https://evil.example', 'iss of another server'],
    ['error=access_denied&iss=https://evil.example', 'iss of another server'],
    ['code=a&id_token=x', 'unexpected id_token'],
    ['code=a&access_token=x', 'unexpected access_token'],
    ['response=x', 'unexpected response'],
  ])('%s is refused (O05, O60)', async (query, reason) => {
    expect(await read(query)).toEqual({ kind: 'invalid', reason })
  })

  it('that is an error wins over a code in it (O11)', async () => {
    expect(await read('code=c&error=access_denied')).toEqual({
      kind: 'error',
      error: 'access_denied',
    })
    expect(await read('error=<script>')).toEqual({ kind: 'error', error: 'unknown' })
  })

  it('must have iss where the server promises it (O05)', async () => {
    await using promising = await startHostileServer({
      authorization_response_iss_parameter_supported: true,
    })
    const other = new AuthorizationServer({ ...server.options, issuer: promising.issuer })
    expect(await readAuthorizationResponse(other, new URLSearchParams('code=c'))).toMatchObject({
      reason: 'missing iss',
    })
  })
})

describe('an ID token', () => {
  const nowS = () => Math.floor(Date.now() / 1000)
  const claims = () => ({
    iss: hostile.issuer,
    sub: 'ada',
    aud: 'agent',
    nonce: 'n1',
    iat: nowS(),
    exp: nowS() + 300,
  })
  const redeem = (idToken: string | undefined, extra: object = {}, from = server) => {
    const body = { access_token: 't', token_type: 'bearer', id_token: idToken, ...extra }
    hostile.routes.set('/token', replyJson(body))
    return redeemCode(from, {
      code: 'c',
      redirectUri: 'https://app.example/cb',
      codeVerifier: 'v'.repeat(43),
      nonce: 'n1',
      scopes: ['openid'],
    })
  }

  it('says whose account it is', async () => {
    const { account } = await redeem(signToken(key, { ...claims(), email: 'ada@a.example' }))
    expect(account).toEqual({ subject: 'ada', label: 'ada@a.example' })
    const named = await redeem(signToken(key, { ...claims(), email: 'a\nb' }))
    expect(named.account).toEqual({ subject: 'ada', label: 'ada' })
  })

  it('may be signed with ES256 also where endpoints are given instead of metadata', async () => {
    const token = `${hostile.issuer}/token`
    const bare = new AuthorizationServer({ ...server.options, endpoints: { token } })
    const { account } = await redeem(signToken(key, claims()), {}, bare)
    expect(account?.subject).toBe('ada')
    const unsigned = signToken(key, claims(), { alg: 'none' })
    expect(await codeOf(redeem(unsigned, {}, bare))).toBe('ERR_SERVER_RESPONSE')
  })

  it.each<[string, (c: ReturnType<typeof claims>) => string | undefined]>([
    ['missing', () => undefined],
    ['no JWT', () => 'abc'],
    ['unsigned', (c) => signToken(key, c, { alg: 'none' })],
    ['of another algorithm', (c) => signToken(key, c, { alg: 'HS256' })],
    ['without nonce', ({ nonce: _, ...c }) => signToken(key, c)],
    ['with another nonce', (c) => signToken(key, { ...c, nonce: 'n2' })],
    ['for another client', (c) => signToken(key, { ...c, aud: 'other' })],
    ['for two without azp', (c) => signToken(key, { ...c, aud: ['agent', 'other'] })],
    ['of another azp', (c) => signToken(key, { ...c, aud: ['agent', 'b'], azp: 'b' })],
    ['of another issuer', (c) => signToken(key, { ...c, iss: 'https://evil.example' })],
    ['that ended', (c) => signToken(key, { ...c, exp: nowS() - 60 })],
    ['without sub', ({ sub: _, ...c }) => signToken(key, c)],
    ['without exp', ({ exp: _, ...c }) => signToken(key, c)],
    ['with a sub of 256 characters', (c) => signToken(key, { ...c, sub: 'x'.repeat(256) })],
  ])('%s is refused (O08)', async (_, make) => {
    expect(await codeOf(redeem(make(claims())))).toBe('ERR_SERVER_RESPONSE')
  })

  it('that nobody asked for is ignored', async () => {
    hostile.routes.set(
      '/token',
      replyJson({ access_token: 't', token_type: 'bearer', id_token: 'x' }),
    )
    const request = { code: 'c', redirectUri: 'https://app.example/cb', codeVerifier: 'v' }
    const redeemed = await redeemCode(server, { ...request, scopes: ['read'] })
    expect(redeemed).not.toHaveProperty('account')
  })

  it('without nonce is taken where the server has none, and no nonce is sent', async () => {
    const plain = new AuthorizationServer({ ...server.options, idTokenNonce: false })
    const request = { scopes: ['openid'], redirectUri: 'https://app.example/cb' }
    const started = await startAuthorization(plain, request)
    expect(new URL(started.url).searchParams.has('nonce')).toBe(false)
    const { nonce: _, ...bare } = claims()
    const body = { access_token: 't', token_type: 'bearer' }
    const redeem = (idToken: string | undefined) => {
      hostile.routes.set('/token', replyJson({ ...body, id_token: idToken }))
      return redeemCode(plain, { ...request, code: 'c', codeVerifier: 'v' })
    }
    expect((await redeem(signToken(key, bare))).account?.subject).toBe('ada')
    expect(await codeOf(redeem(signToken(key, claims())))).toBe('ERR_SERVER_RESPONSE')
    expect(await codeOf(redeem(undefined))).toBe('ERR_SERVER_RESPONSE')
  })

  it.each<[what: string, tid: unknown, iss: string, subject: string | undefined]>([
    ['a tenant', 't-1', '/t-1/v2.0', 't-1/ada'],
    ['another tenant than it names', 't-1', '/t-2/v2.0', undefined],
    ['no tenant', undefined, '//v2.0', undefined],
    ['an empty tenant', '', '//v2.0', undefined],
    ['a tenant with a slash', 'a/b', '/a/b/v2.0', undefined],
    ['a tenant that is a pattern', '$&', '/{tenantid}/v2.0', undefined],
    ['the template itself', '{tenantid}', '/{tenantid}/v2.0', undefined],
    ['the issuer of the metadata', 't-1', '', undefined],
  ])('of a server with many tenants names its own: %s', async (_, tid, path, subject) => {
    const issuerTemplate = `${hostile.issuer}/{tenantid}/v2.0`
    const tenants = new AuthorizationServer({ ...server.options, issuerTemplate })
    const redeemed = redeem(
      signToken(key, { ...claims(), tid, iss: hostile.issuer + path }),
      {},
      tenants,
    )
    if (subject === undefined) expect(await codeOf(redeemed)).toBe('ERR_SERVER_RESPONSE')
    else expect((await redeemed).account?.subject).toBe(subject)
  })

  it.each<[what: string, extra: object, token: string, hint: string]>([
    ['another nonce', { refresh_token: 'rt' }, 'rt', 'refresh_token'],
    ['another nonce, no refresh token', {}, 't', 'access_token'],
    ['another token type', { token_type: 'mac', refresh_token: 'rt' }, 'rt', 'refresh_token'],
    ['a scope that is no text', { scope: 7, refresh_token: 'rt' }, 'rt', 'refresh_token'],
  ])(
    'beside an answer that is not in order: its tokens are given back: %s',
    async (_, extra, token, hint) => {
      const endpoints = { token: `${hostile.issuer}/token`, revocation: `${hostile.issuer}/revoke` }
      const revoking = new AuthorizationServer({ ...server.options, endpoints })
      const given: object[] = []
      hostile.routes.set('/revoke', (response, { form }) => {
        given.push(Object.fromEntries(form))
        response.writeHead(200).end()
      })
      const bad = signToken(key, { ...claims(), nonce: 'n2' })
      expect(await codeOf(redeem(bad, extra, revoking))).toBe('ERR_SERVER_RESPONSE')
      expect(given).toMatchObject([{ token, token_type_hint: hint }])
    },
  )
})

describe('a server with many tenants', () => {
  it.each([
    ['/t-1/v2.0', 'code'],
    ['/t-1/v1.0', 'invalid'],
    ['/a/b/v2.0', 'invalid'],
    ['//v2.0', 'invalid'],
    ['', 'invalid'],
  ])('answers with the issuer of a tenant: %j is %s', async (path, kind) => {
    const issuerTemplate = `${hostile.issuer}/{tenantid}/v2.0`
    const tenants = new AuthorizationServer({ ...server.options, issuerTemplate })
    const query = new URLSearchParams({ code: 'c', iss: hostile.issuer + path })
    expect((await readAuthorizationResponse(tenants, query)).kind).toBe(kind)
  })

  it('may name the template in its metadata', async () => {
    await using many = await startHostileServer()
    const issuerTemplate = `${many.issuer}/{tenantid}/v2.0`
    many.routes.set(
      '/.well-known/openid-configuration',
      replyJson({ issuer: issuerTemplate, token_endpoint: `${many.issuer}/token` }),
    )
    const options = { ...server.options, issuer: many.issuer }
    const tenants = new AuthorizationServer({ ...options, issuerTemplate })
    expect(await tenants.metadata()).toMatchObject({ token_endpoint: `${many.issuer}/token` })
    expect(await codeOf(new AuthorizationServer(options).metadata())).toBe('ERR_SERVER_RESPONSE')
  })
})
