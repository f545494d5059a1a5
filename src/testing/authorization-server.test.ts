import { createPublicKey, verify } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from './authorization-server.js'

const http = { [oauth.allowInsecureRequests]: true }
const REDIRECT = 'http://127.0.0.1:9/callback'
let ttlMs = 3_600_000
let server: RunningAuthorizationServer
let as: oauth.AuthorizationServer
let client: oauth.Client
let auth: oauth.ClientAuth

beforeAll(async () => {
  server = await startAuthorizationServer({ accessTokenTtlMs: () => ttlMs })
  const issuer = new URL(server.issuer)
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
  client = { client_id: server.clientId }
  auth = oauth.ClientSecretBasic(server.clientSecret)
})

afterAll(() => server.close())

async function clientCredentials(params: Record<string, string>, clientAuth = auth) {
  const response = await oauth.clientCredentialsGrantRequest(as, client, clientAuth, params, http)
  return oauth.processClientCredentialsResponse(as, client, response)
}

async function authorize(extra: Record<string, string> = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const url = new URL(as.authorization_endpoint ?? '')
  const query = {
    client_id: server.clientId,
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid read write',
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...extra,
  }
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  const response = await fetch(url, { redirect: 'manual' })
  return { response, verifier, state, nonce, location: response.headers.get('location') ?? '' }
}

async function exchange(from: Awaited<ReturnType<typeof authorize>>, verifier = from.verifier) {
  const params = oauth.validateAuthResponse(as, client, new URL(from.location), from.state)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    auth,
    params,
    REDIRECT,
    verifier,
    http,
  )
  return oauth.processAuthorizationCodeResponse(as, client, response, {
    expectedNonce: from.nonce,
    requireIdToken: true,
  })
}

async function refresh(token: string | undefined, scope?: string) {
  const additionalParameters = scope === undefined ? {} : { scope }
  const options = { ...http, additionalParameters }
  const response = await oauth.refreshTokenGrantRequest(as, client, auth, token ?? '', options)
  return oauth.processRefreshTokenResponse(as, client, response)
}

function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}

const refused = (error: string) => ({ name: 'ResponseBodyError', error })

describe('startAuthorizationServer', () => {
  it('says the same in both metadata documents', async () => {
    const issuer = new URL(server.issuer)
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http })
    expect(await oauth.processDiscoveryResponse(issuer, response)).toEqual(as)
    expect(await (await fetch(server.discoveryUrl)).json()).toEqual(as)
  })

  it('gives the client a signed access token as RFC 9068 has it', async () => {
    const token = await clientCredentials({ scope: 'read', resource: 'https://billing.example' })
    expect(token).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'read' })
    const [header = '', payload = '', signature = ''] = token.access_token.split('.')
    const { alg, typ, kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
    expect([alg, typ]).toEqual(['ES256', 'at+jwt'])
    const jwks = (await (await fetch(as.jwks_uri ?? '')).json()) as { keys: { kid: string }[] }
    const jwk = jwks.keys.find((key) => key.kid === kid)
    expect(jwk).not.toHaveProperty('d')
    const key = createPublicKey({ format: 'jwk', key: { ...jwk } })
    const [input, bytes] = [
      Buffer.from(`${header}.${payload}`),
      Buffer.from(signature, 'base64url'),
    ]
    expect(verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, bytes)).toBe(true)
    expect(claimsOf(token.access_token)).toMatchObject({
      iss: server.issuer,
      sub: server.clientId,
      client_id: server.clientId,
      aud: 'https://billing.example',
      scope: 'read',
      jti: expect.any(String),
    })
  })

  it('takes the secret in the body too, and refuses a wrong one', async () => {
    await clientCredentials({}, oauth.ClientSecretPost(server.clientSecret))
    for (const wrong of [oauth.ClientSecretBasic('wrong'), oauth.ClientSecretPost('wrong')]) {
      await expect(clientCredentials({}, wrong)).rejects.toMatchObject({ status: 401 })
    }
  })

  it('goes from the authorization to tokens of the user', async () => {
    const token = await exchange(await authorize({ login_hint: 'ada' }))
    expect(claimsOf(token.access_token)).toMatchObject({ sub: 'ada', scope: 'openid read write' })
    expect(oauth.getValidatedIdTokenClaims(token)).toMatchObject({
      sub: 'ada',
      aud: server.clientId,
    })
    expect(token.refresh_token).toBeTypeOf('string')
  })

  it('signs in the default user, and names itself in the answer', async () => {
    const from = await authorize()
    expect(new URL(from.location).searchParams.get('iss')).toBe(server.issuer)
    expect(claimsOf((await exchange(from)).access_token).sub).toBe('user-1')
  })

  it('denies when asked to', async () => {
    const { location } = await authorize({ deny: '1' })
    const back = new URL(location).searchParams
    expect([back.get('error'), back.get('code')]).toEqual(['access_denied', null])
  })

  it.each([{ code_challenge: '' }, { code_challenge_method: 'plain' }])(
    'requires PKCE with S256 (%o)',
    async (extra) => {
      const { location } = await authorize(extra)
      expect(new URL(location).searchParams.get('error')).toBe('invalid_request')
    },
  )

  it.each([
    { redirect_uri: 'https://elsewhere.example/' },
    { redirect_uri: 'no uri' },
    { client_id: 'another' },
  ])('redirects to nobody for %o', async (extra) => {
    const { response, location } = await authorize(extra)
    expect([response.status, location]).toEqual([400, ''])
  })

  it('refuses a code with another verifier, and spends it once only', async () => {
    const from = await authorize()
    await expect(exchange(from, 'x'.repeat(43))).rejects.toMatchObject(refused('invalid_grant'))
    const token = await exchange(from)
    await expect(exchange(from)).rejects.toMatchObject(refused('invalid_grant'))
    await expect(refresh(token.refresh_token)).rejects.toMatchObject(refused('invalid_grant'))
  })

  it('rotates refresh tokens, and a spent one ends the family', async () => {
    const first = await exchange(await authorize())
    const second = await refresh(first.refresh_token)
    expect(second.refresh_token).not.toBe(first.refresh_token)
    await expect(refresh(first.refresh_token)).rejects.toMatchObject(refused('invalid_grant'))
    await expect(refresh(second.refresh_token)).rejects.toMatchObject(refused('invalid_grant'))
  })

  it('gives fewer scopes at a refresh when asked, and never more', async () => {
    const first = await exchange(await authorize())
    const second = await refresh(first.refresh_token, 'read admin')
    expect(second.scope).toBe('read')
    expect((await refresh(second.refresh_token)).scope).toBe('openid read write')
  })

  it('revokes', async () => {
    const { refresh_token: token } = await exchange(await authorize())
    const response = await oauth.revocationRequest(as, client, auth, token ?? '', http)
    await oauth.processRevocationResponse(response)
    await expect(refresh(token)).rejects.toMatchObject(refused('invalid_grant'))
  })

  it('reads the lifetime at every issue', async () => {
    ttlMs = 5_000
    const token = await clientCredentials({})
    ttlMs = 3_600_000
    const { iat, exp } = claimsOf(token.access_token) as { iat: number; exp: number }
    expect(token.expires_in).toBe(5)
    expect(exp - iat).toBe(5)
  })

  it('makes tokens to call an agent with', () => {
    const token = server.userToken({
      subject: 'ada',
      audience: ['calendar-agent'],
      scopes: ['agent:invoke'],
      ttlMs: -60_000,
      claims: { groups: ['staff'] },
    })
    const claims = claimsOf(token) as { exp: number; iat: number }
    expect(claims).toMatchObject({
      sub: 'ada',
      aud: ['calendar-agent'],
      scope: 'agent:invoke',
      groups: ['staff'],
    })
    expect(claims.exp).toBeLessThan(claims.iat)
  })

  it('counts requests', async () => {
    const before = server.requests.length
    await clientCredentials({})
    expect(server.requests.slice(before)).toEqual(['POST /token'])
  })

  it.each([
    [
      'grant_type=client_credentials&scope=a&scope=b',
      'application/x-www-form-urlencoded',
      'invalid_request',
    ],
    ['{}', 'application/json', 'invalid_request'],
    ['grant_type=password', 'application/x-www-form-urlencoded', 'unsupported_grant_type'],
    [
      'grant_type=client_credentials&client_secret=x',
      'application/x-www-form-urlencoded',
      'invalid_request',
    ],
    ['', 'application/x-www-form-urlencoded', 'invalid_request'],
    ['x='.padEnd(70_000, 'y'), 'application/x-www-form-urlencoded', 'invalid_request'],
  ])('refuses a body that is not in order (%#)', async (body, type, error) => {
    const authorization = `Basic ${btoa(`${server.clientId}:${server.clientSecret}`)}`
    const response = await fetch(`${server.issuer}/token`, {
      method: 'POST',
      headers: { authorization, 'content-type': type },
      body,
    })
    expect([response.status, await response.json()]).toMatchObject([400, { error }])
  })

  it('redirects to the registered URIs only, when there are some', async () => {
    await using strict = await startAuthorizationServer({ redirectUris: [REDIRECT] })
    const query = { client_id: 'agent', response_type: 'code', code_challenge_method: 'S256' }
    const ask = async (uri: string) => {
      const params = new URLSearchParams({ ...query, redirect_uri: uri, code_challenge: 'x' })
      return fetch(`${strict.issuer}/authorize?${params}`, { redirect: 'manual' })
    }
    expect((await ask(REDIRECT)).status).toBe(302)
    expect((await ask(`${REDIRECT}/more`)).status).toBe(400)
  })
})
