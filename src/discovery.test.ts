import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Answer,
  codeOf,
  fakeClock,
  json,
  makeKey,
  OAUTH_PATH,
  OIDC_PATH,
  startIssuer,
  status,
  type TestIssuer,
} from '../test/support/issuer.js'
import { issuersOf, metadataUrls } from './discovery.js'
import { introspection } from './inbound/introspection.js'
import { InboundVerifier } from './inbound/verifier.js'
import { KeySet } from './jwt/key-set.js'
import { AuthorizationServer } from './oauth/server.js'

describe('the places of metadata', () => {
  it.each([
    ['https://a.example/.well-known/openid-configuration', 'https://a.example'],
    ['https://a.example/t/.well-known/openid-configuration', 'https://a.example/t'],
    ['https://a.example/.well-known/openid-configuration/t', 'https://a.example/t'],
    ['https://a.example/.well-known/oauth-authorization-server', 'https://a.example'],
    ['https://a.example/.well-known/oauth-authorization-server/t', 'https://a.example/t'],
  ])('J45 tells from %s the issuer without and with a slash', (url, base) => {
    expect(issuersOf(url)).toEqual([base, `${base}/`])
    expect(metadataUrls(base)).toContain(url)
  })

  it('asks each place once', () => {
    expect(metadataUrls('https://a.example/')).toEqual([
      'https://a.example/.well-known/openid-configuration',
      'https://a.example/.well-known/oauth-authorization-server',
    ])
  })

  it.each([
    'https://a.example/metadata',
    'https://a.example/.well-known/oauth-authorization-servers',
    'https://a.example/.well-known/openid-configurations',
    'https://a.example/.well-known/openid-configuration?p=1',
  ])('J45 tells no issuer from %s', (url) => {
    expect(issuersOf(url)).toEqual([])
  })
})

const key = makeKey()
let server: TestIssuer
let issuer: string
let places: readonly string[]
beforeEach(async () => {
  server = await startIssuer([key])
  issuer = `${server.origin}/tenant`
  places = metadataUrls(issuer).map((url) => new URL(url).pathname)
  server.routes.set('/introspect', json({ active: true, aud: 'a', sub: 'u', token_type: 'bearer' }))
})
afterEach(() => server[Symbol.asyncDispose]())

const document = (changes: object = {}) => ({
  issuer,
  jwks_uri: `${server.origin}/jwks`,
  token_endpoint: `${server.origin}/token`,
  introspection_endpoint: `${server.origin}/introspect`,
  ...changes,
})

/** Everything that reads metadata. */
const readers: Record<string, () => Promise<unknown>> = {
  inbound: () =>
    new KeySet(
      { discoveryUrls: metadataUrls(issuer), issuers: [issuer] },
      { allowInsecureLoopback: true, timeoutMs: 1000 },
    ).find({ alg: 'ES256', kid: 'k1' }, fakeClock()),
  outbound: () =>
    new AuthorizationServer({
      name: 'api',
      issuer,
      clientId: 'agent',
      clientAuth: 'none',
      allowInsecureLoopback: true,
      timeoutMs: 1000,
      clock: fakeClock(),
    }).metadata(),
  introspection: () =>
    new InboundVerifier({
      authenticators: [
        introspection({
          issuer,
          clientId: 'agent',
          clientSecret: 'secret',
          allowedAudience: ['a'],
          allowInsecureLoopback: true,
        }),
      ],
      clock: fakeClock(),
    }).verifyToken('opaque'),
}

const html: Answer = (_, response) =>
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
const wrongAnswers: [string, () => Answer, RegExp][] = [
  ['HTML', () => html, /no JSON object \(not_json\)/],
  ['HTTP 404', () => status(404), /HTTP 404/],
  ['HTTP 401', () => status(401), /HTTP 401/],
  ['HTTP 204', () => (_, response) => response.writeHead(204).end(), /HTTP 204/],
  [
    'HTTP 201 and the document',
    () => (request, response) => {
      response.statusCode = 201
      response.end(JSON.stringify(document()))
      request.resume()
    },
    /HTTP 201/,
  ],
  ['HTTP 500', () => status(500), /HTTP 500/],
  ['HTTP 429', () => status(429), /HTTP 429/],
  ['a reset', () => (request) => request.socket.destroy(), /could not be reached/],
  ['broken JSON', () => json('{"issuer":'), /not_json/],
  ['an array', () => json([document()]), /another value/],
  ['null', () => json('null'), /another value/],
  [
    'a member twice',
    () => json(`{"issuer":"x",${JSON.stringify(document()).slice(1)}`),
    /duplicate_key/,
  ],
  ['nothing', () => json(''), /not_json/],
  ['too much', () => json({ ...document(), x: 'x'.repeat(300_000) }), /larger than 262144 bytes/],
  [
    'a redirect to another origin',
    () => status(302, { location: 'https://b.example/x?s3cret' }),
    /HTTP 302 to https:\/\/b\.example\/x\)/,
  ],
  [
    'a redirect without end',
    () => (request, response) => status(302, { location: request.url! })(request, response),
    /only 5 redirects|HTTP 302/,
  ],
  ['a redirect to nowhere', () => status(302), /HTTP 302/],
  ['no issuer', () => json({ ...document(), issuer: undefined }), /names no issuer instead of/],
  [
    'another issuer',
    () => json(document({ issuer: 'https://evil.example' })),
    /names the issuer "https:\/\/evil\.example" instead of "http/,
  ],
  ['the issuer of its origin', () => json(document({ issuer: server.origin })), /instead of/],
  ['a list of issuers', () => json(document({ issuer: [issuer] })), /names no issuer/],
  [
    'no endpoints',
    () => json({ issuer }),
    /names no (jwks_uri|token_endpoint|introspection_endpoint)/,
  ],
  [
    'endpoints that are no text',
    () => json({ issuer, jwks_uri: 7, token_endpoint: {}, introspection_endpoint: null }),
    /names no (jwks_uri|token_endpoint|introspection_endpoint)/,
  ],
]

describe.each(Object.entries(readers))('discovery, %s', (side, read) => {
  const failure = async () => {
    const error = await read().then(
      () => undefined,
      (e: unknown) => e,
    )
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_/) })
    const { message, reason, ...rest } = error as Error & { reason: string; retryable: boolean }
    return { ...rest, text: side === 'outbound' ? message : reason, reason }
  }

  it.each(wrongAnswers)(
    'J47 asks the next address where one answers with %s',
    async (_, answer) => {
      for (const right of places) {
        server.routes.clear()
        server.routes.set('/jwks', json({ keys: [key.jwk] }))
        server.routes.set(
          '/introspect',
          json({ active: true, aud: 'a', sub: 'u', token_type: 'bearer' }),
        )
        for (const place of places) server.routes.set(place, answer())
        server.routes.set(right, json(document()))
        expect(await codeOf(read())).toBeUndefined()
      }
    },
  )

  it.each(wrongAnswers)(
    'J47 names each address when all answer with %s',
    async (_, answer, what) => {
      for (const place of places) server.routes.set(place, answer())
      const { text } = await failure()
      for (const url of metadataUrls(issuer)) expect(text).toContain(url)
      expect(text).toMatch(what)
      expect(text).not.toContain('s3cret')
      expect(text.length).toBeLessThan(2000)
    },
  )

  it('is retryable when one address is, and not otherwise', async () => {
    if (side !== 'outbound') return // an inbound caller is told 503 in any case
    for (const bad of places) {
      for (const place of places) server.routes.set(place, status(404))
      expect(await failure()).toMatchObject({ retryable: false, reason: 'no_metadata' })
      server.routes.set(bad, json(document({ issuer: 'https://evil.example' })))
      expect(await failure()).toMatchObject({ retryable: false, reason: 'issuer_mismatch' })
      for (const answer of [
        status(503),
        (request: Parameters<Answer>[0]) => request.socket.destroy(),
      ]) {
        server.routes.set(places[0]!, json(document({ issuer: 'https://evil.example' })))
        server.routes.set(bad, answer)
        expect(await failure()).toMatchObject({ retryable: true, reason: 'metadata_unavailable' })
      }
    }
  })

  it.each([301, 302, 303, 307, 308])('J48 follows HTTP %i within the origin', async (code) => {
    server.routes.set(places[0]!, status(code, { location: '/a' }))
    server.routes.set('/a', status(code, { location: `${server.origin}/b?x=1` }))
    server.routes.set('/b?x=1', json(document()))
    expect(await codeOf(read())).toBeUndefined()
  })

  it('J48 takes no document from another origin, whatever it says', async () => {
    await using other = await startIssuer()
    other.routes.set('/x', json(document()))
    for (const place of places) {
      server.routes.set(place, status(302, { location: `${other.origin}/x` }))
    }
    await failure()
    server.routes.set(places[0]!, status(302, { location: '/inside' }))
    server.routes.set('/inside', status(302, { location: `${other.origin}/x` }))
    await failure()
    server.routes.set('/inside', status(302, { location: `//u:p@${new URL(issuer).host}/y` }))
    server.routes.set('/y', json(document()))
    await failure()
    expect(other.hits).toEqual([])
  })

  it('gives up after two addresses that do not answer', async () => {
    if (side === 'introspection') return // its timeout is fixed
    for (const place of places) server.routes.set(place, () => {})
    const { text } = await failure()
    expect(text).toMatch(/(no complete answer within 1000 ms.*){2}: not asked/)
    server.routes.set(places[1]!, json(document()))
    expect(await codeOf(read())).toBeUndefined()
  })
})

describe('discovery', () => {
  it('sends no credential and no cookie', async () => {
    const seen: string[] = []
    for (const place of [OIDC_PATH, OAUTH_PATH]) {
      server.routes.set(place, (request, response) => {
        seen.push(...Object.keys(request.headers))
        status(404)(request, response)
      })
    }
    issuer = server.origin
    for (const read of Object.values(readers)) await codeOf(read())
    expect(seen).toContain('accept')
    expect(seen).not.toContain('authorization')
    expect(seen).not.toContain('cookie')
  })
})
