/**
 * Four processes on one Redis, 250 calls each, all at once and none has a token: one request to the token endpoint. Then
 * what a refresh costs the store at 2, 4 and 8 processes, and how long one waits behind a holder that was killed.
 *
 *   npm run bench fleet
 */
import { buildFleetProgram, FleetMember, redisFleetStore } from '../test/support/fleet.js'
import { startRotatingServer } from '../test/support/rotating-server.js'
import { judge } from './rounds.js'

const PROCESSES = 4
const CALLS = 250
const ROUNDS = 7

using program = await buildFleetProgram()
await using server = await startRotatingServer()
const requests: number[] = []
const times: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  const store = await redisFleetStore()
  const config = {
    issuer: server.issuer,
    token: `${server.issuer}/token`,
    callbackUrl: 'http://127.0.0.1:1/oauth/callback',
    key: Buffer.alloc(32, 7).toString('base64'),
  }
  const members = await Promise.all(
    Array.from({ length: PROCESSES }, () => FleetMember.start(program, store, config)),
  )
  const before = server.seen.length
  const startedMs = performance.now()
  const task = { what: 'get', subject: 'nobody', calls: CALLS, self: true } as const
  const results = await Promise.all(members.map((member) => member.ask(task)))
  times.push(performance.now() - startedMs)
  requests.push(server.seen.length - before)
  if (new Set(results.flat()).size !== 1) throw new Error('The processes got different tokens.')
  await Promise.all(members.map((member) => member.end()))
  await store.close()
}
console.log(`${PROCESSES} processes x ${CALLS} calls, cold, one Redis`)
judge('token requests', [Math.max(...requests)], 1, 'at most')
console.log(`  ${Math.round(Math.min(...times))} to ${Math.round(Math.max(...times))} ms`)

const HOUR_MS = 3_600_000
const STEP_ROUNDS = 7
const store = await redisFleetStore()
const config = {
  issuer: server.issuer,
  token: `${server.issuer}/token`,
  callbackUrl: 'http://127.0.0.1:1/oauth/callback',
  key: Buffer.alloc(32, 7).toString('base64'),
}
const middle = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

async function connect(member: FleetMember, subject: string): Promise<void> {
  const [url = ''] = (await member.ask({ what: 'begin', subject }, { aheadMs: 0 })) ?? []
  const state = new URL(url).searchParams.get('state')
  const back = `${config.callbackUrl}/calendar?code=${subject}&state=${state}`
  await member.ask({ what: 'callback', subject, url: back })
}

for (const count of [2, 4, 8]) {
  const members = await Promise.all(
    Array.from({ length: count }, () => FleetMember.start(program, store, config)),
  )
  const subject = `user-${count}`
  await connect(members[0]!, subject)
  const get = { what: 'get', subject, calls: 50 } as const
  const steps: number[] = []
  for (let round = 0; round <= STEP_ROUNDS; round++) {
    const aheadMs = round * 2 * HOUR_MS
    await Promise.all(members.map((member) => member.ask(get, { aheadMs })))
    const each = await Promise.all(members.map((member) => member.ask({ what: 'steps' })))
    if (round > 0) steps.push(each.reduce((sum, one) => sum + Number(one?.[0]), 0))
  }
  // Six of the one that renews; of each other one accounts, grant, lease and, once it has waited, the grant again.
  judge(
    `store steps a refresh, ${count} processes`,
    [middle(steps)],
    6 + 5 * (count - 1),
    'at most',
  )
  console.log(`  ${Math.min(...steps)} to ${Math.max(...steps)}`)
  await Promise.all(members.map((member) => member.end()))
}

for (const at of ['put 1 after', 'fetch 1 before']) {
  const [victim, next] = await Promise.all([
    FleetMember.start(program, store, config),
    FleetMember.start(program, store, config),
  ])
  const subject = at.replaceAll(' ', '-')
  await connect(next, subject)
  const get = { what: 'get', subject, calls: 1 } as const
  await victim.ask(get, { aheadMs: 2 * HOUR_MS, stop: { at, signal: 'SIGKILL' } })
  const fromMs = performance.now()
  const [token] = (await next.ask(get, { aheadMs: 2 * HOUR_MS })) ?? []
  if (!token?.startsWith('at-')) throw new Error(`No token behind a killed holder: ${token}`)
  const waitedMs = Math.round(performance.now() - fromMs)
  judge(`ms behind a holder that was killed at "${at}"`, [waitedMs], 8_000, 'at most')
  await next.end()
}
await store.close()
