/**
 * Every framework that there is an adapter for, in one process, with a verifier in front and an
 * `OutboundCredentialProvider` behind. `serve()` of `@hono/node-server` replaces the global `Request` and `Response` for
 * everybody: whoever starts before or after it must work all the same.
 */
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import * as forExpress from '../../src/adapters/express/index.js'
import * as forFastify from '../../src/adapters/fastify/index.js'
import * as forHono from '../../src/adapters/hono/index.js'
import * as forMcp from '../../src/adapters/mcp/index.js'
import { nodeHandler, rawRequest } from '../../src/adapters/node/index.js'
import { authenticatedFetch } from '../../src/fetch/authenticated-fetch.js'
import { InboundVerifier, jwtBearer } from '../../src/inbound/index.js'
import { OutboundCredentialProvider } from '../../src/outbound/credential-provider.js'
import { isPrincipal, type Principal } from '../../src/principal.js'
import { oauth2 } from '../../src/providers/oauth2.js'
import {
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from '../../src/testing/authorization-server.js'
import { WorkloadIdentity } from '../../src/workload/identity.js'
import { type LocalServer, listen } from '../support/local-server.js'

/** What an application on a framework is given: who may call it, what it does for a caller, and where consents end. */
interface Work {
  readonly verifier: InboundVerifier
  readonly work: (caller: Principal, asked: string) => Promise<string>
  readonly callback: (request: Request) => Promise<Response>
}
interface Running {
  readonly origin: string
  readonly close: () => Promise<unknown>
}

const running = (server: LocalServer): Running => ({
  origin: server.origin,
  close: async () => server[Symbol.asyncDispose](),
})

const frameworks: Record<string, (app: Work) => Promise<Running>> = {
  async node({ verifier, work, callback }) {
    const server = await listen(
      nodeHandler(async (request, message) => {
        const { pathname } = new URL(request.url)
        if (pathname.startsWith('/callback/')) return callback(request)
        const caller = await verifier.authenticate(rawRequest(message))
        if (!isPrincipal(caller)) return caller
        return new Response(await work(caller, pathname))
      }),
    )
    return running(server)
  },

  async express({ verifier, work, callback }) {
    const app = express()
    app.get('/callback/:provider', nodeHandler(callback))
    app.get('/:asked', forExpress.authenticate(verifier), async (request, response) => {
      response.send(await work(forExpress.callerOf(request), request.path))
    })
    return running(await listen(app))
  },

  async fastify({ verifier, work, callback }) {
    const app = fastify()
    app.get('/callback/:provider', (request, reply) => {
      reply.hijack()
      nodeHandler(callback)(request.raw, reply.raw)
    })
    app.get('/:asked', { onRequest: forFastify.authenticate(verifier) }, (request) =>
      work(forFastify.callerOf(request), request.url),
    )
    return { origin: await app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() }
  },

  async hono({ verifier, work, callback }) {
    const app = new Hono()
    app.get('/callback/:provider', (c) => callback(c.req.raw))
    app.get('/:asked', forHono.authenticate(verifier), async (c) =>
      c.text(await work(forHono.callerOf(c), c.req.path)),
    )
    const server = await new Promise<ReturnType<typeof serve>>((done) => {
      const started = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () =>
        done(started),
      )
    })
    const { port } = server.address() as AddressInfo
    return {
      origin: `http://127.0.0.1:${port}`,
      close: () => new Promise((done) => server.close(done)),
    }
  },

  async mcp({ verifier, work, callback }) {
    const app = express()
    app.get('/callback/:provider', nodeHandler(callback))
    app.get('/:asked', forMcp.authenticate(verifier), async (request, response) => {
      const server = new McpServer({ name: 'x', version: '1.0.0' })
      server.registerTool('work', {}, async (extra) => ({
        content: [{ type: 'text', text: await work(forMcp.callerOf(extra), request.path) }],
      }))
      const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
      response.on('close', () => void server.close())
      await server.connect(transport as Parameters<typeof server.connect>[0])
      const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'work' } }
      request.method = 'POST'
      request.headers.accept = 'application/json, text/event-stream'
      request.headers['content-type'] = 'application/json'
      request.rawHeaders.push('Accept', request.headers.accept, 'Content-Type', 'application/json')
      await transport.handleRequest(request, response, call)
    })
    return running(await listen(app))
  },
}

describe.each([
  [['hono', 'node', 'express', 'fastify', 'mcp']],
  [['node', 'express', 'hono', 'fastify', 'mcp']],
  [['mcp', 'fastify', 'express', 'node', 'hono']],
])('frameworks in one process, started as %s', (order) => {
  const globals = { Request, Response }
  const started = new Map<string, Running>()
  let idp: RunningAuthorizationServer
  let api: LocalServer

  beforeAll(async () => {
    idp = await startAuthorizationServer()
    api = await listen((request, response) => {
      response.end(request.headers.authorization === undefined ? 'nobody' : 'known')
    })
    for (const name of order) started.set(name, await start(name))
  })
  afterAll(async () => {
    for (const { close } of started.values()) await close()
    await api[Symbol.asyncDispose]()
    await idp.close()
    for (const [name, value] of Object.entries(globals)) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    }
  })
  afterEach(() => {
    idp.requests.length = 0
  })

  async function start(name: string): Promise<Running> {
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          discoveryUrl: idp.discoveryUrl,
          allowedAudience: ['agent'],
          allowInsecureLoopback: true,
        }),
      ],
    })
    const agent = new WorkloadIdentity({ name: 'agent' })
    const server = {
      issuer: idp.issuer,
      clientId: idp.clientId,
      clientSecret: idp.clientSecret,
      origins: [api.origin],
      allowInsecureLoopback: true,
    }
    let credentials: OutboundCredentialProvider | undefined
    const app = await frameworks[name]!({
      verifier,
      callback: (request) => credentials!.handleCallback(request),
      async work(caller, asked) {
        const itself = agent.actAsSelf()
        const user = agent.actFor(caller)
        switch (asked) {
          case '/whoami':
            return caller.subject
          case '/m2m':
            return (await credentials!.getToken(itself, { provider: 'm2m' })).tokenType
          case '/fetch':
            return credentials!.runAs(itself, async () => {
              const call = authenticatedFetch({ provider: 'm2m' })
              // A Request that was made before somebody replaced the class, and one of now.
              const answers = [new globals.Request(api.origin), new Request(api.origin), api.origin]
              return (await Promise.all(answers.map(async (to) => (await call(to)).text()))).join()
            })
          case '/consent':
            return (await credentials!.beginAuthorization(user, { provider: 'calendar' }))
              .authorizationUrl
          default:
            return (await credentials!.getToken(user, { provider: 'calendar' })).tokenType
        }
      },
    })
    credentials = new OutboundCredentialProvider({
      providers: { m2m: oauth2(server), calendar: oauth2({ ...server, scopes: ['read'] }) },
      callbackUrl: `${app.origin}/callback`,
      identifyUser: 'unsafe-single-user',
      allowInsecureLoopback: true,
    })
    return app
  }

  it.each(order)('%s serves callers, the agent itself, and consents', async (name) => {
    const { origin } = started.get(name)!
    const token = idp.userToken({ subject: 'ada', audience: 'agent' })
    const ask = async (path: string, authorization = `Bearer ${token}`) => {
      const answer = await fetch(`${origin}${path}`, { headers: { authorization } })
      const text = await answer.text()
      if (name !== 'mcp' || answer.status !== 200) return [answer.status, text]
      return [answer.status, JSON.parse(text).result.content[0].text]
    }
    expect(await ask('/whoami')).toEqual([200, 'ada'])
    expect((await ask('/whoami', 'Bearer junk'))[0]).toBe(401)
    expect(await ask('/m2m')).toEqual([200, 'Bearer'])
    expect(await ask('/fetch')).toEqual([200, 'known,known,known'])
    const [, link] = await ask('/consent')
    expect((await fetch(link)).status).toBe(200)
    expect(await ask('/token')).toEqual([200, 'Bearer'])
  })
})

it('leans on no class that another package may replace, and changes no object of others', async () => {
  await using api = await listen((request, response) => {
    response.end(request.headers.authorization === undefined ? 'nobody' : 'known')
  })
  await using idp = await startAuthorizationServer()
  const globals = { Request, Response, Headers, ReadableStream, Promise }
  const early = new Request(api.origin, { method: 'POST', body: 'x' })
  const answered: Response[] = []
  const replace = (name: string, value: unknown) =>
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  for (const [name, Class] of Object.entries(globals)) {
    replace(name, class extends (Class as new (...args: never[]) => object) {})
  }
  try {
    const credentials = new OutboundCredentialProvider({
      providers: {
        api: oauth2({
          issuer: idp.issuer,
          clientId: idp.clientId,
          clientSecret: idp.clientSecret,
          origins: [api.origin],
          allowInsecureLoopback: true,
          fetch: async (...args) => {
            const answer = await fetch(...args) // its headers are immutable
            answered.push(answer)
            return answer
          },
        }),
      },
    })
    const call = authenticatedFetch({ provider: 'api' })
    const itself = new WorkloadIdentity({ name: 'agent' }).actAsSelf()
    for (const request of [early, new Request(api.origin)]) {
      expect(await credentials.runAs(itself, async () => (await call(request)).text())).toBe(
        'known',
      )
    }
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          discoveryUrl: idp.discoveryUrl,
          allowedAudience: ['agent'],
          allowInsecureLoopback: true,
        }),
      ],
    })
    const authorization = `Bearer ${idp.userToken({ subject: 'ada', audience: 'agent' })}`
    const asked = new globals.Request('https://agent.example', { headers: { authorization } })
    expect(isPrincipal(await verifier.authenticate(asked))).toBe(true)
    const refused = await verifier.authenticate(new globals.Request('https://agent.example'))
    expect(refused).toBeInstanceOf(Response)
    expect(refused).toMatchObject({ status: 401 })
    expect(answered.length).toBeGreaterThan(0)
  } finally {
    for (const [name, value] of Object.entries(globals)) replace(name, value)
  }
})
