/**
 * A fetch that carries the agent's credential, to the right origin and nowhere else.
 *
 *   npm run example 05-authenticated-fetch
 *
 * Starts an authorization server and two APIs, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import {
  apiKey,
  authenticatedFetch,
  OriginNotAllowedError,
  OutboundCredentialProvider,
  oauth2,
  WorkloadIdentity,
} from 'deputize'
import { startAuthorizationServer } from 'deputize/testing'
import { listen, stop } from './api-server.js'

await using server = await startAuthorizationServer()
const seen: string[] = []
const elsewhere = createServer((request, response) => {
  seen.push(
    `elsewhere saw: ${request.headers.authorization ?? request.headers['x-api-key'] ?? 'nothing'}`,
  )
  response.end('elsewhere')
})
const elsewhereOrigin = await listen(elsewhere)
let spoiled = true
const api = createServer((request, response) => {
  if (request.url === '/leave') response.writeHead(302, { location: elsewhereOrigin }).end()
  else if (request.url === '/spoiled' && spoiled) {
    spoiled = false // as if the token had been revoked
    response.writeHead(401).end()
  } else response.end(request.headers['x-api-key'] ? 'by key' : 'by token')
})
const origin = await listen(api)

// 1. Say where each credential may go.
const credentials = new OutboundCredentialProvider({
  providers: {
    billing: oauth2({
      issuer: server.issuer,
      clientId: server.clientId,
      clientSecret: server.clientSecret,
      origins: [origin],
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
    search: apiKey({ key: 'k-123', origins: [origin], allowInsecureLoopback: true }),
  },
})

// 2. Make a fetch of each; it has the type of fetch, and goes wherever a fetch can be passed in.
const fetchBilling = authenticatedFetch({ provider: 'billing', scopes: ['invoices:read'] })
const fetchSearch = authenticatedFetch({ provider: 'search' })

// 3. Use them.
const agent = new WorkloadIdentity({ name: 'billing-agent' })
await credentials.runAs(agent.actAsSelf(), async () => {
  assert.equal(await (await fetchBilling(`${origin}/invoices`)).text(), 'by token')
  assert.equal(await (await fetchSearch(`${origin}/search?q=a`)).text(), 'by key')

  // A 401 is answered once, with a new token.
  assert.equal((await fetchBilling(`${origin}/spoiled`)).status, 200)

  // A redirect to another origin is followed without the credential.
  assert.equal(await (await fetchBilling(`${origin}/leave`)).text(), 'elsewhere')
  assert.equal(await (await fetchSearch(`${origin}/leave`)).text(), 'elsewhere')
  assert.deepEqual([...new Set(seen)], ['elsewhere saw: nothing'])

  // An address that a model made up gets nothing at all.
  await assert.rejects(fetchBilling(`${elsewhereOrigin}/steal`), OriginNotAllowedError)
})
console.log('The credential went to its own origin only.')
await Promise.all([stop(api), stop(elsewhere)])
