/**
 * A process is killed at every step of a consent and of a refresh, again and again: no row is corrupt, no grant is there
 * without a consent, and a grant is lost only between the provider's answer and the write of it.
 *
 *   PROOF_COUNT=small npm run proof kill-sweep    two trials a point instead of twenty
 *
 * Real processes over a real store, killed with SIGKILL by their own store and fetch at a named point; a real OpenID
 * provider that rotates refresh tokens and ends the family at reuse. The store then fails for two seconds, and another
 * process goes on with what is left.
 */
import { redisServer } from '../test/integration/binaries.js'
import { API, RIG_KEY, startConsentRig } from '../test/support/consent-rig.js'
import {
  buildFleetProgram,
  FleetMember,
  fleetStores,
  proofCount,
  redisFleetStore,
  report,
  reportExactly,
} from '../test/support/fleet.js'

const HOUR_MS = 3_600_000
const LANES = 4
const trials = proofCount(20, 2)

interface Point {
  readonly flow: 'consent' | 'refresh'
  readonly at: string
  /** What the process was about to do. */
  readonly name: string
  /** The provider may have answered, and its answer is nowhere: nobody can help that. */
  readonly window?: true
  /** The link is used up and no grant was made: the user is asked again. */
  readonly unfinished?: true
}

const points: readonly Point[] = [
  { flow: 'consent', at: 'get 1 before', name: 'the session is looked for' },
  { flow: 'consent', at: 'get 1 after', name: 'the session was found' },
  { flow: 'consent', at: 'put 1 before', name: 'the number of the consent is taken' },
  { flow: 'consent', at: 'put 1 after', name: 'the number of the consent was taken' },
  { flow: 'consent', at: 'put 2 before', name: 'the session is claimed' },
  { flow: 'consent', at: 'put 2 after', name: 'the session was claimed', unfinished: true },
  { flow: 'consent', at: 'fetch 1 before', name: 'the code is sent', unfinished: true },
  { flow: 'consent', at: 'fetch 1 after', name: 'the code was redeemed', window: true },
  { flow: 'consent', at: 'put 3 before', name: 'the account is listed', window: true },
  { flow: 'consent', at: 'put 3 after', name: 'the account was listed', window: true },
  { flow: 'consent', at: 'put 4 before', name: 'the grant is written', window: true },
  { flow: 'consent', at: 'put 4 after', name: 'the grant was written' },
  { flow: 'consent', at: 'put 5 after', name: 'the session was settled' },
  { flow: 'refresh', at: 'get 1 before', name: 'the accounts are read' },
  { flow: 'refresh', at: 'get 2 after', name: 'the grant was read' },
  { flow: 'refresh', at: 'put 1 before', name: 'the lease is taken' },
  { flow: 'refresh', at: 'put 1 after', name: 'the lease was taken' },
  { flow: 'refresh', at: 'get 3 after', name: 'the grant was read again' },
  { flow: 'refresh', at: 'fetch 1 before', name: 'the refresh token is sent' },
  { flow: 'refresh', at: 'fetch 1 after', name: 'the provider has answered', window: true },
  { flow: 'refresh', at: 'put 2 before', name: 'the answer is written', window: true },
  { flow: 'refresh', at: 'put 2 after', name: 'the answer was written' },
  { flow: 'refresh', at: 'put 3 after', name: 'the lease was given back' },
]

using program = await buildFleetProgram()
await using rig = await startConsentRig()
const store = redisServer ? await redisFleetStore() : await fleetStores[1]!.open()
const config = {
  issuer: rig.services.issuer,
  token: `${rig.services.issuer}/token`,
  resource: API,
  callbackUrl: `${rig.origin}/oauth/callback`,
  key: RIG_KEY.toString('base64'),
}

let killed = 0
let corrupt = 0
let withoutConsent = 0
let lostElsewhere = 0
let unfinished = 0
const lost = new Map<string, number>()

async function trial(
  point: Point,
  number: number,
  victim: FleetMember,
  by: FleetMember,
): Promise<void> {
  const subject = `${point.flow} ${point.at} ${number}`
  const stop = { at: point.at, signal: 'SIGKILL' } as const
  const [url = ''] = (await by.ask({ what: 'begin', subject }, { aheadMs: 0 })) ?? []
  const callback = await rig.callbackUrlOf(url, subject.replaceAll(' ', '-'))
  const order = { what: 'callback', subject, url: callback } as const
  let wasDone = true
  if (point.flow === 'consent') {
    wasDone = (await victim.ask(order, { aheadMs: 0, stop })) !== undefined
  } else {
    await by.ask(order, { aheadMs: 0 })
    const get = { what: 'get', subject, calls: 1 } as const
    wasDone = (await victim.ask(get, { aheadMs: 2 * HOUR_MS, stop })) !== undefined
  }
  if (!wasDone) killed++

  // The store fails for two seconds, and the one that goes on waits for the lease of the dead.
  const aheadMs = point.flow === 'refresh' ? 2 * HOUR_MS : 0
  const get = { what: 'get', subject, calls: 1 } as const
  let [got = ''] = (await by.ask(get, { aheadMs, storeFailsMs: 2_000 })) ?? []
  while (got === 'ERR_VAULT_UNAVAILABLE') {
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    ;[got = ''] = (await by.ask(get, { aheadMs })) ?? []
  }
  if (got.startsWith('ey')) {
    const codeSent = points.findIndex(({ at }) => at === 'fetch 1 after')
    if (points.indexOf(point) < codeSent) withoutConsent++
    return
  }
  if (got !== 'ERR_AUTHORIZATION_REQUIRED') {
    corrupt++
    console.log(`  ${point.name}: ${got}`)
    return
  }
  if (point.unfinished) unfinished++
  else if (point.window) lost.set(point.name, (lost.get(point.name) ?? 0) + 1)
  else if (point.flow === 'refresh') lostElsewhere++
  else {
    // The link of a session that nobody claimed still works, or the consent was written.
    const [status] = (await by.ask(order)) ?? []
    const [again = ''] = (await by.ask({ what: 'get', subject, calls: 1 })) ?? []
    if (!again.startsWith('ey')) {
      lostElsewhere++
      console.log(`  ${point.name}: the callback answered ${status}, then ${again}`)
    }
  }
}

const work = points.flatMap((point) => Array.from({ length: trials }, (_, n) => ({ point, n })))
const total = work.length
await Promise.all(
  Array.from({ length: LANES }, async () => {
    // The process that goes on; its clock is set by its orders, so that it is one a lane.
    const survivor = await FleetMember.start(program, store, config)
    for (let next = work.shift(); next; next = work.shift()) {
      const victim = await FleetMember.start(program, store, config)
      await trial(next.point, next.n, victim, survivor)
      await victim.end()
    }
    await survivor.end()
  }),
)
await store.close()

console.log(`${store.name}; ${points.length} points, ${trials} trials each.`)
reportExactly('processes killed at their point', killed, total)
reportExactly('rows that did not open, or other errors', corrupt, 0)
reportExactly('grants without a consent', withoutConsent, 0)
reportExactly('grants lost outside the window', lostElsewhere, 0)
report('consents not finished: no grant was made', unfinished, 'the user is asked again', true)
const inWindow = [...lost.values()].reduce((sum, count) => sum + count, 0)
report('grants lost inside it: the user is asked again', inWindow, 'cannot be helped', true)
for (const [name, count] of lost) console.log(`    ${name}: ${count}`)
