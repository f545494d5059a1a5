import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../../examples/browser.js'
import { type RunningOpenIdProvider, startOpenIdProvider } from '../../examples/openid-provider.js'

const API = 'https://api.example'
const REDIRECT = 'http://127.0.0.1:9/callback'
let ttlSeconds = 3600
let server: RunningOpenIdProvider

beforeAll(async () => {
  server = await startOpenIdProvider({
    clients: [
      {
        client_id: 'agent',
        client_secret: 'agent-secret',
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        redirect_uris: [REDIRECT],
      },
      {
        client_id: 'public',
        token_endpoint_auth_method: 'none',
        redirect_uris: [REDIRECT],
      },
    ],
    resourceServers: { [API]: { scopes: ['read', 'write'] } },
    accessTokenTtlSeconds: () => ttlSeconds,
  })
})

afterAll(() => server.close())

async function token(form: Record<string, string>, at = server.issuer) {
  const response = await fetch(`${at}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('agent:agent-secret')}` },
    body: new URLSearchParams(form),
  })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')

function authorizationUrl(extra: Record<string, string> = {}, at = server.issuer) {
  const query = new URLSearchParams({
    client_id: 'agent',
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid offline_access read',
    prompt: 'consent',
    state: 's1',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...extra,
  })
  return `${at}/auth?${query}`
}

const atCallback = (url: URL) => url.href.startsWith(REDIRECT)

async function signIn(
  at = server.issuer,
  browser = new Browser({ login: 'ada' }),
  extra: Record<string, string> = {},
) {
  const page = await browser.open(authorizationUrl(extra, at), { stopAt: atCallback })
  const back = new URL(page.url).searchParams
  const exchanged = await token(
    {
      grant_type: 'authorization_code',
      code: back.get('code') ?? '',
      redirect_uri: REDIRECT,
      code_verifier: verifier,
    },
    at,
  )
  return { back, page, ...exchanged }
}

function claimsOf(jwt: string | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt?.split('.')[1] ?? '', 'base64url').toString())
}

describe('the OpenID provider of the examples', () => {
  it('gives a client a JWT for the default resource, and counts the request', async () => {
    const before = server.requests.length
    const { body } = await token({ grant_type: 'client_credentials', scope: 'read' })
    expect(claimsOf(body.access_token)).toMatchObject({
      aud: API,
      scope: 'read',
      iss: server.issuer,
    })
    expect(server.requests.slice(before)).toEqual(['POST /token'])
  })

  it('reads the lifetime of access tokens at every issue', async () => {
    ttlSeconds = 7
    const { body } = await token({ grant_type: 'client_credentials' })
    ttlSeconds = 3600
    expect(body.expires_in).toBe(7)
  })

  it('refuses a resource that it does not know', async () => {
    const { status, body } = await token({
      grant_type: 'client_credentials',
      resource: 'https://other.example',
    })
    expect([status, body.error]).toEqual([400, 'invalid_target'])
  })

  it('goes through login and consent to a code, and the code to tokens of that user', async () => {
    const { back, page, status, body } = await signIn()
    expect(back.get('iss')).toBe(server.issuer)
    expect(back.get('state')).toBe('s1')
    expect(page.status).toBe(0)
    expect(page.trail.some((line) => line.startsWith('POST '))).toBe(true)
    expect(status).toBe(200)
    expect(claimsOf(body.access_token)).toMatchObject({ sub: 'ada', aud: API, scope: 'read' })
    expect(claimsOf(body.id_token)).toMatchObject({ sub: 'ada', aud: 'agent' })
    expect(body.refresh_token).toBeTypeOf('string')
  })

  it('comes back with access_denied when the user cancels on the consent page', async () => {
    const page = await new Browser({ login: 'ada' }).open(authorizationUrl(), {
      deny: true,
      stopAt: atCallback,
    })
    expect(new URL(page.url).searchParams.get('error')).toBe('access_denied')
  })

  it('requires PKCE of public clients', async () => {
    const url = new URL(authorizationUrl({ client_id: 'public' }))
    url.searchParams.delete('code_challenge')
    url.searchParams.delete('code_challenge_method')
    const page = await new Browser({ login: 'ada' }).open(url.href, { stopAt: atCallback })
    expect(new URL(page.url).searchParams.get('error')).toBe('invalid_request')
  })

  it('rotates refresh tokens, and a spent one ends the family', async () => {
    const first = await signIn()
    const refresh = (value: string | undefined) =>
      token({ grant_type: 'refresh_token', refresh_token: value ?? '' })
    const second = await refresh(first.body.refresh_token)
    expect(second.status).toBe(200)
    expect(second.body.refresh_token).not.toBe(first.body.refresh_token)
    expect((await refresh(first.body.refresh_token)).body.error).toBe('invalid_grant')
    expect((await refresh(second.body.refresh_token)).body.error).toBe('invalid_grant')
  })

  it('runs twice at once under one browser', async () => {
    await using other = await startOpenIdProvider({
      clients: [
        {
          client_id: 'agent',
          client_secret: 'agent-secret',
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: [REDIRECT],
        },
      ],
      scopes: ['read'],
      refreshTokens: 'always',
    })
    const browser = new Browser({ login: 'ada' })
    expect((await signIn(server.issuer, browser)).status).toBe(200)
    const elsewhere = await signIn(other.issuer, browser)
    expect(elsewhere.status).toBe(200)
    expect(elsewhere.back.get('iss')).toBe(other.issuer)
    const again = await signIn(server.issuer, browser)
    expect(again.page.trail.filter((line) => line.startsWith('POST '))).toHaveLength(1) // consent, no login
  })

  it('gives refresh tokens without offline_access when told to, and introspects opaque tokens', async () => {
    await using other = await startOpenIdProvider({
      clients: [
        {
          client_id: 'agent',
          client_secret: 'agent-secret',
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: [REDIRECT],
        },
      ],
      resourceServers: { [API]: { scopes: ['read'], accessTokenFormat: 'opaque' } },
      refreshTokens: 'always',
    })
    const { body } = await signIn(other.issuer, undefined, { scope: 'read', prompt: 'login' })
    expect(body.refresh_token).toBeTypeOf('string')
    const post = (path: string, value: string | undefined) =>
      fetch(`${other.issuer}/token/${path}`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa('agent:agent-secret')}` },
        body: new URLSearchParams({ token: value ?? '' }),
      })
    const introspect = async () => (await post('introspection', body.access_token)).json()
    expect(await introspect()).toMatchObject({ active: true, sub: 'ada', scope: 'read', aud: API })
    expect((await post('revocation', body.refresh_token)).status).toBe(200)
    expect(await introspect()).toEqual({ active: false })
  })
})
