/**
 * A server that lets in who has a token for it, and knows who that is.
 *
 *   npm run example 03-verify-inbound-jwt
 *
 * Starts an authorization server of its own, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { InboundVerifier, jwtBearer, WorkloadIdentity } from 'deputize'
import { nodeHandler } from 'deputize/node'
import { startAuthorizationServer } from 'deputize/testing'
import { listen, stop } from './api-server.js'

await using server = await startAuthorizationServer()

// 1. Say whose tokens are taken, and for what. All of it must hold; each list is any-of.
const verifier = new InboundVerifier({
  authenticators: [
    jwtBearer({
      discoveryUrl: server.discoveryUrl,
      allowedAudience: ['support-agent'],
      allowedScopes: ['agent:invoke'],
      customClaims: [{ name: 'groups', operator: 'CONTAINS_ANY', value: ['staff', 'admin'] }],
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
  ],
  audit: (event) => console.log(`  audit: ${event.type}`, 'code' in event ? event.code : ''),
})
const agent = new WorkloadIdentity({ name: 'support-agent' })

// 2. Ask it first. What is no Principal is the response to send: 401 or 403 with a challenge.
const app = createServer(
  nodeHandler(async (request) => {
    const caller = await verifier.authenticate(request)
    if (caller instanceof Response) return caller
    const acting = agent.actFor(caller)
    return Response.json({ hello: acting.user?.subject ?? `client ${caller.clientId}` })
  }),
)
const origin = await listen(app)

// 3. Call it.
const claims = { groups: ['staff'] }
const good = { subject: 'ana', audience: 'support-agent', scopes: ['agent:invoke'], claims }
const callers = {
  'a user': server.userToken(good),
  'a token for another agent': server.userToken({ ...good, audience: 'other-agent' }),
  'an expired token': server.userToken({ ...good, ttlMs: -3_600_000 }),
  'a token without the scope': server.userToken({ ...good, scopes: ['mail'] }),
  'a user of no group': server.userToken({ ...good, claims: {} }),
  'no token': undefined,
}
const statuses: Record<string, number> = {}
for (const [who, token] of Object.entries(callers)) {
  console.log(who)
  const headers = token ? { authorization: `Bearer ${token}` } : undefined
  const response = await fetch(origin, headers ? { headers } : {})
  console.log(
    `  ${response.status} ${response.headers.get('www-authenticate') ?? (await response.text())}`,
  )
  statuses[who] = response.status
}
assert.deepEqual(Object.values(statuses), [200, 401, 401, 403, 403, 401])
await stop(app)
