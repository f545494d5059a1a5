/**
 * A whole agent: it finds out who calls, acts for that user, gets the user's consent and token for a calendar, and calls
 * a billing service in its own name.
 *
 *   npm run demo                     everything by itself (also: npm run example 04-whole-agent)
 *   npm run demo -- --interactive    prints the consent link and waits for you
 *
 * Starts two real OpenID providers, two APIs and the agent on this machine, needs no account and no network, and exits
 * non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import {
  type AuditEvent,
  accessToken,
  authenticatedFetch,
  findAuthorizationRequired,
  InboundVerifier,
  jwtBearer,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  requireToken,
  tokenVault,
  type UserRef,
  WorkloadIdentity,
} from 'deputize'
import { nodeHandler } from 'deputize/node'
import { cookie, listen, startApi, stop } from './api-server.js'
import { printAuditTrail } from './audit-table.js'
import { Browser } from './browser.js'
import { startOpenIdProvider } from './openid-provider.js'
import { signIn } from './sign-in.js'

const interactive = process.argv.includes('--interactive')
let steps = 0
const step = (text: string) => console.log(`\n${++steps}. ${text}`)
const detail = (text: string) => console.log(`   ${text}`)

// ── The world around the agent ────────────────────────────────────────────────────────────────────────────────────────
const calendarApi = await startApi((caller) => ({
  owner: caller.subject,
  events: ['09:00 stand-up'],
}))
const billingApi = await startApi((caller) => ({ client: caller.clientId, invoices: 3 }))
const agentServer = createServer()
const agentOrigin = await listen(agentServer)

/** Signs users in to the agent. */
const people = await startOpenIdProvider({
  clients: [
    {
      client_id: 'web-app',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/signed-in'],
      application_type: 'native',
    },
  ],
  resourceServers: { [agentOrigin]: { scopes: ['agent:invoke'] } },
})
/** Guards the calendar and the billing service. */
const services = await startOpenIdProvider({
  clients: [
    {
      client_id: 'calendar-agent',
      client_secret: 'agent-secret',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      redirect_uris: [`${agentOrigin}/oauth/callback/calendar`],
    },
  ],
  resourceServers: {
    [calendarApi.origin]: { scopes: ['calendar:read'] },
    [billingApi.origin]: { scopes: ['invoices:read'] },
  },
  refreshTokens: 'always',
})
calendarApi.guard({ issuer: services.issuer, scope: 'calendar:read' })
billingApi.guard({ issuer: services.issuer, scope: 'invoices:read' })
const tokenRequests = () => services.requests.filter((line) => line === 'POST /token').length

// ── The agent ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const trail: AuditEvent[] = []
const audit = (event: AuditEvent) => trail.push(event)
let doorLink: string | undefined // only with --interactive
let aheadMs = 0 // the demo lets time pass by moving the agent's clock

const verifier = new InboundVerifier({
  authenticators: [
    jwtBearer({
      discoveryUrl: `${people.issuer}/.well-known/openid-configuration`,
      allowedAudience: [agentOrigin],
      allowedClients: ['web-app'],
      allowedScopes: ['agent:invoke'],
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
  ],
  audit: (event) => void audit(event),
})

const agent = new WorkloadIdentity({
  name: 'calendar-agent',
  issuer: agentOrigin,
  allowInsecureLoopback: true,
  audit: (event) => void audit(event),
})

/** The application's own sessions: a cookie, and the user whom it belongs to. */
const sessions = new Map<string, UserRef>()

const credentials = new OutboundCredentialProvider({
  providers: {
    calendar: oauth2({
      issuer: services.issuer,
      clientId: 'calendar-agent',
      clientSecret: 'agent-secret',
      resource: calendarApi.origin,
      origins: [calendarApi.origin],
      allowInsecureLoopback: true,
    }),
    billing: oauth2({
      issuer: services.issuer,
      clientId: 'calendar-agent',
      clientSecret: 'agent-secret',
      resource: billingApi.origin,
      origins: [billingApi.origin],
      allowInsecureLoopback: true,
    }),
  },
  vault: tokenVault({ store: memoryStore(), keys: localKeys(randomBytes(32)) }),
  callbackUrl: `${agentOrigin}/oauth/callback`,
  identifyUser: (request) => sessions.get(cookie(request, 'session') ?? ''),
  allowInsecureLoopback: true,
  audit: (event) => void audit(event),
  clock: () => Date.now() + aheadMs,
})

/** The tool that a model would call. It sees `listEvents(day)`; it never sees the token. */
const listEvents = requireToken(
  { provider: 'calendar', scopes: ['calendar:read'] },
  async (token, day: string) => {
    assert.equal(accessToken('calendar'), token)
    const response = await fetch(`${calendarApi.origin}/events?day=${day}`, {
      headers: { authorization: token.authorization },
    })
    assert.equal(response.status, 200)
    return (await response.json()) as { owner: string; events: string[] }
  },
)

/** A service that the agent calls in its own name, whoever asked. */
const billing = authenticatedFetch({ provider: 'billing', scopes: ['invoices:read'], flow: 'M2M' })

agentServer.on(
  'request',
  nodeHandler(async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname.startsWith('/.well-known/')) return agent.handler(request)
    if (pathname.startsWith('/oauth/callback/')) return credentials.handleCallback(request)

    if (doorLink && pathname.startsWith('/enter/')) {
      // Stands for a sign-in page: gives the person's browser the application's session.
      const headers = {
        location: doorLink,
        'set-cookie': `session=${pathname.slice(7)}; Path=/; HttpOnly`,
      }
      return new Response(null, { status: 303, headers })
    }

    const caller = await verifier.authenticate(request)
    if (caller instanceof Response) return caller
    if (pathname === '/session') {
      const id = randomBytes(16).toString('hex')
      sessions.set(id, caller.user as UserRef)
      return new Response(null, {
        status: 204,
        headers: { 'set-cookie': `session=${id}; HttpOnly` },
      })
    }
    return credentials.runAs(agent.actFor(caller), async () => {
      try {
        if (pathname === '/invoices') return await billing(`${billingApi.origin}/invoices`)
        return Response.json(await listEvents('2026-11-24'))
      } catch (error) {
        const consent = findAuthorizationRequired(error)
        if (!consent) throw error
        return Response.json({ connect: consent.authorizationUrl }, { status: 403 })
      }
    })
  }),
)

// ── What people do with it ────────────────────────────────────────────────────────────────────────────────────────────
const tokenOf = (login: string) =>
  signIn({
    issuer: people.issuer,
    clientId: 'web-app',
    redirectUri: 'http://127.0.0.1/signed-in',
    resource: agentOrigin,
    scope: 'openid agent:invoke',
    login,
  })
const call = (path: string, token?: string) =>
  fetch(`${agentOrigin}${path}`, token ? { headers: { authorization: `Bearer ${token}` } } : {})
/** A browser that is signed in to the application as the token's user. */
async function browserOf(login: string, token: string): Promise<Browser> {
  const response = await call('/session', token)
  const browser = new Browser({ login })
  const [pair = ''] = response.headers.getSetCookie()[0]?.split(';') ?? []
  browser.setCookie(agentOrigin, 'session', pair.slice('session='.length))
  return browser
}

console.log(
  'An agent, two OpenID providers, a calendar and a billing service, all on this machine.',
)

step('Somebody without a token calls the agent.')
const stranger = await call('/events')
assert.equal(stranger.status, 401)
assert.match(stranger.headers.get('www-authenticate') ?? '', /^Bearer /)
detail('Refused: 401, with a challenge that says how to come back.')

step('Alice signs in at her provider and calls the agent with her access token.')
const alice = await tokenOf('alice')
const aliceBrowser = await browserOf('alice', alice)
const first = await call('/events', alice)
assert.equal(first.status, 403)
const { connect: aliceLink } = (await first.json()) as { connect: string }
assert.equal(tokenRequests(), 0)
detail('The agent knows her. It has no token for her calendar, so the tool has not run;')
detail('it gives her a link to consent.')

step('Bob, another user of the agent, is sent her link and opens it in his browser.')
const bob = await tokenOf('bob')
const bobBrowser = await browserOf('bob', bob)
const forwarded = await bobBrowser.open(aliceLink)
assert.equal(forwarded.status, 403)
assert.equal(tokenRequests(), 0)
detail(
  'Refused: he is not the one who was asked. The code was never exchanged, and the link is dead.',
)

step('Alice asks again and opens her new link herself.')
const { connect: secondLink } = (await (await call('/events', alice)).json()) as { connect: string }
assert.notEqual(secondLink, aliceLink)
if (interactive) {
  const [sessionId] = [...sessions].find(([, user]) => user.subject === 'alice') ?? []
  doorLink = secondLink
  console.log(`\n   Open this in a browser, sign in as "alice" with any password, and agree:\n`)
  console.log(`   ${agentOrigin}/enter/${sessionId}\n`)
  while ((await call('/events', alice)).status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
} else {
  const consented = await aliceBrowser.open(secondLink)
  assert.equal(consented.status, 200)
  assert.match(consented.body, /Connected/)
}
detail(
  'She signs in to her calendar and agrees. Her session shows that it is she, the code is exchanged,',
)
detail('and the tokens go into the vault, encrypted.')

step('She calls again.')
const served = await call('/events', alice)
assert.equal(served.status, 200)
assert.deepEqual(await served.json(), { owner: 'alice', events: ['09:00 stand-up'] })
const afterConsent = tokenRequests()
detail('The tool ran with her token, and the calendar answered with her events.')

step('And again.')
assert.equal((await call('/events', alice)).status, 200)
assert.equal(tokenRequests(), afterConsent)
detail('Served from the vault: no request to the authorization server.')

step('Two hours pass; her token expires.')
aheadMs += 2 * 3_600_000
const answers = await Promise.all(Array.from({ length: 5 }, () => call('/events', alice)))
assert.ok(answers.every((answer) => answer.status === 200))
assert.equal(tokenRequests(), afterConsent + 1)
const refreshed = trail.find((event) => event.type === 'token_refreshed')
assert.ok(refreshed?.type === 'token_refreshed' && refreshed.rotated)
detail(
  'Five calls at once, one refresh. The provider rotated the refresh token; the new one is in the vault.',
)

step('Bob calls the agent.')
const bobs = await call('/events', bob)
assert.equal(bobs.status, 403)
detail("He sees nothing of Alice's: he is asked for his own consent.")

step('Alice asks for the invoices; the agent calls the billing service in its own name.')
const invoices = await call('/invoices', alice)
assert.equal(invoices.status, 200)
assert.deepEqual(await invoices.json(), { client: 'calendar-agent', invoices: 3 })
detail('A token of its own (client credentials): the billing service sees the agent, not Alice.')

console.log('\nThe audit trail, as it was written:\n')
printAuditTrail(trail)
const count = (type: AuditEvent['type']) => trail.filter((event) => event.type === type).length
assert.equal(count('consent_completed'), 1)
assert.equal(count('consent_refused'), 1)
assert.equal(count('token_refreshed'), 1)
assert.ok(!JSON.stringify(trail).includes('agent-secret') && !JSON.stringify(trail).includes(alice))

credentials.close()
await Promise.all([stop(agentServer), calendarApi.close(), billingApi.close()])
await Promise.all([people.close(), services.close()])
console.log(`\nAll ${steps} steps went as they should.`)
