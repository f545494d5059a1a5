/**
 * An MCP server that refuses and challenges, and whose tool acts for the caller, with the caller's consent.
 *
 *   npm run example 12-mcp-server
 *
 * Starts an authorization server of its own, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import {
  InboundVerifier,
  jwtBearer,
  OutboundCredentialProvider,
  oauth2,
  type Principal,
  requireToken,
  WorkloadIdentity,
} from 'deputize'
import { requireScopes } from 'deputize/inbound'
import {
  authenticate,
  calledTools,
  callerOf,
  consentElicitation,
  metadataRoute,
} from 'deputize/mcp'
import { nodeHandler } from 'deputize/node'
import { startAuthorizationServer } from 'deputize/testing'
import express, { type Request } from 'express'
import { z } from 'zod'
import { cookie, listen, stop } from './api-server.js'
import { Browser } from './browser.js'

await using idp = await startAuthorizationServer()
const http = createServer()
const origin = await listen(http)
const resource = `${origin}/mcp`

// 1. Say whose tokens are taken. Everybody else is challenged, and told where to read what to ask for.
const verifier = new InboundVerifier({
  authenticators: [
    jwtBearer({
      discoveryUrl: idp.discoveryUrl,
      allowedAudience: [resource],
      allowedScopes: ['mcp:use'],
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
  ],
  resource,
  scopesSupported: ['calendar:write'],
  errorBody: 'json-rpc',
})
const agent = new WorkloadIdentity({ name: 'calendar-mcp' })
const credentials = new OutboundCredentialProvider({
  providers: {
    calendar: oauth2({
      issuer: idp.issuer,
      clientId: idp.clientId,
      clientSecret: idp.clientSecret,
      allowInsecureLoopback: true,
    }),
  },
  callbackUrl: `${origin}/oauth/callback`,
  // Your own session says who is in front of the browser.
  identifyUser: (request) => {
    const subject = cookie(request, 'user')
    return subject === undefined ? undefined : { issuer: idp.issuer, subject }
  },
  allowInsecureLoopback: true,
})

// 2. A tool that acts for whoever called it. A missing consent becomes a link that the client shows.
const withConsent = consentElicitation(UrlElicitationRequiredError)
function mcpServer(): McpServer {
  const server = new McpServer({ name: 'calendar', version: '1.0.0' })
  server.registerTool(
    'add_event',
    { inputSchema: { title: z.string() } },
    withConsent(
      requireToken(
        {
          provider: 'calendar',
          scopes: ['events'],
          credentials,
          acting: (_args, extra) => agent.actFor(callerOf(extra)),
        },
        async (token, { title }, extra) => {
          const text = `${title}: added for ${callerOf(extra).subject} with a token for ${token.scopes}`
          return { content: [{ type: 'text' as const, text }] }
        },
      ),
    ),
  )
  return server
}

// 3. Put the verifier in front. One tool asks for more than the others.
const writes = requireScopes('mcp:use', 'calendar:write')
function guard(caller: Principal, request: Request): void {
  if (calledTools(request).includes('add_event')) writes(caller)
}
const app = express()
app.use(metadataRoute(verifier))
app.get(
  '/oauth/callback/:provider',
  nodeHandler((request) => credentials.handleCallback(request)),
)
app.post('/mcp', express.json(), authenticate(verifier, { guard }), async (request, response) => {
  const server = mcpServer()
  const transport = new StreamableHTTPServerTransport()
  response.on('close', () => void server.close())
  await server.connect(transport as Parameters<typeof server.connect>[0])
  await transport.handleRequest(request, response, request.body)
})
app.all('/mcp', (_request, response) => {
  response.status(405).end()
})
http.on('request', app)

// 4. Call it: without a token, without the scope, and with both.
const tokenFor = (...scopes: string[]) =>
  idp.userToken({ subject: 'ana', audience: resource, scopes })
async function call(token?: string): Promise<Response> {
  const response = await fetch(resource, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'add_event', arguments: { title: 'Lunch' } },
    }),
  })
  console.log(response.status, response.headers.get('www-authenticate') ?? '')
  return response
}
const nobody = await call()
const [, metadataUrl] =
  /resource_metadata="([^"]+)"/.exec(nobody.headers.get('www-authenticate') ?? '') ?? []
assert.equal(nobody.status, 401)
assert.deepEqual((await (await fetch(metadataUrl!)).json()).authorization_servers, [idp.issuer])

const tooLittle = await call(tokenFor('mcp:use'))
assert.equal(tooLittle.status, 403)
assert.match(tooLittle.headers.get('www-authenticate') ?? '', /scope="mcp:use calendar:write"/)

const client = new Client(
  { name: 'example', version: '1.0.0' },
  { capabilities: { elicitation: { url: {} } } },
)
const headers = { authorization: `Bearer ${tokenFor('mcp:use', 'calendar:write')}` }
const transport = new StreamableHTTPClientTransport(new URL(resource), { requestInit: { headers } })
await client.connect(transport as Parameters<typeof client.connect>[0])
const addEvent = () => client.callTool({ name: 'add_event', arguments: { title: 'Lunch' } })

const asked = await addEvent().catch((error: unknown) => error)
assert.ok(asked instanceof UrlElicitationRequiredError)
const [link] = asked.elicitations
console.log(link?.message)
const browser = new Browser()
browser.setCookie(origin, 'user', 'ana')
assert.match((await browser.open(link!.url)).body, /Connected/)

const { content } = await addEvent()
console.log(content)
assert.deepEqual(content, [{ type: 'text', text: 'Lunch: added for ana with a token for events' }])
await client.close()
credentials.close()
await stop(http)
