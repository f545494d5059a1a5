/** MCP servers as the v1 SDK makes them, over real sockets. */
import { inspect } from 'node:util'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import * as errors from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  authenticate as authenticateHono,
  callerOf as honoCallerOf,
} from '../../src/adapters/hono/index.js'
import {
  authenticate,
  authInfoOf,
  calledTools,
  callerOf,
  consentElicitation,
  mcpTokenVerifier,
  metadataRoute,
} from '../../src/adapters/mcp/index.js'
import { AuthorizationRequiredError } from '../../src/errors/consent.js'
import { InboundAuthError } from '../../src/errors/inbound.js'
import { InboundVerifier, jwtBearer, requireScopes } from '../../src/inbound/index.js'
import { makePrincipal, type Principal } from '../../src/principal.js'
import { Secret } from '../../src/secret.js'
import {
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from '../../src/testing/authorization-server.js'
import { requireToken } from '../../src/tools/require-token.js'
import { actingFor, FakeCredentials } from '../support/credentials.js'
import { listen } from '../support/local-server.js'
import { signedRequests } from '../support/signed-requests.js'

const resource = 'https://mcp.example/mcp'
const metadataUrl = 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
let idp: RunningAuthorizationServer
let verifier: InboundVerifier
const signed = signedRequests()

beforeAll(async () => {
  idp = await startAuthorizationServer()
  verifier = new InboundVerifier({
    authenticators: [
      jwtBearer({
        discoveryUrl: idp.discoveryUrl,
        allowedAudience: [resource],
        allowedScopes: ['mcp:use'],
        allowInsecureLoopback: true,
      }),
      signed,
    ],
    resource,
    scopesSupported: ['notes:write'],
    errorBody: 'json-rpc',
  })
})
afterAll(() => idp.close())

const token = (subject = 'ada', scopes = ['mcp:use'], more: object = {}) =>
  idp.userToken({ subject, audience: resource, scopes, ...more })

const consent = new AuthorizationRequiredError({
  provider: 'calendar',
  scopes: ['read'],
  authorizationUrl: 'https://idp.example/authorize?x=1',
  sessionUri: 'urn:session:1',
  expiresAtMs: 1,
})
const refusing = new FakeCredentials()
refusing.refuse = consent
const withConsent = consentElicitation(UrlElicitationRequiredError)
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

function makeServer(): McpServer {
  const server = new McpServer({ name: 'notes', version: '1.0.0' })
  server.registerTool('whoami', {}, (extra) => {
    const { authInfo } = extra
    return text(JSON.stringify([callerOf(extra).subject, authInfo?.clientId, authInfo?.scopes]))
  })
  server.registerTool('write_note', { inputSchema: { note: z.string() } }, ({ note }, extra) =>
    text(`${note} by ${callerOf(extra).subject}`),
  )
  server.registerTool(
    'list_events',
    { inputSchema: { day: z.string() } },
    withConsent(
      requireToken(
        {
          provider: 'calendar',
          acting: (_, extra) => actingFor(callerOf(extra).subject),
          credentials: refusing,
        },
        async (_token, { day }: { day: string }, _extra: { authInfo?: object }) => text(day),
      ),
    ),
  )
  server.registerTool(
    'fail',
    {},
    withConsent(() => {
      throw new Error('as it is')
    }),
  )
  return server
}

const handle: RequestHandler = async (request, response) => {
  const server = makeServer()
  const transport = new StreamableHTTPServerTransport()
  response.on('close', () => void server.close())
  await server.connect(transport as Parameters<typeof server.connect>[0])
  await transport.handleRequest(request, response, request.body)
}

function serve(gate: RequestHandler) {
  const app = express()
  app.use(metadataRoute(verifier))
  app.use(express.json())
  app.post('/mcp', gate, handle)
  app.all('/mcp', (_request, response) => {
    response.status(405).end()
  })
  return listen(app)
}

async function connect(origin: string, headers: Record<string, string>): Promise<Client> {
  const client = new Client(
    { name: 'test', version: '1.0.0' },
    { capabilities: { elicitation: { url: {} } } },
  )
  const transport = new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), {
    requestInit: { headers },
  })
  await client.connect(transport as Parameters<typeof client.connect>[0])
  return client
}
const bearer = (value: string) => ({ authorization: `Bearer ${value}` })
const said = (result: unknown) => (result as ReturnType<typeof text>).content[0]?.text

/** What the SDK's client sends, without the client. */
const call = (origin: string, name: string, headers: Record<string, string>, args: object = {}) =>
  fetch(`${origin}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name, arguments: args },
    }),
  })

describe('authenticate', () => {
  const gate: RequestHandler = (...args) =>
    authenticate(verifier, {
      guard: (caller, request: express.Request) => {
        if (calledTools(request).includes('write_note'))
          requireScopes('mcp:use', 'notes:write')(caller)
      },
    })(...args)

  it('tells tools who called', async () => {
    await using server = await serve(gate)
    const client = await connect(server.origin, bearer(token()))
    const result = await client.callTool({ name: 'whoami' })
    expect(JSON.parse(said(result)!)).toEqual(['ada', idp.clientId, ['mcp:use']])
    await client.close()
  })

  it('tells callers of one server apart', async () => {
    await using server = await serve(gate)
    const clients = await Promise.all(
      ['u1', 'u2', 'u3'].map((name) => connect(server.origin, bearer(token(name)))),
    )
    const results = await Promise.all(clients.map((one) => one.callTool({ name: 'whoami' })))
    expect(results.map((one) => JSON.parse(said(one)!)[0])).toEqual(['u1', 'u2', 'u3'])
    await Promise.all(clients.map((one) => one.close()))
  })

  it('W17 refuses and challenges, with a body that MCP clients read', async () => {
    await using server = await serve(gate)
    const nobody = await call(server.origin, 'whoami', {})
    expect([nobody.status, nobody.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer realm="api", scope="mcp:use notes:write", resource_metadata="${metadataUrl}"`,
    ])
    expect(await nobody.json()).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32001, message: 'Missing Authentication Token' },
    })
    const expired = await call(
      server.origin,
      'whoami',
      bearer(token('ada', ['mcp:use'], { ttlMs: -3_600_000 })),
    )
    expect([expired.status, expired.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer realm="api", error="invalid_token", error_description="The access token is not acceptable", scope="mcp:use notes:write", resource_metadata="${metadataUrl}"`,
    ])
    expect((await call(server.origin, 'whoami', { 'x-signed': 'away' })).status).toBe(503)
  })

  it('asks for the scopes of one tool', async () => {
    await using server = await serve(gate)
    const refused = await call(server.origin, 'write_note', bearer(token()), { note: 'x' })
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      403,
      `Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="mcp:use notes:write", resource_metadata="${metadataUrl}"`,
    ])
    const client = await connect(server.origin, bearer(token('ada', ['mcp:use', 'notes:write'])))
    const result = await client.callTool({ name: 'write_note', arguments: { note: 'hello' } })
    expect(said(result)).toBe('hello by ada')
    await client.close()
  })

  it('asks for them in a batch, too', async () => {
    await using server = await serve(gate)
    const one = { jsonrpc: '2.0', method: 'tools/call' }
    const body = JSON.stringify([
      { ...one, id: 1, params: { name: 'whoami', arguments: {} } },
      { ...one, id: 2, params: { name: 'write_note', arguments: { note: 'x' } } },
    ])
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...bearer(token()),
    }
    const response = await fetch(`${server.origin}/mcp`, { method: 'POST', headers, body })
    expect(response.status).toBe(403)
  })

  it('judges no body that nobody parsed', async () => {
    const app = express()
    app.all('/mcp', gate, handle)
    const failures: unknown[] = []
    const onError: ErrorRequestHandler = (error, _request, response, _next) => {
      failures.push(error)
      response.status(500).end()
    }
    app.use(onError)
    await using server = await listen(app)
    expect((await call(server.origin, 'write_note', bearer(token()))).status).toBe(500)
    expect(failures).toMatchObject([
      { code: 'ERR_CONFIGURATION', message: expect.stringContaining('express.json()') },
    ])
    const stream = await fetch(`${server.origin}/mcp`, { headers: bearer(token()) })
    expect(stream.status).toBe(406) // let in; the SDK wants an Accept header
  })

  it('lets callers in who have no token, such as signers', async () => {
    await using server = await serve(gate)
    const client = await connect(server.origin, { 'x-signed': 'head' })
    expect(JSON.parse(said(await client.callTool({ name: 'whoami' }))!)).toEqual([
      'signer',
      'signer',
      [],
    ])
    await client.close()
  })

  it('serves the metadata to which challenges point', async () => {
    await using server = await serve(gate)
    const response = await fetch(`${server.origin}${new URL(metadataUrl).pathname}`)
    expect(await response.json()).toMatchObject({
      resource,
      authorization_servers: [idp.issuer],
      scopes_supported: ['mcp:use', 'notes:write'],
    })
  })

  it('W17 gives a tool nobody where it does not stand in front', async () => {
    await using server = await serve((_request, _response, next) => next())
    const client = await connect(server.origin, bearer(token()))
    const result = await client.callTool({ name: 'whoami' })
    expect(result.isError).toBe(true)
    expect(said(result)).toContain('authenticate(verifier)')
    await client.close()
  })
})

describe('authInfoOf', () => {
  it('serves the transport for Web requests, behind Hono', async () => {
    const app = new Hono()
    app.use(authenticateHono(verifier))
    app.all('/mcp', async (c) => {
      const server = makeServer()
      const transport = new WebStandardStreamableHTTPServerTransport({
        enableJsonResponse: true,
      })
      await server.connect(transport as Parameters<typeof server.connect>[0])
      return transport.handleRequest(c.req.raw, { authInfo: authInfoOf(honoCallerOf(c)) })
    })
    const client = new Client({ name: 'test', version: '1.0.0' })
    const transport = new StreamableHTTPClientTransport(new URL('http://agent.example/mcp'), {
      requestInit: { headers: bearer(token('grace')) },
      fetch: async (url, init) => app.request(String(url), init),
    })
    await client.connect(transport as Parameters<typeof client.connect>[0])
    expect(JSON.parse(said(await client.callTool({ name: 'whoami' }))!)[0]).toBe('grace')
    await client.close()
  })

  const facts: Principal = {
    method: 'jwt',
    issuer: 'https://idp.example',
    subject: 'ada',
    clientId: 'web-app',
    scopes: ['a', 'b'],
    audience: [resource],
    claims: { email: 'ada@example.com' },
    expiresAtMs: 1_700_000_000_900,
    user: { issuer: 'https://idp.example', subject: 'ada' },
  }
  const { clientId: _, ...clientless } = facts
  const { user: __, ...userless } = clientless

  it('speaks in the terms of the SDK', () => {
    const caller = makePrincipal(facts, new Secret('the-token'))
    const info = authInfoOf(caller)
    expect({ ...info }).toEqual({
      clientId: 'web-app',
      scopes: ['a', 'b'],
      expiresAt: 1_700_000_000,
      resource: new URL(resource),
      extra: { method: 'jwt', issuer: 'https://idp.example', subject: 'ada' },
    })
    expect(info.token).toBe('the-token')
    expect(callerOf({ authInfo: info })).toBe(caller)
    info.scopes.push('c')
    expect(caller.scopes).toEqual(['a', 'b'])
  })

  it('names a client only where there is one', () => {
    expect(authInfoOf(makePrincipal(clientless)).clientId).toBe('')
    expect(authInfoOf(makePrincipal(userless)).clientId).toBe('ada')
  })

  it.each([
    ['several', [resource, 'https://other.example']],
    ['a name', ['notes']],
    ['another scheme', ['urn:notes']],
    ['none', []],
  ])('names no resource for an audience of %s', (_name, audience) => {
    expect(authInfoOf(makePrincipal({ ...facts, audience })).resource).toBeUndefined()
  })

  it('prints neither the token nor the claims', () => {
    const info = authInfoOf(makePrincipal(facts, new Secret('the-token')))
    for (const printed of [
      inspect(info, { depth: 9, getters: false }),
      inspect({ authInfo: info }, { depth: 9, showHidden: false }),
      JSON.stringify(info),
      JSON.stringify({ ...info }),
      String(info),
    ]) {
      expect(printed).not.toContain('the-token')
      expect(printed).not.toContain('ada@example.com')
    }
  })

  it('gives callerOf() nobody for what it did not make', () => {
    const info = authInfoOf(makePrincipal(facts))
    for (const extra of [{}, { authInfo: undefined }, { authInfo: { ...info } }]) {
      expect(() => callerOf(extra)).toThrow(/authenticate\(verifier\)/)
    }
  })
})

describe('mcpTokenVerifier', () => {
  const gate =
    (more: object = {}): RequestHandler =>
    (...args) =>
      requireBearerAuth({
        verifier: mcpTokenVerifier({ verifier, errors }),
        resourceMetadataUrl: metadataUrl,
        ...more,
      })(...args)

  it('is what requireBearerAuth of the SDK takes', async () => {
    await using server = await serve(gate({ expectedResource: new URL(resource) }))
    const client = await connect(server.origin, bearer(token()))
    expect(JSON.parse(said(await client.callTool({ name: 'whoami' }))!)[0]).toBe('ada')
    await client.close()
  })

  it('W17 lets it refuse, without a reason', async () => {
    await using server = await serve(gate({ requiredScopes: ['mcp:use'] }))
    const ask = async (value: string) => {
      const response = await call(server.origin, 'whoami', bearer(value))
      return [response.status, response.headers.get('www-authenticate'), await response.json()]
    }
    const invalid = 'The access token is not acceptable'
    const more = `scope="mcp:use", resource_metadata="${metadataUrl}"`
    for (const bad of [token('ada', [], { ttlMs: -3_600_000 }), 'opaque', `${token()}x`]) {
      expect(await ask(bad)).toEqual([
        401,
        `Bearer error="invalid_token", error_description="${invalid}", ${more}`,
        { error: 'invalid_token', error_description: invalid },
      ])
    }
    const lacking = 'The access token lacks a required scope'
    expect(await ask(token('ada', ['mail']))).toEqual([
      403,
      `Bearer error="insufficient_scope", error_description="${lacking}", ${more}`,
      { error: 'insufficient_scope', error_description: lacking },
    ])
  })

  it('W17 is a server error where nobody can be judged, or something broke', async () => {
    const away = new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason: 'canary' })
    for (const error of [away, new Error('canary')]) {
      const broken = mcpTokenVerifier({
        verifier: { verifyToken: () => Promise.reject(error) },
        errors,
      })
      await using server = await serve(gate({ verifier: broken }))
      const response = await call(server.origin, 'whoami', bearer('x'))
      expect([response.status, await response.json()]).toEqual([
        500,
        { error: 'server_error', error_description: 'Internal Server Error' },
      ])
    }
  })

  it('refuses to start without the classes of the SDK', () => {
    for (const wrong of [undefined, {}, { InvalidTokenError: errors.InvalidTokenError }]) {
      expect(() => mcpTokenVerifier({ verifier, errors: wrong as never })).toThrow(TypeError)
    }
  })
})

describe('consentElicitation', () => {
  it('asks for a consent with the error of the SDK, which its client understands', async () => {
    await using server = await serve((...args) => authenticate(verifier)(...args))
    const client = await connect(server.origin, bearer(token()))
    const error = await client
      .callTool({ name: 'list_events', arguments: { day: 'mon' } })
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(UrlElicitationRequiredError)
    expect(error).toMatchObject({
      code: -32042,
      elicitations: [
        {
          mode: 'url',
          elicitationId: consent.sessionUri,
          url: consent.authorizationUrl,
          message: 'Connect your account at "calendar" to go on.',
        },
      ],
    })
    await client.close()
  })

  it('leaves every other error to the SDK', async () => {
    await using server = await serve((...args) => authenticate(verifier)(...args))
    const client = await connect(server.origin, bearer(token()))
    const result = await client.callTool({ name: 'fail' })
    expect([result.isError, said(result)]).toEqual([true, 'as it is'])
    await client.close()
  })

  it('keeps this, arguments and result, and finds a consent deep inside', async () => {
    const tool = withConsent(function (this: { a: number }, b: number) {
      if (b === 0) throw new Error('outer', { cause: consent })
      return this.a + b
    })
    expect(await tool.call({ a: 1 }, 2)).toBe(3)
    await expect(tool.call({ a: 1 }, 0)).rejects.toBeInstanceOf(UrlElicitationRequiredError)
  })

  it('refuses to start without the class of the SDK', () => {
    expect(() => consentElicitation(undefined as never)).toThrow(TypeError)
  })
})
