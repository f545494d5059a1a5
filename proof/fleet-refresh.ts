/**
 * Eight processes that all want the same user's token: one refresh a round, and the grant is never lost. The clock of one
 * is a minute ahead, and in one round a process is stopped between its lease and its request, for longer than the lease.
 *
 *   PROOF_COUNT=small npm run proof fleet-refresh    fewer than 200 rounds
 *
 * A real OpenID provider that rotates refresh tokens and ends the whole family when one is used twice; real processes,
 * each with a connection of its own; every store that processes can share.
 */
import { API, RIG_KEY, startConsentRig } from '../test/support/consent-rig.js'
import {
  buildFleetProgram,
  FleetMember,
  fleetStores,
  proofCount,
  report,
  reportExactly,
} from '../test/support/fleet.js'

const PROCESSES = 8
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const STOPPED_ROUND = 5
const rounds = proofCount(200, 10)
const only = process.argv[2]

using program = await buildFleetProgram()
await using rig = await startConsentRig()

for (const { name, missing, open } of fleetStores) {
  if (only !== undefined && only !== name) continue
  if (missing) {
    // Everything is there in .ci/run; elsewhere the proof goes over what there is, and says what it left out.
    if (process.env.CI) report(`${name}: ${missing}`, 0, 'must run', false)
    else console.log(`  ${name}: not run, ${missing}`)
    continue
  }
  const store = await open()
  const config = {
    issuer: rig.services.issuer,
    resource: API,
    callbackUrl: `${rig.origin}/oauth/callback`,
    key: RIG_KEY.toString('base64'),
  }
  const subject = `user of ${name}`
  const members = await Promise.all(
    Array.from({ length: PROCESSES }, () => FleetMember.start(program, store, config)),
  )
  try {
    const [first] = members
    const [url = ''] = (await first!.ask({ what: 'begin', subject })) ?? []
    const callback = await rig.callbackUrlOf(url, 'ada')
    await first!.ask({ what: 'callback', subject, url: callback })

    let lost = 0
    let different = 0
    const before = rig.tokenRequests()
    const startedMs = performance.now()
    for (let round = 1; round <= rounds; round++) {
      const aheadMs = round * 2 * HOUR_MS
      const task = { what: 'get', subject, calls: 3 } as const
      const skewOf = (n: number) => (n === 1 ? MINUTE_MS : 0)
      const isStopped = round === STOPPED_ROUND
      const slow = isStopped
        ? first!.ask(task, { aheadMs, stop: { at: 'put 1 after', signal: 'SIGSTOP' } })
        : first!.ask(task, { aheadMs })
      if (isStopped) await first!.stopped()
      const others = await Promise.all(
        members.slice(1).map((member, n) => member.ask(task, { aheadMs: aheadMs + skewOf(n + 1) })),
      )
      if (isStopped) first!.child.kill('SIGCONT')
      const values = [await slow, ...others].flat()
      lost += values.filter((value) => !value?.startsWith('ey')).length
      if (new Set(values).size !== 1) different++
    }
    const ms = Math.round((performance.now() - startedMs) / rounds)
    reportExactly(`${name}: refreshes in ${rounds} rounds`, rig.tokenRequests() - before, rounds)
    reportExactly(`${name}: calls without a token`, lost, 0)
    reportExactly(`${name}: rounds with different tokens`, different, 0)
    console.log(`    ${PROCESSES} processes, ${ms} ms a round`)
  } finally {
    await Promise.all(members.map((member) => member.end()))
    await store.close()
  }
}
