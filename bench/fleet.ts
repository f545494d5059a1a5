/**
 * Four processes on one Redis, 250 calls each, all at once and none has a token: one request to the token endpoint.
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
