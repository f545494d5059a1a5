/**
 * A token endpoint that answers 503 for a minute to a thousand callers who keep asking: it is left alone, and they have
 * their tokens soon after it is back.
 *
 *   PROOF_COUNT=small npm run proof idp-storm    fewer callers, for a shorter time
 *
 * A caller does what the error says: comes back after `retryAfterMs`.
 */
import { OutboundCredentialProvider, oauth2, WorkloadIdentity } from 'deputize'
import { proofCount, report, reportExactly } from '../test/support/fleet.js'
import { startRotatingServer } from '../test/support/rotating-server.js'

const callers = proofCount(1_000, 200)
const outageMs = proofCount(60_000, 6_000)
await using server = await startRotatingServer()
const credentials = new OutboundCredentialProvider({
  providers: {
    api: oauth2({
      issuer: server.issuer,
      endpoints: { token: `${server.issuer}/token` },
      clientId: 'agent',
      clientSecret: 'agent-secret',
      allowInsecureLoopback: true,
    }),
  },
})
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
let firstSuccessMs = Number.POSITIVE_INFINITY
let untyped = 0
let refusals = 0
let lastMs = 0

/** Each is an agent of its own, with a row of its own. */
async function call(number: number): Promise<void> {
  const self = new WorkloadIdentity({ name: `agent-${number}` }).actAsSelf()
  for (;;) {
    try {
      await credentials.getToken(self, { provider: 'api' })
      lastMs = performance.now()
      firstSuccessMs = Math.min(firstSuccessMs, lastMs)
      return
    } catch (error) {
      const { retryable, retryAfterMs = 500 } = error as {
        retryable?: boolean
        retryAfterMs?: number
      }
      refusals++
      if (!retryable) untyped++
      await wait(retryAfterMs * (0.75 + Math.random() / 2))
    }
  }
}

server.status = 503
const all = Promise.all(Array.from({ length: callers }, (_, number) => call(number)))
await wait(outageMs)
const during = server.seen.length
const backMs = performance.now()
server.status = undefined
await all
credentials.close()

const perCaller = during / callers
console.log(`${callers} callers, ${outageMs / 1_000} s of 503, ${refusals} refusals.`)
report(
  'requests a caller while the endpoint was away',
  Number(perCaller.toFixed(3)),
  'at most 1.1',
  perCaller <= 1.1,
)
reportExactly('refusals that were not typed as retryable', untyped, 0)
const first = Math.round(firstSuccessMs - backMs)
report('ms from its recovery to the first token', first, 'at most 2000', first <= 2_000)
console.log(`    all had theirs ${Math.round(lastMs - backMs)} ms after it`)
