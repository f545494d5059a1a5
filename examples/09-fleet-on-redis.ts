/**
 * Four processes of one agent share a Redis: one of them asks for the token, and all use it.
 *
 *   npm run example 09-fleet-on-redis
 *
 * Starts a Redis and an authorization server of its own (Redis must be installed), and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import {
  localKeys,
  OutboundCredentialProvider,
  oauth2,
  requireToken,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { redisStore } from 'deputize/vault'
import { createClient } from 'redis'
import { startRedis } from '../test/integration/redis.js'
import { startOpenIdProvider } from './openid-provider.js'

const PROCESSES = 4
const CALLS = 25

const [issuer, redisUrl] = process.argv.slice(2)
if (issuer && redisUrl) await work(issuer, redisUrl)
else await lead()

/** One process of the fleet. */
async function work(issuer: string, redisUrl: string): Promise<void> {
  const client = createClient({ url: redisUrl })
  client.on('error', console.error)
  await client.connect()

  // 1. The same vault in every process: the same store, and the same key from your secret manager.
  const credentials = new OutboundCredentialProvider({
    providers: {
      weather: oauth2({
        issuer,
        clientId: 'agent',
        clientSecret: 'agent-secret',
        allowInsecureLoopback: true, // loopback only; leave it out everywhere else
      }),
    },
    vault: tokenVault({ store: redisStore(client), keys: localKeys(process.env.VAULT_KEY ?? '') }),
  })

  // 2. Tools as ever.
  const forecast = requireToken(
    { provider: 'weather', scopes: ['forecast:read'] },
    async (token, city: string) => `${city}: sunny (token of ${token.value.length} characters)`,
  )

  // 3. All at once, in all processes at once.
  const self = new WorkloadIdentity({ name: 'weather-agent' }).actAsSelf()
  const answers = await credentials.runAs(self, () =>
    Promise.all(Array.from({ length: CALLS }, (_, n) => forecast(`City ${n}`))),
  )
  process.send?.(answers.at(-1))
  credentials.close()
  client.destroy()
  process.disconnect()
}

/** Starts the servers and the fleet, and counts. */
async function lead(): Promise<void> {
  const redis = await startRedis()
  const server = await startOpenIdProvider({
    clients: [
      {
        client_id: 'agent',
        client_secret: 'agent-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['forecast:read'],
  })
  const env = { ...process.env, VAULT_KEY: Buffer.alloc(32, 9).toString('base64') }
  const fleet = Array.from({ length: PROCESSES }, () =>
    fork(fileURLToPath(import.meta.url), [server.issuer, redis.url], {
      execArgv: process.execArgv,
      env,
    }),
  )
  const answers = await Promise.all(fleet.map((child) => once(child, 'message')))
  for (const [answer] of answers) console.log(answer)
  await Promise.all(fleet.map((child) => child.exitCode ?? once(child, 'exit')))
  const requests = server.requests.filter((line) => line === 'POST /token').length
  await Promise.all([server.close(), redis.close()])

  console.log(`${PROCESSES} processes, ${PROCESSES * CALLS} calls, ${requests} token request`)
  assert.equal(requests, 1)
}
