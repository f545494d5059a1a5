import { describe, expect, it } from 'vitest'
import { KeyUnavailableError, VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { localKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import { platformPrimitives } from './platform-primitives.js'
import { RowIndex } from './row-index.js'
import { indexRowId, isIndexRowId, type RowKey, vaultTag } from './row-key.js'
import type { VaultStore } from './store.js'
import { tokenVault } from './token-vault.js'

const bytes = (seed: number) => Uint8Array.from({ length: 32 }, (_, at) => (seed + at * 3) & 255)
const keys = localKeys(bytes(1))
const key: RowKey = { kind: 'grant', owner: ['agent', 'ada'] }
const other: RowKey = { kind: 'grant', owner: ['agent', 'bob'] }
const indexOf = async (name = 'default') => indexRowId(await vaultTag(name, platformPrimitives()))
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: Error) => error,
  )

/** Every method takes a turn of the event loop, so that many who start at once meet. */
function slowStore(): VaultStore {
  const rows = memoryStore()
  const turn = () => new Promise((done) => setImmediate(done))
  return {
    get: (id) => turn().then(() => rows.get(id)),
    put: (...args) => turn().then(() => rows.put(...args)),
    delete: (id) => turn().then(() => rows.delete(id)),
    scan: (cursor) => turn().then(() => rows.scan(cursor)),
  }
}

async function empty(store: VaultStore): Promise<void> {
  for (const id of (await store.scan()).ids) await store.delete(id)
}

describe('the index key of a vault', () => {
  it('is made once by many who begin at once, and all find what each wrote', async () => {
    const store = slowStore()
    const vaults = Array.from({ length: 20 }, () => tokenVault({ store, keys }))
    const wrote = await Promise.all(vaults.map((vault) => vault.write(key, {}, { replaces: 0 })))
    expect(wrote.filter((version) => version !== undefined)).toHaveLength(1)
    const held = await Promise.all(vaults.map((vault) => vault.read(key)))
    expect(new Set(held.map((row) => row?.version)).size).toBe(1)
    expect((await store.scan()).ids.filter(isIndexRowId)).toEqual([await indexOf()])
  })

  it('V13 makes ids that nobody can compute who knows the names', async () => {
    const one = tokenVault({ store: memoryStore(), keys })
    const two = tokenVault({ store: memoryStore(), keys })
    expect(await one.address(key)).not.toBe(await two.address(key))
  })

  it('lies sealed in its row', async () => {
    const store = memoryStore()
    await tokenVault({ store, keys }).read(key)
    const row = (await store.get(await indexOf()))!
    const stranger = localKeys(bytes(2))
    expect(await refusal(tokenVault({ store, keys: stranger }).read(key))).toBeInstanceOf(
      KeyUnavailableError,
    )
    row.sealed[row.sealed.length - 1]! ^= 1
    await store.put(await indexOf(), row)
    const before = (await store.scan()).ids
    expect(await refusal(tokenVault({ store, keys }).read(key))).toBeInstanceOf(VaultCorruptError)
    expect((await store.scan()).ids).toEqual(before)
  })

  it('is never made anew while the store has rows of this vault', async () => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    await vault.write(key, { a: 1 }, { replaces: 0 })
    const id = await indexOf()
    const row = (await store.get(id))!
    await store.delete(id)
    for (const use of [
      (late: typeof vault) => late.read(key),
      (late: typeof vault) => late.write(other, {}, { replaces: 0 }),
      (late: typeof vault) => late.change(other, () => ({ value: 1 })),
    ]) {
      const error = await refusal(use(tokenVault({ store, keys })))
      expect(error).toBeInstanceOf(VaultCorruptError)
      expect(error.message).toMatch(/index row is missing/)
    }
    expect(await store.get(id)).toBeUndefined()
    await store.put(id, row)
    expect((await tokenVault({ store, keys }).read(key))?.value).toEqual({ a: 1 })
  })

  it('is made beside the rows of other vaults', async () => {
    const store = memoryStore()
    await tokenVault({ store, keys, name: 'prod' }).write(key, 1, { replaces: 0 })
    const vault = tokenVault({ store, keys, name: 'test' })
    await vault.write(key, 2, { replaces: 0 })
    expect((await vault.read(key))?.value).toBe(2)
    expect((await store.scan()).ids.filter(isIndexRowId)).toHaveLength(2)
  })

  it('is not made while the store cannot be listed or written', async () => {
    const failing = async () => {
      throw new Error('down')
    }
    for (const broken of [{ scan: failing }, { put: failing }, { get: failing }]) {
      const store = memoryStore()
      const error = await refusal(tokenVault({ store: { ...store, ...broken }, keys }).read(key))
      expect(error).toBeInstanceOf(VaultUnavailableError)
      expect((await store.scan()).ids).toEqual([])
    }
  })

  it('is rewrapped like any row, and found under the new key alone', async () => {
    const store = memoryStore()
    await tokenVault({ store, keys }).write(key, { a: 1 }, { replaces: 0 })
    const after = localKeys(bytes(2), bytes(1))
    expect(await tokenVault({ store, keys: after }).rewrap()).toMatchObject({ rewrapped: 2 })
    const alone = tokenVault({ store, keys: localKeys(bytes(2)) })
    expect((await alone.read(key))?.value).toEqual({ a: 1 })
  })

  it('is not what a full store in memory drops', async () => {
    const store = memoryStore({ maxRows: 3 })
    const vault = tokenVault({ store, keys })
    for (let n = 0; n < 10; n++) {
      await vault.write({ kind: 'grant', owner: [`${n}`] }, n, { replaces: 0 })
    }
    expect((await store.scan()).ids).toContain(await indexOf())
    const last: RowKey = { kind: 'grant', owner: ['9'] }
    expect((await tokenVault({ store, keys }).read(last))?.value).toBe(9)
  })
})

describe('a store that is emptied under a running process', () => {
  function open(store: VaultStore) {
    const clock = { ms: 0 }
    const envelope = new Envelope(keys)
    const rows = {
      get: (id: string) => store.get(id),
      put: (id: string, row: Parameters<VaultStore['put']>[1], replaces: number) =>
        store.put(id, row, { replaces }),
      scan: (cursor?: string) => store.scan(cursor),
    }
    const primitives = platformPrimitives()
    const monotonic = () => clock.ms
    const index = new RowIndex({ name: 'default', envelope, primitives, store: rows, monotonic })
    return { index, clock }
  }

  it('gets its index row back before a row is created', async () => {
    const store = memoryStore()
    const { index, clock } = open(store)
    const id = await index.address(key)
    await empty(store)
    await index.keep()
    expect((await store.scan()).ids).toEqual([]) // looked at a moment ago
    clock.ms += 30_000
    await index.keep()
    expect(await open(store).index.address(key)).toBe(id)
  })

  it('is read anew where another process has begun anew', async () => {
    const store = memoryStore()
    const { index, clock } = open(store)
    const id = await index.address(key)
    await empty(store)
    const theirs = await open(store).index.address(key)
    expect(theirs).not.toBe(id)
    clock.ms += 30_000
    await index.keep()
    expect(await index.address(key)).toBe(theirs)
  })
})
