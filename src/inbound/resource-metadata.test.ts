import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { makeKey, OIDC_PATH, signToken, startIssuer } from '../../test/support/issuer.js'
import { InboundAuthError } from '../errors/inbound.js'
import { requireScopes } from './guards.js'
import { jwtBearer } from './jwt-bearer.js'
import type { JwtBearerOptions } from './jwt-bearer-options.js'
import type { InboundVerifierOptions } from './verifier.js'

const resource = 'https://agent.example/mcp'
const at = 'https://internal:8080/.well-known/oauth-protected-resource/mcp'
const key = makeKey()
const bearer = (changes: Partial<JwtBearerOptions> = {}) =>
  jwtBearer({
    issuer: 'https://idp.example/',
    jwks: { keys: [key.jwk] },
    allowedAudience: ['agent'],
    allowedScopes: ['invoke'],
    ...changes,
  })
const make = (options: Partial<InboundVerifierOptions> = {}) =>
  new InboundVerifier({ authenticators: [bearer()], resource, ...options })
const read = async (verifier: InboundVerifier, url = at): Promise<unknown> =>
  verifier.metadataHandler(new Request(url)).json()

describe('metadata of the resource', () => {
  it('says what the verifier is configured for', async () => {
    const verifier = make({
      authenticators: [bearer(), bearer({ issuer: 'https://other.example', allowedScopes: ['x'] })],
      scopesSupported: ['calendar:read', 'invoke'],
    })
    expect(await read(verifier)).toEqual({
      resource,
      authorization_servers: ['https://idp.example/', 'https://other.example'],
      scopes_supported: ['invoke', 'x', 'calendar:read'],
      bearer_methods_supported: ['header'],
    })
  })

  it.each<['accepted' | 'required', boolean | undefined]>([
    ['accepted', undefined],
    ['required', true],
  ])('says that DPoP is %s', async (how, required) => {
    const metadata = await read(
      make({ authenticators: [bearer({ dpop: { required: how === 'required' } })] }),
    )
    expect(metadata).toMatchObject({
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
    })
    expect((metadata as Record<string, unknown>).dpop_bound_access_tokens_required).toBe(required)
  })

  it('O48 names the resource exactly as configured, at its one address', async () => {
    for (const [configured, path] of [
      ['https://agent.example', ''],
      ['https://agent.example/', ''],
      ['https://agent.example/a/b', '/a/b'],
      ['https://agent.example/a?q=1', '/a?q=1'],
    ] as const) {
      const verifier = make({ resource: configured })
      const url = `https://x/.well-known/oauth-protected-resource${path}`
      expect(await read(verifier, url)).toMatchObject({ resource: configured })
      for (const other of [
        `${url}/x`,
        'https://x/mcp',
        `https://x/a${path}`,
        `${url}${path.includes('?') ? '&' : '?'}x`,
      ]) {
        expect(verifier.metadataHandler(new Request(other)).status, other).toBe(404)
      }
    }
    const without = new InboundVerifier({ authenticators: [bearer()] })
    expect(without.metadataHandler(new Request(at)).status).toBe(404)
  })

  it('answers GET, HEAD and a browser that asks first', async () => {
    const ask = (method: string) => make().metadataHandler(new Request(at, { method }))
    expect(ask('GET').headers.get('access-control-allow-origin')).toBe('*')
    expect([ask('HEAD').status, await ask('HEAD').text()]).toEqual([200, ''])
    expect(ask('OPTIONS').status).toBe(204)
    expect([ask('POST').status, ask('POST').headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  it('names the issuer as its metadata spells it, once that is known', async () => {
    await using server = await startIssuer([key])
    const issuer = `${server.origin}/`
    const discoveryUrl = `${server.origin}${OIDC_PATH}`
    server.routes.set(OIDC_PATH, (_, response) => {
      response.end(JSON.stringify({ issuer, jwks_uri: `${server.origin}/jwks` }))
    })
    const options = {
      issuer: undefined,
      jwks: undefined,
      discoveryUrl,
      allowInsecureLoopback: true,
    }
    const verifier = make({ authenticators: [bearer(options)] })
    const now = Date.now() / 1000
    const claims = {
      iss: issuer,
      sub: 'u',
      aud: 'agent',
      scope: 'invoke',
      exp: Math.floor(now) + 60,
    }
    await verifier.verifyToken(signToken(key, claims))
    expect(await read(verifier)).toMatchObject({ authorization_servers: [issuer] })
  })

  it('shows scopes in the words of clients, and judges by its own', async () => {
    const advertisedScopeMapping = { invoke: 'api://agent/invoke', write: 'api://agent/write' }
    const verifier = make({ advertisedScopeMapping, scopesSupported: ['read'] })
    expect(await read(verifier)).toMatchObject({ scopes_supported: ['api://agent/invoke', 'read'] })
    const none = (await verifier.authenticate(new Request(resource))) as Response
    expect(none.headers.get('www-authenticate')).toContain('scope="api://agent/invoke read"')

    const sign = (scope: string) =>
      signToken(key, {
        iss: 'https://idp.example/',
        sub: 'u',
        aud: 'agent',
        scope,
        exp: 9_999_999_999,
      })
    const send = (scope: string) =>
      verifier.authenticate(
        new Request(resource, { headers: { authorization: `Bearer ${sign(scope)}` } }),
      )
    expect((await send('api://agent/invoke')) as Response).toHaveProperty('status', 403)
    const caller = await send('invoke')
    if (caller instanceof Response) throw new Error('refused')
    try {
      requireScopes('write', 'invoke')(caller)
      expect.unreachable()
    } catch (error) {
      const step = verifier.challenge(error as InboundAuthError)
      expect(step.status).toBe(403)
      expect(step.headers.get('www-authenticate')).toBe(
        `Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="api://agent/write api://agent/invoke", resource_metadata="https://agent.example/.well-known/oauth-protected-resource/mcp"`,
      )
    }
  })

  it('writes refusals as JSON-RPC where asked for', async () => {
    const verifier = make({ errorBody: 'json-rpc' })
    const codes = ['ERR_NO_CREDENTIALS', 'ERR_BAD_SIGNATURE', 'ERR_INSUFFICIENT_SCOPE'] as const
    const bodies = await Promise.all(
      codes.map((code) => verifier.challenge(new InboundAuthError(code, { reason: 'x' })).json()),
    )
    expect(bodies[0]).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32001, message: 'Missing Authentication Token' },
    })
    expect(new Set(bodies.map((one) => one.error.message)).size).toBe(3)
  })

  it.each<[object, RegExp]>([
    [{ scopesSupported: ['a b'] }, /scopesSupported/],
    [{ scopesSupported: [] }, /scopesSupported/],
    [{ advertisedScopeMapping: ['a'] }, /advertisedScopeMapping/],
    [{ advertisedScopeMapping: { a: 'b c' } }, /advertisedScopeMapping/],
    [{ advertisedScopeMapping: { a: '' } }, /advertisedScopeMapping/],
    [
      {
        advertisedScopeMapping: Object.fromEntries(
          Array.from({ length: 51 }, (_, i) => [`s${i}`, 'x']),
        ),
      },
      /advertisedScopeMapping .*50/,
    ],
    [{ errorBody: 'xml' }, /errorBody/],
    [{ resource: 'agent' }, /resource/],
  ])('refuses the options %j', (options, message) => {
    expect(() => make(options)).toThrow(TypeError)
    expect(() => make(options)).toThrow(message)
  })
})
