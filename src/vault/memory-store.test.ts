import { describe, expect, it } from 'vitest'
import { describeVaultStore } from '../testing/store-contract.js'
import { MEMORY_STORE_MAX_ROWS, memoryStore } from './memory-store.js'

describeVaultStore({ describe, it }, () => memoryStore(), { name: 'memoryStore' })

const id = (n: number) => n.toString(16).padStart(64, '0')
const row = (keepUntilMs?: number) => ({
  sealed: new Uint8Array([1]),
  version: 1,
  ...(keepUntilMs === undefined ? {} : { keepUntilMs }),
})

describe('memoryStore', () => {
  it('D01 keeps at most maxRows, and drops what was not used for longest', async () => {
    const store = memoryStore({ maxRows: 3 })
    for (const n of [1, 2, 3]) await store.put(id(n), row())
    await store.get(id(1))
    await store.put(id(4), row())
    expect((await store.scan()).ids).toEqual([id(3), id(1), id(4)])
    await store.put(id(3), row())
    expect((await store.scan()).ids).toEqual([id(1), id(4), id(3)])
  })

  it('D01 stays at its bound with three times as many rows', async () => {
    const store = memoryStore({ maxRows: 500 })
    for (let n = 0; n < 1500; n++) await store.put(id(n), row())
    expect((await store.scan()).ids).toHaveLength(500)
    expect(MEMORY_STORE_MAX_ROWS).toBe(100_000)
  })

  it('drops rows that are kept for a time before any other, the one that ends first', async () => {
    const minute = 60_000
    const store = memoryStore({ maxRows: 4, clock: () => 1_000 })
    await store.put(id(1), row())
    await store.put(id(2), row(9 * minute))
    await store.put(id(3), row(2 * minute))
    await store.put(id(4), row(5 * minute))
    for (const n of [2, 3, 4]) await store.get(id(n)) // used since, and all the same
    await store.put(id(5), row())
    expect([...(await store.scan()).ids].sort()).toEqual([id(1), id(2), id(4), id(5)])
    await store.put(id(4), row()) // kept from now on
    await store.put(id(6), row(3 * minute))
    expect([...(await store.scan()).ids].sort()).toEqual([id(1), id(4), id(5), id(6)])
    await store.put(id(7), row())
    await store.put(id(8), row())
    expect([...(await store.scan()).ids].sort()).toEqual([id(4), id(5), id(7), id(8)])
  })

  it('loses no kept row to a flood of others', async () => {
    const store = memoryStore({ maxRows: 100 })
    for (let n = 0; n < 50; n++) await store.put(id(n), row())
    for (let n = 50; n < 5_000; n++) await store.put(id(n), row(Date.now() + 60_000 + n * 1_000))
    const { ids } = await store.scan()
    expect(ids).toHaveLength(100)
    for (let n = 0; n < 50; n++) expect(ids).toContain(id(n))
  })

  it('has no row past its time, and lets it be created again', async () => {
    let nowMs = 1_000
    const store = memoryStore({ clock: () => nowMs })
    await store.put(id(1), row(2_000))
    nowMs = 2_000
    expect(await store.get(id(1))).toMatchObject({ version: 1, keepUntilMs: 2_000 })
    nowMs = 2_001
    expect(await store.put(id(1), row(), { replaces: 1 })).toBe(false)
    expect(await store.put(id(1), row(), { replaces: 0 })).toBe(true)
  })

  it('V14 takes no id for a property of an object', async () => {
    const store = memoryStore()
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      expect(await store.get(name)).toBeUndefined()
      expect(await store.put(name, row(), { replaces: 0 })).toBe(true)
      expect(await store.get(name)).toMatchObject({ version: 1 })
    }
  })

  it.each([0, -1, 1.5, Number.NaN, '5'])('refuses maxRows %s', (maxRows) => {
    expect(() => memoryStore({ maxRows: maxRows as number })).toThrow(
      new TypeError(`maxRows must be a whole number of 1 or more, got ${maxRows}.`),
    )
  })
})
