/**
 * However many ask for one token at once, the server is asked once; after a restart, not at all.
 *
 *   PROOF_COUNT=small npm run proof single-flight    fewer than the 10,000 callers of the promise
 *
 * A real OpenID provider, real sockets, requests counted where they arrive. Exits non-zero on any other count.
 */
import { randomBytes } from 'node:crypto'
import {
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { startOpenIdProvider } from '../examples/openid-provider.js'
import { challengeOf, startConsentRig, user } from '../test/support/consent-rig.js'
import { proofCount } from '../test/support/fleet.js'

const count = proofCount(10_000, 500)
const HOUR_MS = 3_600_000
let short = 0

function report(what: string, seen: number, promised: number): void {
  if (seen !== promised) short++
  console.log(`${what.padEnd(64)} ${String(seen).padStart(3)}  (must be ${promised})`)
}

await using server = await startOpenIdProvider({
  clients: [
    {
      client_id: 'agent',
      client_secret: 'agent-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  resourceServers: { 'https://api.example': { scopes: ['read'] } },
})
const self = new WorkloadIdentity({ name: 'proof-agent' }).actAsSelf()
const keys = localKeys(randomBytes(32))

/** Starts a process, as it were, and has `callers` ask at once. */
async function ask(callers: number, store = memoryStore()) {
  const credentials = new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: server.issuer,
        clientId: 'agent',
        clientSecret: 'agent-secret',
        allowInsecureLoopback: true,
      }),
    },
    vault: tokenVault({ store, keys }),
  })
  const from = server.requests.length
  const startedMs = performance.now()
  const tokens = await Promise.all(
    Array.from({ length: callers }, () =>
      credentials.getToken(self, { provider: 'api', scopes: ['read'] }),
    ),
  )
  const requests = server.requests.slice(from)
  return {
    store,
    ms: Math.round(performance.now() - startedMs),
    tokens: new Set(tokens.map((token) => token.value)).size,
    discoveries: requests.filter((line) => line.startsWith('GET ')).length,
    requests: requests.filter((line) => line === 'POST /token').length,
  }
}

const few = await ask(50)
report('50 callers: token requests', few.requests, 1)
report('50 callers: discoveries', few.discoveries, 1)
report('50 callers: different tokens', few.tokens, 1)

const many = await ask(count)
report(`${count} callers: token requests`, many.requests, 1)
report(`${count} callers: discoveries`, many.discoveries, 1)
report(`${count} callers: different tokens`, many.tokens, 1)

const restarted = await ask(50, many.store)
report('50 callers after a restart with the same store: token requests', restarted.requests, 0)
report('50 callers after a restart with the same store: discoveries', restarted.discoveries, 0)

// The same for a user's grant, on a provider that rotates refresh tokens and ends the family when one is used twice.
await using rig = await startConsentRig()
const credentials = rig.open()
const ada = rig.agent.unverifiedUser(user('ada'))
const request = { provider: 'calendar', scopes: ['read'] }
const { authorizationUrl } = await challengeOf(credentials.getToken(ada, request))
await rig.consent(authorizationUrl, 'ada')
for (let round = 1; round <= 3; round++) {
  rig.aheadMs = round * 2 * HOUR_MS
  const before = rig.tokenRequests()
  await Promise.all(Array.from({ length: count }, () => credentials.getToken(ada, request)))
  report(`${count} callers, round ${round}: refresh requests`, rig.tokenRequests() - before, 1)
}

console.log(`\n${count} callers were served in ${many.ms} ms.`)
if (short > 0) process.exitCode = 1
