import { generateKeyPairSync } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { InboundAuthError, InboundVerifier, jwtBearer, type Principal } from 'deputize'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../../examples/browser.js'
import {
  type RunningOpenIdProvider,
  startOpenIdProvider,
  withoutNotices,
} from '../../examples/openid-provider.js'
import { signIn } from '../../examples/sign-in.js'

const ES = 'https://es.agent.example'
const RS = 'https://rs.agent.example'
const OPAQUE = 'https://opaque.agent.example'
const REDIRECT = 'http://127.0.0.1/signed-in'
let provider: RunningOpenIdProvider
let other: RunningOpenIdProvider
let ttlSeconds = 3600

const start = () =>
  startOpenIdProvider({
    clients: [
      {
        client_id: 'web-app',
        token_endpoint_auth_method: 'none',
        redirect_uris: [REDIRECT],
        application_type: 'native',
      },
      {
        client_id: 'machine',
        client_secret: 'machine-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    accessTokenTtlSeconds: () => ttlSeconds,
    configuration: { features: { resourceIndicators: resources } },
  })
const resources = {
  enabled: true,
  defaultResource: () => ES,
  useGrantedResource: () => true,
  getResourceServerInfo: (_ctx: unknown, resource: string) => ({
    scope: 'agent:invoke agent:admin',
    audience: resource,
    accessTokenFormat: resource === OPAQUE ? 'opaque' : 'jwt',
    jwt: { sign: { alg: resource === RS ? 'RS256' : 'ES256' } },
  }),
}

beforeAll(async () => {
  provider = await start()
  other = await start()
})
afterAll(() => Promise.all([provider.close(), other.close()]))

function verifierFor(audience: string, extra: object = {}, issuer = provider.issuer) {
  return new InboundVerifier({
    authenticators: [
      jwtBearer({
        discoveryUrl: `${issuer}/.well-known/openid-configuration`,
        allowedAudience: [audience],
        allowInsecureLoopback: true,
        ...extra,
      }),
    ],
  })
}
const tokenFor = (resource: string, issuer = provider.issuer, scope = 'openid agent:invoke') =>
  signIn({ issuer, clientId: 'web-app', redirectUri: REDIRECT, resource, scope, login: 'ada' })

async function machineToken(resource = ES): Promise<string> {
  const response = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('machine:machine-secret')}` },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      resource,
      scope: 'agent:invoke',
    }),
  })
  return ((await response.json()) as { access_token: string }).access_token
}

const call = (verifier: InboundVerifier, token: string): Promise<Principal> =>
  verifier.verify(
    new Request('https://agent.example/', { headers: { authorization: `Bearer ${token}` } }),
  )
const refusal = async (verifier: InboundVerifier, token: string) => {
  const error = await call(verifier, token).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InboundAuthError)
  return error as InboundAuthError
}
const header = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0]!, 'base64url').toString())

describe('an access token of a real OpenID provider', () => {
  it.each([
    ['RS256', RS],
    ['ES256', ES],
  ])('signed with %s is accepted by way of discovery', async (alg, audience) => {
    const token = await tokenFor(audience)
    expect(header(token)).toMatchObject({ alg, typ: 'at+jwt' })
    const principal = await call(verifierFor(audience), token)
    expect(principal).toMatchObject({
      method: 'jwt',
      issuer: provider.issuer,
      subject: 'ada',
      clientId: 'web-app',
      audience: [audience],
      scopes: ['agent:invoke'],
      user: { issuer: provider.issuer, subject: 'ada' },
    })
  })

  it('is verified again and again with one discovery and one key request', async () => {
    const [verifier, token] = [verifierFor(ES), await tokenFor(ES)]
    const from = provider.requests.length
    await Promise.all(Array.from({ length: 50 }, () => call(verifier, token)))
    expect(provider.requests.slice(from).sort()).toEqual([
      'GET /.well-known/openid-configuration',
      'GET /jwks',
    ])
  })

  it('for another audience is refused', async () => {
    const error = await refusal(verifierFor(ES), await tokenFor(RS))
    expect(error).toMatchObject({ code: 'ERR_AUDIENCE_MISMATCH', status: 401 })
  })

  it('that ended is refused', async () => {
    ttlSeconds = 1
    const token = await tokenFor(ES)
    ttlSeconds = 3600
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          discoveryUrl: `${provider.issuer}/.well-known/openid-configuration`,
          allowedAudience: [ES],
          allowInsecureLoopback: true,
        }),
      ],
      clock: () => Date.now() + 120_000,
    })
    expect(await refusal(verifier, token)).toMatchObject({ code: 'ERR_TOKEN_EXPIRED' })
  })

  it('of another issuer is refused without a request to anybody', async () => {
    const token = await tokenFor(ES, other.issuer)
    const from = [provider.requests.length, other.requests.length]
    expect(await refusal(verifierFor(ES), token)).toMatchObject({ code: 'ERR_UNKNOWN_ISSUER' })
    expect([provider.requests.length, other.requests.length]).toEqual(from)
  })

  it('with too few scopes is refused with 403', async () => {
    const verifier = verifierFor(ES, { allowedScopes: ['agent:admin'] })
    expect(await refusal(verifier, await tokenFor(ES))).toMatchObject({
      code: 'ERR_INSUFFICIENT_SCOPE',
      status: 403,
    })
  })

  it('of a client that is not allowed is refused', async () => {
    const verifier = verifierFor(ES, { allowedClients: ['another-app'] })
    expect(await refusal(verifier, await tokenFor(ES))).toMatchObject({
      code: 'ERR_CLIENT_NOT_ALLOWED',
    })
  })

  it('that says nothing to who holds it (opaque) is refused', async () => {
    const token = await machineToken(OPAQUE)
    expect(token.split('.')).toHaveLength(1)
    expect(await refusal(verifierFor(OPAQUE), token)).toMatchObject({
      code: 'ERR_MALFORMED_TOKEN',
    })
  })

  it('of a machine has a client and no user', async () => {
    const principal = await call(verifierFor(ES), await machineToken())
    expect(principal).toMatchObject({ clientId: 'machine', scopes: ['agent:invoke'] })
    expect(principal.user).toBeUndefined()
  })
})

describe('an ID token of a real OpenID provider', () => {
  async function idToken(extra: Record<string, string>): Promise<string> {
    const verifier = 'v'.repeat(43)
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
    const url = new URL(`${provider.issuer}/auth`)
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: 'web-app',
      redirect_uri: REDIRECT,
      scope: 'openid',
      code_challenge: Buffer.from(digest).toString('base64url'),
      code_challenge_method: 'S256',
      ...extra,
    }).toString()
    const page = await new Browser({ login: 'ada' }).open(url.href, {
      stopAt: (next) => next.href.startsWith(REDIRECT),
    })
    const response = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: 'web-app',
        code: new URL(page.url).searchParams.get('code') ?? '',
        redirect_uri: REDIRECT,
        code_verifier: verifier,
      }),
    })
    return ((await response.json()) as { id_token: string }).id_token
  }

  it('is refused: it is for the application, not for the agent', async () => {
    expect(await refusal(verifierFor(ES), await idToken({}))).toMatchObject({
      code: 'ERR_AUDIENCE_MISMATCH',
    })
  })

  it('with a nonce is refused also where its audience is allowed', async () => {
    expect(await refusal(verifierFor('web-app'), await idToken({ nonce: 'n1' }))).toMatchObject({
      code: 'ERR_TOKEN_TYPE',
    })
  })
})

describe('key rotation', () => {
  /** The same issuer with other keys: a provider that was restarted, at one address. */
  async function rotating() {
    let current: RunningOpenIdProvider | undefined
    const server: Server = createServer((request, response) => {
      current!.provider.callback()(request, response)
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as { port: number }
    const issuer = `http://127.0.0.1:${port}`
    const { default: OpenIdProvider } = await import('oidc-provider')
    const restart = async (kid: string) => {
      const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
      const configuration = {
        clients: [
          {
            client_id: 'machine',
            client_secret: 'machine-secret',
            grant_types: ['client_credentials'],
            redirect_uris: [],
            response_types: [],
          },
        ],
        jwks: {
          keys: [
            { ...ec.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid },
            { ...rsa.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: `${kid}-rsa` },
          ],
        },
        cookies: { keys: ['x'] },
        features: {
          devInteractions: { enabled: false },
          clientCredentials: { enabled: true },
          resourceIndicators: resources,
        },
        ttl: { ClientCredentials: 3600 },
      }
      const provider = await withoutNotices(async () => new OpenIdProvider(issuer, configuration))
      current = { provider } as RunningOpenIdProvider
    }
    return { issuer, restart, stop: () => new Promise((done) => server.close(done)) }
  }

  it('is followed without a restart of the agent; tokens of the old key end', async () => {
    const { issuer, restart, stop } = await rotating()
    let aheadMs = 0
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          discoveryUrl: `${issuer}/.well-known/openid-configuration`,
          allowedAudience: [ES],
          allowInsecureLoopback: true,
        }),
      ],
      clock: () => Date.now() + aheadMs,
    })
    const mint = async () => {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa('machine:machine-secret')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: ES }),
      })
      return ((await response.json()) as { access_token: string }).access_token
    }
    await restart('first')
    const old = await mint()
    expect((await call(verifier, old)).clientId).toBe('machine')
    await restart('second')
    const fresh = await mint()
    aheadMs = 70_000 // an unknown key is looked for again, but not at every request
    expect((await call(verifier, fresh)).clientId).toBe('machine')
    expect(await refusal(verifier, old)).toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
    await stop()
  })
})
