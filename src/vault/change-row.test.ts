import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import { localKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import type { RowKey } from './row-key.js'
import { tokenVault } from './token-vault.js'

const keys = localKeys(new Uint8Array(32).fill(1))
const key: RowKey = { kind: 'connections', owner: ['agent', 'ada'] }

describe('a change of a row', () => {
  it('starts from the row as it is, and may leave it so', async () => {
    const vault = tokenVault()
    const add = (n: number) =>
      vault.change<number[]>(key, ({ value = [] }) => ({ value: [...value, n] }))
    expect(await add(1)).toEqual({ value: [1] })
    expect(await add(2)).toEqual({ value: [1, 2] })
    expect(await vault.change(key, () => undefined)).toBeUndefined()
    expect((await vault.read(key))?.value).toEqual([1, 2])
  })

  it('loses nothing of forty writers in each of four processes', async () => {
    const store = memoryStore()
    const slow = {
      ...store,
      get: async (id: string) => {
        await new Promise((resolve) => setImmediate(resolve))
        return store.get(id)
      },
    }
    const processes = Array.from({ length: 4 }, () => tokenVault({ store: slow, keys }))
    await Promise.all(
      processes.flatMap((vault, p) =>
        Array.from({ length: 40 }, (_, n) =>
          vault.change<string[]>(key, ({ value = [] }) => ({ value: [...value, `${p}.${n}`] })),
        ),
      ),
    )
    const { value } = (await processes[0]!.read<string[]>(key))!
    expect(new Set(value).size).toBe(160)
  })

  it('has one writer at a time in a process', async () => {
    const store = memoryStore()
    const get = vi.fn(store.get)
    const vault = tokenVault({ store: { ...store, get }, keys })
    await vault.read(key)
    get.mockClear()
    await Promise.all(
      Array.from({ length: 20 }, () =>
        vault.change<number>(key, ({ value = 0 }) => ({ value: value + 1 })),
      ),
    )
    expect((await vault.read<number>(key))?.value).toBe(20)
    expect(get).toHaveBeenCalledTimes(21)
  })

  it('may replace a row that is corrupt, by its version, and is told why', async () => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    await vault.write(key, 'old', { replaces: 0 })
    const id = await vault.address(key)
    const row = (await store.get(id))!
    row.sealed[row.sealed.length - 1]! ^= 1
    await store.put(id, row)
    await expect(
      vault.change(key, ({ corrupt }) => {
        throw corrupt
      }),
    ).rejects.toBeInstanceOf(VaultCorruptError)
    let seen: unknown
    await vault.change(key, ({ value, corrupt, version }) => {
      seen = { value, corrupt, version }
      return { value: 'new' }
    })
    expect(seen).toEqual({
      value: undefined,
      corrupt: expect.any(VaultCorruptError),
      version: row.version,
    })
    expect(await vault.read(key)).toEqual({ value: 'new', version: row.version + 1 })
  })

  it('does not touch a row whose key is not at hand', async () => {
    const store = memoryStore()
    await tokenVault({ store, keys }).write(key, 'good', { replaces: 0 })
    const other = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(2)) })
    await expect(other.change(key, () => ({ value: 'mine' }))).rejects.toMatchObject({
      code: 'ERR_KEY_UNAVAILABLE',
    })
    expect((await tokenVault({ store, keys }).read(key))?.value).toBe('good')
  })

  describe('with time held', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
    afterEach(() => void vi.useRealTimers())

    it('gives up where others are first fifty times in a row', async () => {
      const store = memoryStore()
      const vault = tokenVault({ store, keys })
      await vault.read(key)
      store.put = async () => false
      const apply = vi.fn(() => ({ value: 1 }))
      const failure = expect(vault.change(key, apply)).rejects.toBeInstanceOf(VaultUnavailableError)
      await vi.advanceTimersByTimeAsync(60_000)
      await failure
      expect(apply).toHaveBeenCalledTimes(50)
    })

    it('goes on after two seconds where the writer before it never ends', async () => {
      const vault = tokenVault()
      void vault.change(key, () => new Promise<never>(() => {}))
      const done = vi.fn()
      void vault.change(key, () => ({ value: 'mine' })).then(done)
      await vi.advanceTimersByTimeAsync(1_900)
      expect(done).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(200)
      await vi.waitFor(() => expect(done).toHaveBeenCalled())
    })
  })
})
