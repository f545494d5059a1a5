import { describe, expect, it } from 'vitest'
import { KeyUnavailableError, VaultUnavailableError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { type KeyRing, localKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import type { RewrapProgress } from './rewrap.js'
import { isIndexRowId, type RowKey } from './row-key.js'
import type { VaultRow, VaultStore } from './store.js'
import { tokenVault } from './token-vault.js'

const bytes = (seed: number) => Uint8Array.from({ length: 32 }, (_, at) => (seed + at * 3) & 255)
const [old, newest] = [bytes(1), bytes(2)]
const before = localKeys(old)
const after = localKeys(newest, old)
const grant = (n: number): RowKey => ({ kind: 'grant', owner: ['agent', `user ${n}`] })

/** Pages of 100, with some ids listed twice. */
function pagedStore(): VaultStore & { readonly rows: VaultStore } {
  const rows = memoryStore()
  return {
    ...rows,
    rows,
    async scan(cursor = '0') {
      const { ids } = await rows.scan()
      const sorted = [...ids].sort()
      const at = Number(cursor)
      const page = sorted.slice(Math.max(0, at - 3), at + 100)
      return { ids: page, ...(at + 100 < sorted.length ? { cursor: `${at + 100}` } : {}) }
    },
  }
}

async function filled(count: number, keys: KeyRing = before) {
  const store = pagedStore()
  const vault = tokenVault({ store, keys })
  for (let n = 0; n < count; n++) {
    const keepUntilMs = n % 2 ? 4_000_000_000_000 + n : undefined
    await vault.write(grant(n), { n }, { replaces: 0, keepUntilMs })
  }
  return store
}

async function keyIds(store: VaultStore): Promise<Map<string, number>> {
  const envelope = new Envelope(after)
  const counts = new Map<string, number>()
  let cursor: string | undefined
  const seen = new Set<string>()
  do {
    const page = await store.scan(cursor)
    for (const id of page.ids) {
      const row = await store.get(id)
      if (!row || seen.has(id)) continue
      seen.add(id)
      const key = envelope.keyIdOf(row.sealed)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return counts
}
const idOf = async (ring: KeyRing) => (await ring.newest({ vault: 'default' })).id

describe('rewrap', () => {
  it('V09 seals every row with the newest key, once, and keeps the rest of it', async () => {
    const store = await filled(250)
    const old = tokenVault({ store, keys: before })
    const versions = await Promise.all(
      Array.from({ length: 250 }, async (_, n) => (await old.read(grant(n)))!.version),
    )
    const vault = tokenVault({ store, keys: after })
    const progress: RewrapProgress[] = []
    const result = await vault.rewrap({ onProgress: (each) => progress.push(each) })
    expect(result).toMatchObject({ rewrapped: 251, failed: 0 }) // and the index row
    expect(result.seen).toBe(result.rewrapped + result.skipped)
    expect(progress.at(-1)).toEqual(result)
    expect(progress.length).toBeGreaterThan(3)
    expect(await keyIds(store)).toEqual(new Map([[await idOf(after), 252]]))
    // The old key may go.
    const alone = tokenVault({ store, keys: localKeys(newest) })
    for (let n = 0; n < 250; n++) {
      expect(await alone.read(grant(n))).toEqual({ value: { n }, version: versions[n]! + 1 })
    }
    const { ids } = await store.rows.scan()
    const kept = await Promise.all(ids.map(async (id) => (await store.get(id))?.keepUntilMs))
    expect(kept.filter((at) => at !== undefined)).toHaveLength(125)
    expect(Math.min(...kept.filter((at) => at !== undefined))).toBe(4_000_000_000_001)

    const again = await vault.rewrap()
    expect(again).toMatchObject({ rewrapped: 0, skipped: again.seen, failed: 0 })
  })

  it('opens no row that is on the newest key already', async () => {
    const store = await filled(20, localKeys(newest))
    let asked = 0
    const ring: KeyRing = {
      newest: after.newest,
      find: (...which) => {
        asked++
        return after.find(...which)
      },
    }
    expect(await tokenVault({ store, keys: ring }).rewrap()).toMatchObject({ rewrapped: 0 })
    expect(asked).toBe(1) // for the index row
  })

  it('V09 is started again after crashes, while readers and writers go on: 2,000 rows', async () => {
    const rows = 2_000
    const store = await filled(rows)
    const vault = tokenVault({ store, keys: after })
    const written = new Map<number, number>()
    let running = true
    let [reads, writes, lost] = [0, 0, 0]
    const traffic = Array.from({ length: 4 }, async (_, worker) => {
      for (let step = worker; running; step += 4) {
        const n = (step * 7) % rows
        const held = await vault.read<{ n: number; more?: number }>(grant(n))
        expect(held?.value.n).toBe(n)
        reads++
        if (step % 3 === 0) {
          const more = (held?.value.more ?? 0) + 1
          const wrote = await vault.write(grant(n), { n, more }, { replaces: held!.version })
          if (wrote) written.set(n, more)
          if (wrote) writes++
          else lost++
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })

    let [puts, crashes] = [0, 0]
    const dying: VaultStore = {
      ...store,
      async put(id, row, options) {
        if (++puts % 100 === 0) throw Object.assign(new Error('gone'), { code: 'ECONNRESET' })
        return store.put(id, row, options)
      },
    }
    let result: RewrapProgress | undefined
    while (!result) {
      const controller = new AbortController()
      const attempt = tokenVault({ store: dying, keys: after }).rewrap({
        signal: controller.signal,
        onProgress: ({ rewrapped }) => {
          if (rewrapped > 80) controller.abort(new Error('killed'))
        },
      })
      result = await attempt.catch((error: Error) => {
        crashes++
        expect(error.message === 'killed' || error instanceof VaultUnavailableError).toBe(true)
        return undefined
      })
    }
    running = false
    await Promise.all(traffic)

    expect(crashes).toBeGreaterThan(5)
    expect([reads > 100, writes > 20]).toEqual([true, true])
    expect(result.failed).toBe(0)
    expect(await keyIds(store)).toEqual(new Map([[await idOf(after), rows + 2]]))
    const alone = tokenVault({ store, keys: localKeys(newest) })
    for (let n = 0; n < rows; n++) {
      const more = written.get(n)
      const value = more === undefined ? { n } : { n, more }
      expect((await alone.read(grant(n)))?.value).toEqual(value) // no write was lost to the rewrapping
    }
    expect(lost).toBeLessThan(writes)
  })

  it('lets a writer win that comes between', async () => {
    const store = await filled(1)
    const old = tokenVault({ store, keys: before })
    const { version: replaces } = (await old.read(grant(0)))!
    let between = true
    const racing: VaultStore = {
      ...store,
      async put(id, row, options) {
        if (between && id === (await old.address(grant(0)))) {
          between = false
          await old.write(grant(0), { late: true }, { replaces })
        }
        return store.put(id, row, options)
      },
    }
    const result = await tokenVault({ store: racing, keys: after }).rewrap()
    expect(result).toEqual({ seen: 2, rewrapped: 2, skipped: 0, failed: 0 })
    const alone = tokenVault({ store, keys: localKeys(newest) })
    expect(await alone.read(grant(0))).toEqual({ value: { late: true }, version: replaces + 2 })
  })

  it('leaves a row for the next run that others write all the time, and one that is gone', async () => {
    const store = await filled(2)
    const first = await tokenVault({ store, keys: before }).address(grant(0))
    const busy: VaultStore = {
      ...store,
      put: async () => false,
      get: (id) => (id === first ? Promise.resolve(undefined) : store.get(id)),
    }
    const result = await tokenVault({ store: busy, keys: after }).rewrap()
    expect(result).toEqual({ seen: 3, rewrapped: 0, skipped: 1, failed: 2 })
  })

  it('counts what does not open, and leaves it as it is', async () => {
    const store = await filled(5)
    const ids = (await store.scan()).ids.filter((id) => !isIndexRowId(id))
    const spoil = async (at: number, change: (row: VaultRow) => VaultRow) =>
      store.put(ids[at]!, change((await store.get(ids[at]!))!))
    const flipped = (row: VaultRow) => {
      const sealed = row.sealed.slice()
      sealed[sealed.length - 1]! ^= 1
      return { ...row, sealed }
    }
    await spoil(0, flipped)
    await spoil(1, (row) => ({ ...row, sealed: new Uint8Array([9, 9]) }))
    const stranger = await new Envelope(localKeys(bytes(9))).seal(new Uint8Array(2), ids[2]!, 1)
    await spoil(2, (row) => ({ ...row, sealed: stranger }))
    await store.put('no id of ours', (await store.get(ids[3]!))!)
    const spoilt = await Promise.all(ids.slice(0, 3).map((id) => store.get(id)))
    const result = await tokenVault({ store, keys: after }).rewrap()
    expect(result).toEqual({ seen: 7, rewrapped: 3, skipped: 0, failed: 4 })
    expect(await Promise.all(ids.slice(0, 3).map((id) => store.get(id)))).toEqual(spoilt)
  })

  it('takes the word of a ring for which keys are current', async () => {
    const store = await filled(3)
    const ring: KeyRing = { ...after, isCurrent: async (id) => id === (await idOf(before)) }
    expect(await tokenVault({ store, keys: ring }).rewrap()).toMatchObject({ skipped: 4 })
  })

  it('ends with an error that can be tried again when the ring or the store fails', async () => {
    const store = await filled(3)
    const failing: KeyRing = { ...after, find: () => Promise.reject(new Error('down')) }
    await expect(tokenVault({ store, keys: failing }).rewrap()).rejects.toBeInstanceOf(
      KeyUnavailableError,
    )
    const down: VaultStore = { ...store, scan: () => Promise.reject(new Error('down')) }
    await expect(tokenVault({ store: down, keys: after }).rewrap()).rejects.toBeInstanceOf(
      VaultUnavailableError,
    )
    const stuck: VaultStore = { ...store, scan: async () => ({ ids: [], cursor: 'x' }) }
    await expect(tokenVault({ store: stuck, keys: after }).rewrap()).rejects.toMatchObject({
      reason: 'its cursor does not move',
    })
  })

  it('does nothing when it was aborted before', async () => {
    const store = await filled(3)
    const signal = AbortSignal.abort()
    await expect(tokenVault({ store, keys: after }).rewrap({ signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(await keyIds(store)).toEqual(new Map([[await idOf(before), 4]]))
  })

  it('V09 goes on after the last page that was done when it was killed, and still tells what failed', async () => {
    const store = await filled(450)
    const vault = tokenVault({ store, keys: after })
    const [bad] = (await store.scan()).ids.filter((id) => !isIndexRowId(id)) as [string]
    await store.put(bad, { ...(await store.get(bad))!, sealed: new Uint8Array([9, 9]) })
    let scans = 0
    const killed: VaultStore = {
      ...store,
      scan: (cursor) => {
        if (++scans === 4) throw new Error('killed')
        return store.scan(cursor)
      },
    }
    await expect(tokenVault({ store: killed, keys: after }).rewrap()).rejects.toThrow()
    const cursors: (string | undefined)[] = []
    const watched: VaultStore = {
      ...store,
      scan: (cursor) => {
        cursors.push(cursor)
        return store.scan(cursor)
      },
    }
    const result = await tokenVault({ store: watched, keys: after }).rewrap()
    expect(cursors).toEqual(['300', '400'])
    expect(result).toMatchObject({ failed: 1 })
    expect(result.rewrapped).toBe(450)
    cursors.length = 0
    await tokenVault({ store: watched, keys: after }).rewrap()
    expect(cursors[0]).toBeUndefined() // the place is of a run that has ended
    expect((await vault.read(grant(3)))?.value).toEqual({ n: 3 })
  })

  it('begins anew for another key, and where the store does not know the cursor any more', async () => {
    for (const change of ['key', 'cursor']) {
      const store = await filled(250)
      const third = localKeys(bytes(3), newest, old)
      let scans = 0
      const killed: VaultStore = {
        ...store,
        scan: (cursor) => {
          if (++scans === 2) throw new Error('killed')
          return store.scan(cursor)
        },
      }
      await expect(tokenVault({ store: killed, keys: after }).rewrap()).rejects.toThrow()
      const cursors: (string | undefined)[] = []
      const watched: VaultStore = {
        ...store,
        scan: async (cursor) => {
          cursors.push(cursor)
          if (change === 'cursor' && cursors.length === 1) throw new Error('no such cursor')
          return store.scan(cursor)
        },
      }
      const keys = change === 'key' ? third : after
      const result = await tokenVault({ store: watched, keys }).rewrap()
      expect(cursors.slice(0, 2)).toEqual(
        change === 'key' ? [undefined, '100'] : ['100', undefined],
      )
      expect(result.failed).toBe(0)
      const alone = tokenVault({ store, keys: localKeys(change === 'key' ? bytes(3) : newest) })
      for (let n = 0; n < 250; n++) expect((await alone.read(grant(n)))?.value).toEqual({ n })
    }
  })
})
