import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsentRig, challengeOf, startConsentRig, user } from '../support/consent-rig.js'
import type { FleetOrder, FleetReport } from '../support/fleet-member.js'
import { serveStore } from '../support/fleet-store.js'

const PROCESSES = 4
const HOUR_MS = 3_600_000
let rig: ConsentRig
let fleet: ChildProcess[]

beforeAll(async () => {
  rig = await startConsentRig()
  const program = join(import.meta.dirname, '../support/fleet-member.ts')
  fleet = Array.from({ length: PROCESSES }, () =>
    fork(program, [rig.services.issuer, `${rig.origin}/oauth/callback`], {
      execArgv: ['--import', 'tsx'],
    }),
  )
  for (const child of fleet) serveStore(child, rig.store)
  await Promise.all(fleet.map((child) => next(child, 'ready')))
})
afterAll(async () => {
  await Promise.all(
    fleet.map(async (child) => {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }),
  )
  await rig.close()
})

/** The child's next message of that kind. */
function next(child: ChildProcess, kind: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: { kind: string }) => {
      if (message.kind !== kind) return
      child.off('message', onMessage)
      resolve(message)
    }
    child.on('message', onMessage)
    child.once('exit', (code) => reject(new Error(`A process of the fleet ended with ${code}`)))
  })
}

async function tell(child: ChildProcess, order: Omit<FleetOrder, 'kind'>) {
  const report = next(child, 'got')
  child.send({ kind: 'get', ...order } satisfies FleetOrder)
  return ((await report) as FleetReport).results
}

describe('a fleet of processes with one store', () => {
  it('refreshes once a round, and nobody loses the grant (O28, P11)', async () => {
    const credentials = rig.open()
    const acting = rig.agent.unverifiedUser(user('ada'))
    const { authorizationUrl } = await challengeOf(
      credentials.getToken(acting, { provider: 'calendar', scopes: ['read'] }),
    )
    await rig.consent(authorizationUrl, 'ada')
    for (let round = 1; round <= 3; round++) {
      const before = rig.tokenRequests()
      const order = {
        calls: 25,
        aheadMs: round * 2 * HOUR_MS,
        subject: 'ada',
        mode: 'throw',
      } as const
      const results = (await Promise.all(fleet.map((child) => tell(child, order)))).flat()
      expect(results).toHaveLength(25 * PROCESSES)
      expect(new Set(results).size).toBe(1)
      expect(results[0]).toMatch(/^ey/)
      expect(rig.tokenRequests() - before).toBe(1)
    }
  })

  it('wakes who waits in other processes when one of them finished the consent', async () => {
    const order = { calls: 2, aheadMs: 0, subject: 'bob', mode: 'wait' } as const
    const waiting = Promise.all(fleet.map((child) => tell(child, order)))
    const credentials = rig.open()
    rig.serving = credentials
    const acting = rig.agent.unverifiedUser(user('bob'))
    const { authorizationUrl } = await challengeOf(
      credentials.getToken(acting, { provider: 'calendar', scopes: ['read'] }),
    )
    await rig.consent(authorizationUrl, 'bob')
    const results = (await waiting).flat()
    expect(new Set(results).size).toBe(1)
    expect(results[0]).toMatch(/^ey/)
  })

  it('stops who waits in other processes when the user refused', async () => {
    const order = { calls: 2, aheadMs: 0, subject: 'carol', mode: 'wait' } as const
    const waiting = Promise.all(fleet.map((child) => tell(child, order)))
    const credentials = rig.open()
    rig.serving = credentials
    const acting = rig.agent.unverifiedUser(user('carol'))
    const { authorizationUrl } = await challengeOf(
      credentials.getToken(acting, { provider: 'calendar', scopes: ['read'] }),
    )
    await rig.consent(authorizationUrl, 'carol', { deny: true })
    expect(new Set((await waiting).flat())).toEqual(new Set(['ERR_CONSENT_DENIED']))
  })
})
