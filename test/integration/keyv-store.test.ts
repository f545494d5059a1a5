import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import Keyv from 'keyv'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { VaultUnavailableError } from '../../src/errors/vault.js'
import { describeVaultStore } from '../../src/testing/store-contract.js'
import { keyvStore } from '../../src/vault/keyv-store.js'
import { needs, postgresServer, redisServer } from './binaries.js'
import { type RunningPostgres, startPostgres } from './postgres.js'
import { type RunningRedis, startRedis } from './redis.js'

const id = 'c'.repeat(64)
const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }

/** What `work` ended with. That it ends while the server is silent is the proof; how soon is not judged here. */
const outcomeOf = (work: Promise<unknown>) => work.catch((error: unknown) => error)

describe.skipIf(!redisServer)(needs(redisServer, 'redis-server', 'keyvStore over Redis'), () => {
  let redis: RunningRedis
  const open: KeyvRedis<unknown>[] = []

  const connect = (options: ConstructorParameters<typeof KeyvRedis>[1] = {}) => {
    const adapter = new KeyvRedis(redis.url, options)
    open.push(adapter)
    return new Keyv(adapter)
  }

  beforeAll(async () => {
    redis = await startRedis()
  })

  afterEach(async () => {
    // By force: a client in order waits for a server that is gone. One that never connected has nothing to close.
    await Promise.allSettled(open.splice(0).map((adapter) => adapter.disconnect(true)))
  })

  afterAll(() => redis.close())

  describeVaultStore({ describe, it }, () => keyvStore(connect(), { processes: 'one' }), {
    name: 'VaultStore contract',
  })
  describeVaultStore(
    { describe, it },
    () => keyvStore(connect({ namespace: 'x' }), { processes: 'one' }),
    { name: 'VaultStore contract, with a namespace' },
  )

  it('V16 V20 is unavailable, not empty, while Redis stands still, and loses no write', async () => {
    const keyv = connect()
    const store = keyvStore(keyv, { processes: 'one', timeoutMs: 300 })
    await keyvStore(keyv, { processes: 'one' }).put(id, row)
    redis.pause()
    try {
      for (const work of [
        () => store.get(id),
        () => store.put(id, { ...row, version: 2 }, { replaces: 1 }),
        () => store.put(id, { ...row, version: 3 }),
        () => store.delete(id),
        () => store.scan(),
      ]) {
        const outcome = await outcomeOf(work())
        expect(outcome).toBeInstanceOf(VaultUnavailableError)
      }
    } finally {
      redis.resume()
    }
    // The read that hung was abandoned before its write, so the row is as it was.
    await expect.poll(() => store.get(id).catch(() => undefined)).toEqual(row)
  })

  it('V16 is unavailable, not empty, after Redis is gone', async () => {
    const keyv = connect()
    const store = keyvStore(keyv, { processes: 'one', timeoutMs: 500 })
    await keyvStore(keyv, { processes: 'one' }).put(id, row)
    await redis.kill()
    for (const work of [() => store.get(id), () => store.put(id, row), () => store.delete(id)]) {
      const outcome = await outcomeOf(work())
      expect(outcome).toBeInstanceOf(VaultUnavailableError)
    }
    const outcome = await outcomeOf(
      keyvStore(connect(), { processes: 'one', timeoutMs: 500 }).get(id),
    )
    expect(outcome).toBeInstanceOf(VaultUnavailableError)
    await redis.close()
    redis = await startRedis()
  })
})

describe.skipIf(!postgresServer)(
  needs(postgresServer, 'postgresql', 'keyvStore over PostgreSQL'),
  () => {
    let postgres: RunningPostgres
    let keyv: Keyv

    beforeAll(async () => {
      postgres = await startPostgres()
      // The adapter's pool has no error listener: an idle connection that breaks would end the process. None stays idle.
      keyv = new Keyv(
        new KeyvPostgres({ uri: postgres.uri, table: 'vault', idleTimeoutMillis: 20 }),
      )
    })

    afterAll(async () => {
      await Promise.allSettled([keyv.disconnect()])
      await postgres.close()
    })

    describeVaultStore({ describe, it }, () => keyvStore(keyv, { processes: 'one' }), {
      name: 'VaultStore contract',
    })

    it('V16 is unavailable, not empty, after PostgreSQL is gone', async () => {
      const store = keyvStore(keyv, { processes: 'one', timeoutMs: 2_000 })
      await keyvStore(keyv, { processes: 'one' }).put(id, row)
      // A connection that breaks while it is idle would end the process: all are closed first.
      const admin = new pg.Client(postgres.uri)
      await admin.connect()
      const others =
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
      await expect.poll(async () => (await admin.query(others)).rows).toEqual([])
      await admin.end()
      await postgres.kill()
      for (const work of [
        () => store.get(id),
        () => store.put(id, row, { replaces: 1 }),
        () => store.delete(id),
        () => store.scan(),
      ]) {
        const outcome = await outcomeOf(work())
        expect(outcome).toBeInstanceOf(VaultUnavailableError)
      }
    })
  },
)
