import { describe, expect, it } from 'vitest'
import { replyJson, reset, startHostileServer } from '../../test/support/hostile-server.js'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { HOUR_MS } from '../clock.js'
import { ServerResponseError } from '../errors/outbound.js'
import { AuthorizationServer, type AuthorizationServerOptions } from './server.js'

const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

const at = (issuer: string, extra: Partial<AuthorizationServerOptions> = {}) =>
  new AuthorizationServer({
    name: 'api',
    issuer,
    clientId: 'agent',
    clientAuth: 'none',
    allowInsecureLoopback: true,
    timeoutMs: 1_000,
    clock: Date.now,
    ...extra,
  })

describe('discovery', () => {
  it('falls back to RFC 8414 where there is no OpenID document', async () => {
    await using server = await startHostileServer()
    server.routes.delete(OIDC)
    const token_endpoint = `${server.issuer}/token`
    server.routes.set(OAUTH, replyJson({ issuer: server.issuer, token_endpoint }))
    expect(await at(server.issuer).metadata()).toMatchObject({ token_endpoint })
    expect(server.received.map((one) => one.target)).toEqual([OIDC, OAUTH])
  })

  it('finds the documents of an issuer with a path, each at its place', async () => {
    await using server = await startHostileServer()
    const issuer = `${server.issuer}/tenant`
    await codeOf(at(issuer).metadata())
    expect(server.received.map((one) => one.target)).toEqual([
      `/tenant${OIDC}`,
      `${OAUTH}/tenant`,
      `${OIDC}/tenant`,
    ])
  })

  it('says where it looked when there is neither', async () => {
    await using server = await startHostileServer()
    server.routes.delete(OIDC)
    await expect(at(server.issuer).metadata()).rejects.toMatchObject({
      reason: 'no_metadata',
      message: `Metadata of provider "api": ${server.issuer}${OIDC}: HTTP 404; ${server.issuer}${OAUTH}: HTTP 404. Check issuer, or set endpoints.`,
    })
  })

  it('is not made where endpoints are given', async () => {
    await using server = await startHostileServer()
    const endpoints = { token: `${server.issuer}/token` }
    await at(server.issuer, { endpoints }).metadata()
    expect(server.received).toEqual([])
  })

  it.each([
    ['another host', () => 'https://evil.example'],
    ['a trailing slash', (issuer: string) => `${issuer}/`],
    ['a path', (issuer: string) => `${issuer}/tenant`],
  ])('refuses metadata of another issuer: %s (O05)', async (_, other) => {
    await using server = await startHostileServer()
    server.routes.set(
      OIDC,
      replyJson({ issuer: other(server.issuer), token_endpoint: `${server.issuer}/token` }),
    )
    await expect(at(server.issuer).metadata()).rejects.toMatchObject({ reason: 'issuer_mismatch' })
  })

  it.each([
    ['http elsewhere', 'http://api.example/token'],
    ['a private address', 'https://10.0.0.1/token'],
    ['the metadata address of a cloud', 'http://169.254.169.254/token'],
    ['user info', 'https://user:password@api.example/token'],
  ])('sends no secret to a token endpoint of %s (O37, O39)', async (_, endpoint) => {
    await using server = await startHostileServer({ token_endpoint: endpoint })
    const { clientCredentialsGrant } = await import('./client-credentials.js')
    await expect(clientCredentialsGrant(at(server.issuer), { scopes: [] })).rejects.toMatchObject({
      code: 'ERR_NETWORK',
      reason: 'address_not_allowed',
    })
  })

  it.each([
    ['javascript:', 'javascript:alert(1)'],
    ['file:', 'file:///etc/passwd'],
    ['http elsewhere', 'http://evil.example/authorize'],
    ['nothing', undefined],
    ['words', '--flag $(id)'],
    ['user info', 'https://a:b@evil.example/'],
  ])('never sends a user to an authorization endpoint of %s (O14)', async (_, endpoint) => {
    await using server = await startHostileServer({ authorization_endpoint: endpoint })
    expect(await codeOf(at(server.issuer).authorizationEndpoint())).toBe('ERR_CONFIGURATION')
  })

  it('is shared by fifty, kept for an hour, and kept on while the server is away', async () => {
    await using server = await startHostileServer()
    const clock = fakeClock()
    const one = at(server.issuer, { clock })
    await Promise.all(Array.from({ length: 50 }, () => one.metadata()))
    clock.advance(HOUR_MS - 1)
    await one.metadata()
    expect(server.received).toHaveLength(1)
    clock.advance(1)
    await one.metadata()
    expect(server.received).toHaveLength(2)
    for (const place of [OIDC, OAUTH]) server.routes.set(place, reset)
    clock.advance(HOUR_MS)
    expect(await one.metadata()).toMatchObject({ issuer: server.issuer })
  })

  it.each([
    [503, { 'retry-after': '7' }, 'Try again in 7 s.', 7_000],
    [503, {}, 'Try again later.', undefined],
    [429, { 'retry-after': '30' }, 'Try again in 30 s.', 30_000],
    [429, { 'retry-after': 'soon' }, 'Try again later.', undefined],
  ])('that HTTP %i %j ends says so, and when to come again', async (status, headers, text, ms) => {
    await using server = await startHostileServer()
    server.routes.set(OIDC, replyJson({ error: 'server_error' }, status, headers))
    const error = await at(server.issuer)
      .metadata()
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(ServerResponseError)
    expect(error).toMatchObject({
      message: `Metadata of provider "api": ${server.issuer}${OIDC}: HTTP ${status}; ${server.issuer}${OAUTH}: HTTP 404. ${text}`,
      reason: 'metadata_unavailable',
      retryable: true,
      status,
    })
    expect((error as { retryAfterMs?: number }).retryAfterMs).toBe(ms)
  })

  it('is waited for as long as the server asked, half a minute at the most, when it failed often', async () => {
    await using server = await startHostileServer()
    server.routes.set(OIDC, replyJson({}, 503, { 'retry-after': '300' }))
    const one = at(server.issuer)
    const never = { what: 'token request', send: () => expect.unreachable(), read: () => 1 }
    const ask = () => one.call(never, { guardedFor: 'row' })
    for (let tries = 0; tries < 10 && (await codeOf(ask())) === 'ERR_SERVER_RESPONSE'; tries++);
    const error = await ask().catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ERR_SERVER_UNAVAILABLE', reason: 'metadata_unavailable' })
    const { retryAfterMs } = error as { retryAfterMs: number }
    expect(retryAfterMs).toBeGreaterThan(29_000)
    expect(retryAfterMs).toBeLessThanOrEqual(30_000)
  })

  it('is made again after it failed (D08)', async () => {
    await using server = await startHostileServer()
    const [metadata, one] = [server.routes.get(OIDC)!, at(server.issuer)]
    for (const place of [OIDC, OAUTH]) server.routes.set(place, reset)
    expect(await codeOf(one.metadata())).toBe('ERR_NETWORK')
    server.routes.set(OIDC, metadata)
    expect(await one.metadata()).toMatchObject({ issuer: server.issuer })
  })
})
