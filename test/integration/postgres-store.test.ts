import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors/outbound.js'
import { VaultUnavailableError } from '../../src/errors/vault.js'
import { describeVaultStore } from '../../src/testing/store-contract.js'
import { postgresStore } from '../../src/vault/postgres-store.js'
import type { VaultStore } from '../../src/vault/store.js'
import { hammer, newId, takeTurns } from '../support/store-children.js'
import { needs, postgresServer } from './binaries.js'
import { type RunningPostgres, startPostgres } from './postgres.js'

const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }

/** What `work` ended with. That it ends while the server is silent is the proof; how soon is not judged here. */
const outcomeOf = (work: Promise<unknown>) => work.catch((error: unknown) => error)

const everyCall = (store: VaultStore, id: string) => [
  () => store.get(id),
  () => store.put(id, { ...row, version: 2 }, { replaces: 7 }),
  () => store.put(id, { ...row, version: 2 }, { replaces: 0 }),
  () => store.scan(),
]

describe.skipIf(!postgresServer)(needs(postgresServer, 'postgresql', 'postgresStore'), () => {
  let postgres: RunningPostgres
  const pools: pg.Pool[] = []

  const connect = (options: pg.PoolConfig = {}, uri = postgres.uri) => {
    const pool = new pg.Pool({ connectionString: uri, ...options })
    pool.on('error', () => {})
    pools.push(pool)
    return pool
  }

  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterEach(async () => {
    await Promise.allSettled(pools.splice(0).map((pool) => pool.end()))
  })
  afterAll(() => postgres.close())

  describeVaultStore({ describe, it }, () => postgresStore(connect()), {
    name: 'VaultStore contract',
    scanRows: 2_500,
  })
  for (const level of ['repeatable read', 'serializable']) {
    describeVaultStore(
      { describe, it },
      () =>
        postgresStore(
          connect({ options: `-c default_transaction_isolation=${level.replace(' ', '\\ ')}` }),
        ),
      { name: `V24 VaultStore contract, where transactions are ${level}` },
    )
  }

  it('V20 four processes lose no step', async () => {
    const { wins, version } = await hammer({ kind: 'postgres', at: postgres.uri }, 25)
    expect(wins).toEqual([25, 25, 25, 25])
    expect(version).toBe(100)
    const turns = await takeTurns({ kind: 'postgres', at: postgres.uri }, 10)
    expect(turns).toEqual([10, 10, 10, 10])
  })

  it('makes its table once when many find it missing at once', async () => {
    const table = 'made_at_once'
    const stores = Array.from({ length: 20 }, () => postgresStore(connect({ max: 1 }), { table }))
    await Promise.all(pools.map((pool) => pool.query('select 1'))) // connected, so that they start together
    const ids = stores.map(newId)
    const wrote = await Promise.all(
      stores.map((store, at) => store.put(ids[at] ?? '', row, { replaces: 0 })),
    )
    expect(wrote).toEqual(stores.map(() => true))
    expect((await stores[0]?.scan())?.ids.toSorted()).toEqual(ids.toSorted())
  })

  it('makes its table again after it was dropped', async () => {
    const pool = connect()
    const store = postgresStore(pool, { table: 'dropped' })
    const id = newId()
    await store.put(id, row)
    await pool.query('drop table dropped')
    expect(await store.get(id)).toBeUndefined()
    expect(await store.put(id, row, { replaces: 0 })).toBe(true)
  })

  it('works in a schema, for an account that may not create tables', async () => {
    const admin = connect()
    await admin.query('create schema held')
    await admin.query('create role plain login')
    const table = 'held.rows'
    await postgresStore(admin, { table }).put(newId(), row)
    await admin.query('grant usage on schema held to plain')
    const plain = connect({ user: 'plain' }, postgres.uri.replace('postgres@', 'plain@'))
    const store = postgresStore(plain, { table })
    await expect(store.get(newId())).rejects.toBeInstanceOf(ConfigurationError)
    await admin.query('grant select, insert, update, delete on held.rows to plain')
    const id = newId()
    expect(await store.put(id, row, { replaces: 0 })).toBe(true)
    expect(await store.get(id)).toEqual(row)
    for (const wrong of ['held.others', 'nowhere.rows']) {
      await expect(postgresStore(plain, { table: wrong }).get(id)).rejects.toThrow(/needs SELECT/)
    }
  })

  it('says so when its table is another one', async () => {
    const pool = connect()
    await pool.query('create table users (name text)')
    const store = postgresStore(pool, { table: 'users' })
    await expect(store.get(newId())).rejects.toBeInstanceOf(ConfigurationError)
  })

  it('deletes rows past their time now and then, a bounded number', async () => {
    const pool = connect()
    let nowMs = 10_000_000
    const store = postgresStore(pool, { table: 'passing', clock: () => nowMs })
    const ids = Array.from({ length: 10 }, newId)
    for (const id of ids) await store.put(id, { ...row, keepUntilMs: nowMs + 5_000 })
    const [lasting, next] = [newId(), newId()]
    await store.put(lasting, row)
    nowMs += 6_000
    expect(await store.get(ids[0] ?? '')).toBeUndefined()
    expect((await store.scan()).ids).toEqual([lasting])
    const count = async () => (await pool.query('select id from passing')).rows.length
    expect(await count()).toBe(11)
    // A row past its time is no row to a writer either.
    const [again = '', never = ''] = ids
    expect(await store.put(never, { ...row, version: 2 }, { replaces: 1 })).toBe(false)
    expect(await store.put(again, { ...row, version: 3 }, { replaces: 0 })).toBe(true)
    expect(await store.get(again)).toEqual({ ...row, version: 3 })
    await store.delete(again)
    nowMs += 60_000
    await store.put(next, { ...row, keepUntilMs: nowMs + 5_000 })
    await expect.poll(count).toBe(2) // the lasting one, and the next
  })

  it('P05 a backend that is killed is unavailable; the next call works, and no row is half', async () => {
    const admin = connect()
    const store = postgresStore(connect({ max: 1, application_name: 'victim' }), {
      timeoutMs: 20_000,
    })
    const id = newId()
    await store.put(id, row)
    // It waits for a lock when it is killed, in the middle of its statement.
    const locker = await admin.connect()
    await locker.query('begin')
    await locker.query('select 1 from deputize_vault where id = $1 for update', [id])
    const write = outcomeOf(store.put(id, { ...row, version: 2 }, { replaces: 1 }))
    const waiting = async () =>
      (
        await admin.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim' and wait_event_type = 'Lock'",
        )
      ).rows.length
    await expect.poll(waiting).toBe(1)
    expect(await write).toMatchObject({ name: 'VaultUnavailableError' })
    await locker.query('commit')
    locker.release()
    expect(await store.get(id)).toEqual(row)
    expect(await store.put(id, { ...row, version: 2 }, { replaces: 1 })).toBe(true)
  })

  it('V16 P03 unavailable, not empty, while PostgreSQL stands still; recovers', async () => {
    const pool = connect()
    const store = postgresStore(pool, { timeoutMs: 400 })
    const id = newId()
    await postgresStore(pool).put(id, row)
    postgres.pause()
    try {
      for (const call of everyCall(store, id)) {
        const outcome = await outcomeOf(call())
        expect(outcome).toMatchObject({ name: 'VaultUnavailableError', reason: 'timeout' })
      }
    } finally {
      postgres.resume()
    }
    await expect.poll(() => store.get(id).catch(() => undefined)).toEqual(row)
  })

  it('V16 unavailable when the pool is exhausted or ended', async () => {
    const pool = connect({ max: 1 })
    const store = postgresStore(pool, { timeoutMs: 200 })
    const only = await pool.connect()
    expect(await outcomeOf(store.get(newId()))).toMatchObject({ reason: 'timeout' })
    only.release()
    await pool.end()
    expect(await outcomeOf(store.get(newId()))).toBeInstanceOf(VaultUnavailableError)
  })

  it('V16 V24 unavailable after PostgreSQL is gone, and back after its restart', async () => {
    const pool = connect()
    const store = postgresStore(pool, { timeoutMs: 2_000 })
    const id = newId()
    await postgresStore(pool).put(id, row)
    await postgres.kill()
    for (const call of everyCall(store, id)) {
      const outcome = await outcomeOf(call())
      expect(outcome).toBeInstanceOf(VaultUnavailableError)
    }
    await postgres.restart()
    await expect.poll(() => store.get(id).catch(() => undefined)).toEqual(row)
  })
})
