/** Access tokens as a real provider issues them: JWT, opaque, bound to a DPoP key. */
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningOpenIdProvider, startOpenIdProvider } from '../../examples/openid-provider.js'
import {
  InboundVerifier,
  introspection,
  jwtBearer,
  rfc9068Tokens,
} from '../../src/inbound/index.js'

const JWT_API = 'https://jwt.example/api'
const OPAQUE_API = 'https://opaque.example/api'
let server: RunningOpenIdProvider
let as: oauth.AuthorizationServer
const insecure = { [oauth.allowInsecureRequests]: true }
const client: oauth.Client = { client_id: 'caller' }

beforeAll(async () => {
  server = await startOpenIdProvider({
    clients: [
      {
        client_id: 'caller',
        client_secret: 'caller-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'agent',
        client_secret: 'agent secret/%',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    resourceServers: {
      [JWT_API]: { scopes: ['read', 'write'] },
      [OPAQUE_API]: { scopes: ['read', 'write'], accessTokenFormat: 'opaque' },
    },
    configuration: { features: { dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1) } } },
  })
  const issuer = new URL(server.issuer)
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
})
afterAll(() => server.close())

async function tokenFor(resource: string, scope = 'read', DPoP?: oauth.DPoPHandle) {
  const ask = () =>
    oauth.clientCredentialsGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic('caller-secret'),
      { resource, scope },
      { ...insecure, ...(DPoP ? { DPoP } : {}) },
    )
  const answer = await ask()
  return oauth.processClientCredentialsResponse(as, client, answer)
}

const verifierOf = (resource: string, nonceSecret?: string) => {
  const dpop = nonceSecret === undefined ? {} : { nonceSecret }
  return new InboundVerifier({
    authenticators: [
      jwtBearer({
        ...rfc9068Tokens({ issuer: server.issuer, allowedAudience: [JWT_API] }),
        allowedScopes: ['read'],
        allowInsecureLoopback: true,
        dpop,
      }),
      introspection({
        issuer: server.issuer,
        clientId: 'agent',
        clientSecret: 'agent secret/%',
        allowedAudience: [OPAQUE_API],
        allowedScopes: ['read'],
        tokensWithoutSubject: 'client', // oidc-provider gives clients' own tokens no sub
        allowInsecureLoopback: true,
        cacheMs: 0,
        dpop,
      }),
    ],
    resource,
  })
}

/** What the library of a real client sends, and what comes back. */
async function call(
  verifier: InboundVerifier,
  url: string,
  token: string,
  DPoP?: oauth.DPoPHandle,
): Promise<Response> {
  const serve = async (input: string, init: RequestInit) => {
    const caller = await verifier.authenticate(new Request(input, init))
    return caller instanceof Response
      ? caller
      : Response.json({ method: caller.method, clientId: caller.clientId, user: caller.user })
  }
  return oauth.protectedResourceRequest(token, 'POST', new URL(url), undefined, null, {
    ...(DPoP ? { DPoP } : {}),
    [oauth.customFetch]: serve as never,
  })
}

describe('tokens of a real provider', () => {
  it('J42 takes its JWT as RFC 9068 has it, and its opaque token by introspection', async () => {
    const verifier = verifierOf('https://jwt.example')
    for (const [resource, method] of [
      [JWT_API, 'jwt'],
      [OPAQUE_API, 'introspection'],
    ] as const) {
      const { access_token } = await tokenFor(resource)
      const answer = await call(verifier, 'https://jwt.example/api', access_token)
      expect(await answer.json()).toEqual({ method, clientId: 'caller' })
    }
  })

  it('J57 refuses an opaque token for another audience, without the scope, unknown, or revoked', async () => {
    const verifier = verifierOf('https://jwt.example')
    const { access_token } = await tokenFor(OPAQUE_API)
    expect((await verifier.verifyToken(access_token)).subject).toBe('caller')
    await oauth.revocationRequest(
      as,
      client,
      oauth.ClientSecretBasic('caller-secret'),
      access_token,
      insecure,
    )
    await expect(verifier.verifyToken(access_token)).rejects.toMatchObject({
      code: 'ERR_TOKEN_INACTIVE',
    })
    await expect(verifier.verifyToken('unknown')).rejects.toMatchObject({
      code: 'ERR_TOKEN_INACTIVE',
    })
    const write = await tokenFor(OPAQUE_API, 'write')
    await expect(verifier.verifyToken(write.access_token)).rejects.toMatchObject({
      code: 'ERR_INSUFFICIENT_SCOPE',
    })
  })

  it.each([JWT_API, OPAQUE_API])(
    'J67 J68 takes a token bound to a key, for %s',
    async (resource) => {
      const verifier = verifierOf('https://jwt.example/api')
      const handle = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
      const { access_token, token_type } = await tokenFor(resource, 'read', handle)
      expect(token_type).toBe('dpop')
      const answer = await call(verifier, 'https://jwt.example/api?q=1', access_token, handle)
      expect(await answer.json()).toMatchObject({ clientId: 'caller' })

      const bearer = await verifier.authenticate(
        new Request('https://jwt.example/api', {
          headers: { authorization: `Bearer ${access_token}` },
        }),
      )
      expect(bearer).toHaveProperty('status', 401)
      const thief = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
      await expect(
        call(verifier, 'https://jwt.example/api', access_token, thief),
      ).rejects.toMatchObject({ status: 401 })
      const elsewhere = verifierOf('https://other.example/api')
      await expect(
        call(elsewhere, 'https://jwt.example/api', access_token, handle),
      ).rejects.toMatchObject({ status: 401 })
    },
  )

  it('J67 makes a real client come back with our nonce', async () => {
    const verifier = verifierOf('https://jwt.example/api', 'n'.repeat(43))
    const handle = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    const { access_token } = await tokenFor(JWT_API, 'read', handle)
    const first = await call(verifier, 'https://jwt.example/api', access_token, handle).catch(
      (error) => error,
    )
    expect(oauth.isDPoPNonceError(first)).toBe(true)
    const second = await call(verifier, 'https://jwt.example/api', access_token, handle)
    expect(second.status).toBe(200)
  })

  it('gives a client what it needs to find the provider', async () => {
    const verifier = verifierOf('https://jwt.example/api')
    const resource = new URL('https://jwt.example/api')
    const found = await oauth.processResourceDiscoveryResponse(
      resource,
      await oauth.resourceDiscoveryRequest(resource, {
        [oauth.customFetch]: (async (url: string, init: RequestInit) =>
          verifier.metadataHandler(new Request(url, init))) as never,
      }),
    )
    expect(found).toMatchObject({
      authorization_servers: [server.issuer],
      scopes_supported: ['read'],
    })
  })
})
