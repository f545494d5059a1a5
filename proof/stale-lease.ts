/**
 * A process that was stopped in the middle of a refresh, past its lease, and then goes on: it writes nothing old.
 *
 *   PROOF_COUNT=small npm run proof stale-lease    fewer than 100 trials
 *
 * Real processes on one Redis, stopped with SIGSTOP either between the claim and the request, or between the answer and
 * the write. Another process takes the row over meanwhile. Then the first goes on.
 */
import { memoryStore } from 'deputize'
import { type Grant, grantKey } from '../src/outbound/grant.js'
import { localKeys } from '../src/vault/key-ring.js'
import { tokenVault } from '../src/vault/token-vault.js'
import { redisServer } from '../test/integration/binaries.js'
import {
  buildFleetProgram,
  FleetMember,
  fleetStores,
  proofCount,
  redisFleetStore,
  reportExactly,
} from '../test/support/fleet.js'
import { openStore } from '../test/support/open-store.js'
import { startRotatingServer } from '../test/support/rotating-server.js'

const HOUR_MS = 3_600_000
const LEASE_MS = 1_500
const LANES = 5
const trials = proofCount(100, 10)
const key = Buffer.alloc(32, 7).toString('base64')
const places = ['put 1 after', 'fetch 1 after'] as const

using program = await buildFleetProgram()
await using server = await startRotatingServer()
const store = redisServer ? await redisFleetStore() : await fleetStores[1]!.open()
if (store.spec === 'parent') throw new Error('This proof needs a store of its own.')
const { store: rows, close } = await openStore(store.spec)
const vault = tokenVault({ store: rows ?? memoryStore(), keys: localKeys(key) })
const config = {
  issuer: server.issuer,
  token: `${server.issuer}/token`,
  callbackUrl: 'http://127.0.0.1:1/oauth/callback',
  key,
  timing: { leaseMs: LEASE_MS, skewMs: 0 },
}

let stale = 0
let lost = 0
let sentLate = 0
let different = 0
let done = 0

async function trial(number: number, slow: FleetMember, quick: FleetMember): Promise<void> {
  const subject = `user-${number}`
  const at = places[number % places.length]!
  const [url = ''] = (await slow.ask({ what: 'begin', subject }, { aheadMs: 0 })) ?? []
  const state = new URL(url).searchParams.get('state')
  const back = `${config.callbackUrl}/calendar?code=${subject}&state=${state}`
  await slow.ask({ what: 'callback', subject, url: back })

  const aheadMs = 2 * HOUR_MS
  const stop = { at, signal: 'SIGSTOP' } as const
  const first = slow.ask({ what: 'get', subject, calls: 1 }, { aheadMs, stop })
  await slow.stopped()
  // Takes the row over once the lease has ended, by a clock of its own.
  const second = await quick.ask({ what: 'get', subject, calls: 1 }, { aheadMs })
  const newest = server.current(subject)
  const requests = server.seen.filter((line) => line.includes(` ${subject}/`)).length
  slow.child.kill('SIGCONT')
  const results = await first

  const after = server.seen.filter((line) => line.includes(` ${subject}/`)).length
  if (after !== requests) sentLate++
  if (results?.[0] !== second?.[0]) different++
  const acting = {
    workload: { name: 'test-agent' },
    user: { issuer: 'https://people.example', subject },
  }
  const provider = { issuer: server.issuer, clientId: 'agent' }
  const row = grantKey(acting, 'USER_FEDERATION', 'calendar', provider, 'default')
  const grant = (await vault.read<Grant>(row))?.value
  if (grant?.refreshToken !== newest) stale++
  const next = await quick.ask({ what: 'get', subject, calls: 1 }, { aheadMs: 2 * aheadMs })
  if (!next?.[0]?.startsWith('at-')) lost++
  done++
}

await Promise.all(
  Array.from({ length: LANES }, async (_, lane) => {
    const [slow, quick] = await Promise.all([
      FleetMember.start(program, store, config),
      FleetMember.start(program, store, config),
    ])
    for (let number = lane; number < trials; number += LANES) await trial(number, slow, quick)
    await Promise.all([slow.end(), quick.end()])
  }),
)
await close()
await store.close()

console.log(`${store.name}; half of the trials stop after the claim, half after the answer.`)
reportExactly('trials', done, trials)
reportExactly('stale writes', stale, 0)
reportExactly('requests sent after the lease had ended', sentLate, 0)
reportExactly('calls that did not get what the other process wrote', different, 0)
reportExactly('grants lost', lost, 0)
