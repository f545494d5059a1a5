/**
 * Redis stands still for half a minute: tokens in memory are served on, no refresh token is spent, nobody is asked for
 * consent, and the first call after it is back works.
 *
 *   PROOF_COUNT=small npm run proof store-outage    six seconds, with the times of the cache cut to match
 *
 * A real Redis, stopped with SIGSTOP: connections stay open and nothing answers.
 */

import {
  localKeys,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { redisStore } from 'deputize/vault'
import { createClient } from 'redis'
import { redisServer } from '../test/integration/binaries.js'
import { startRedis } from '../test/integration/redis.js'
import { proofCount, report, reportExactly } from '../test/support/fleet.js'
import { startRotatingServer } from '../test/support/rotating-server.js'

const USERS = 50
const HOUR_MS = 3_600_000
const STORE_TIMEOUT_MS = 1_000
const outageMs = proofCount(30_000, 6_000)
const small = outageMs < 30_000
if (!redisServer) throw new Error('There is no redis-server.')

const redis = await startRedis()
await using server = await startRotatingServer()
const client = createClient({ url: redis.url })
client.on('error', () => {})
await client.connect()
let aheadMs = 0
const credentials = new OutboundCredentialProvider(
  {
    providers: {
      calendar: oauth2({
        issuer: server.issuer,
        endpoints: { token: `${server.issuer}/token`, authorization: `${server.issuer}/auth` },
        clientId: 'agent',
        clientSecret: 'agent-secret',
        allowInsecureLoopback: true,
      }),
    },
    vault: tokenVault({
      store: redisStore(client, { timeoutMs: STORE_TIMEOUT_MS }),
      keys: localKeys(Buffer.alloc(32, 7)),
    }),
    callbackUrl: 'http://127.0.0.1:1/oauth/callback',
    allowInsecureLoopback: true,
    clock: () => Date.now() + aheadMs,
  },
  small ? { cacheCheckMs: 1_000, cacheMaxAgeMs: 3_000 } : {},
)
const agent = new WorkloadIdentity({ name: 'proof-agent' })
const request = { provider: 'calendar', scopes: ['read'] } as const
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function connect(subject: string) {
  const user = { issuer: 'https://people.example', subject }
  const acting = agent.unverifiedUser(user)
  const { authorizationUrl } = await credentials.beginAuthorization(acting, request)
  const state = new URL(authorizationUrl).searchParams.get('state')
  const url = `http://127.0.0.1:1/oauth/callback/calendar?code=${subject}&state=${state}`
  await credentials.handleCallback(new Request(url), { user })
  return acting
}

// One user's token has ended when the store stops; those of the others are in memory.
const late = await connect('late')
aheadMs = 2 * HOUR_MS
const users = await Promise.all(Array.from({ length: USERS }, (_, n) => connect(`user-${n}`)))
await Promise.all(users.map((acting) => credentials.getToken(acting, request)))

const requests = server.seen.length
let served = 0
let refused = 0
let slowestMs = 0
const codes = new Map<string, number>()
let longestMs = 0

redis.pause()
const endMs = performance.now() + outageMs
async function keepAsking(): Promise<void> {
  while (performance.now() < endMs) {
    const from = performance.now()
    await Promise.all(
      users.map((acting) =>
        credentials.getToken(acting, request).then(
          () => served++,
          () => refused++,
        ),
      ),
    )
    slowestMs = Math.max(slowestMs, performance.now() - from)
    await wait(50)
  }
}
async function keepFailing(): Promise<void> {
  while (performance.now() < endMs) {
    const from = performance.now()
    const code = await credentials.getToken(late, request).then(
      () => 'a token',
      (error: { code?: string }) => String(error.code),
    )
    longestMs = Math.max(longestMs, performance.now() - from)
    codes.set(code, (codes.get(code) ?? 0) + 1)
    await wait(50)
  }
}
await Promise.all([keepAsking(), keepFailing()])
const spent = server.seen.length - requests
const backMs = performance.now()
redis.resume()
let recoveredMs = Number.POSITIVE_INFINITY
while (performance.now() - backMs < 10_000) {
  const got = await credentials.getToken(late, request).catch(() => undefined)
  if (got) {
    recoveredMs = Math.round(performance.now() - backMs)
    break
  }
  await wait(20)
}

console.log(
  `Redis stood still for ${outageMs / 1_000} s; ${USERS} users with a token in memory, one without.`,
)
reportExactly('calls with a valid token that were refused', refused, 0)
report('calls with a valid token that were served', served, 'more than 0', served > 0)
console.log(`    the slowest round of ${USERS} took ${Math.round(slowestMs)} ms`)
reportExactly('requests to the token endpoint', spent, 0)
const unavailable = codes.get('ERR_VAULT_UNAVAILABLE') ?? 0
report('calls without a token: VaultUnavailableError', unavailable, 'more than 0', unavailable > 0)
codes.delete('ERR_VAULT_UNAVAILABLE')
reportExactly(
  'calls without a token: anything else, a consent too',
  [...codes.values()].reduce((a, b) => a + b, 0),
  0,
)
const deadlineMs = STORE_TIMEOUT_MS + 500
report(
  'ms until the slowest of them knew',
  Math.round(longestMs),
  `at most ${deadlineMs}`,
  longestMs <= deadlineMs,
)
report('ms from recovery to the first token', recoveredMs, 'at most 2000', recoveredMs <= 2_000)

credentials.close()
client.destroy()
await redis.close()
