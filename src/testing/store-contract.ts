import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { checkOptionNames, kindOf } from '../option-names.js'
import type { VaultRow, VaultStore } from '../vault/store.js'

/** What the suite needs of a test framework: node:test and vitest fit as they are. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: (name: string, body: () => Promise<void>) => unknown
}

export interface StoreContractOptions {
  /** Name of the suite. Default: `VaultStore contract`. */
  readonly name?: string
  /** How many rows the listing test writes. Default: 250. */
  readonly scanRows?: number
}

const CONCURRENT_WRITERS = 20
const LARGE_ROW_BYTES = 65_536
/** Pages that a listing may take: a store that never ends its listing is told apart from a slow one. */
const MAX_PAGES = 10_000

/**
 * The rules of {@link VaultStore} as tests. Every store that the vault is opened over must pass them; run them from
 * your own test file:
 *
 * ```ts
 * import { describe, it } from 'node:test'
 * import { describeVaultStore } from 'deputize/testing'
 *
 * describeVaultStore({ describe, it }, () => myStore())
 * ```
 *
 * `open` is called once a test, and may give the same store each time: tests use ids of their own and leave rows behind.
 */
export function describeVaultStore(
  runner: TestRunner,
  open: () => Promise<VaultStore> | VaultStore,
  options: StoreContractOptions = {},
): void {
  const { describe, it } = (runner as TestRunner | undefined) ?? {}
  for (const [name, value] of Object.entries({ describe, it, open })) {
    if (typeof value === 'function') continue
    const takes = '{ describe, it } of a test runner and open(), which gives a store'
    throw new TypeError(`describeVaultStore() takes ${takes}; ${name} is ${kindOf(value)}.`)
  }
  checkOptionNames(options, 'describeVaultStore()', { name: true, scanRows: true })
  const { name = 'VaultStore contract', scanRows = 250 } = options
  const rule = (title: string, body: (store: VaultStore) => Promise<void>) =>
    runner.it(title, async () => body(await open()))

  runner.describe(name, () => {
    rule('has no row before one is written', async (store) => {
      assert.equal(await store.get(newId()), undefined)
    })

    rule('gives back what was written', async (store) => {
      const id = newId()
      assert.equal(await store.put(id, row(7, 'first')), true)
      await expectRow(store, id, row(7, 'first'))
    })

    rule('keeps every byte value', async (store) => {
      const id = newId()
      const sealed = Uint8Array.from({ length: 512 }, (_, at) => at % 256)
      await store.put(id, { sealed, version: 1 })
      await expectRow(store, id, { sealed, version: 1 })
    })

    rule('keeps bytes that stand in a larger buffer', async (store) => {
      const id = newId()
      const sealed = new Uint8Array([9, 9, 1, 2, 3, 9]).subarray(2, 5)
      await store.put(id, { sealed, version: 1 })
      await expectRow(store, id, { sealed: new Uint8Array([1, 2, 3]), version: 1 })
    })

    rule('keeps a row of 64 kB', async (store) => {
      const id = newId()
      const sealed = Uint8Array.from({ length: LARGE_ROW_BYTES }, (_, at) => (at * 31 + 7) % 256)
      await store.put(id, { sealed, version: 1 })
      await expectRow(store, id, { sealed, version: 1 })
    })

    rule('keeps a large version, and writes no version of its own', async (store) => {
      const id = newId()
      await store.put(id, row(Number.MAX_SAFE_INTEGER - 1))
      assert.equal((await store.get(id))?.version, Number.MAX_SAFE_INTEGER - 1)
      await store.put(id, row(2))
      assert.equal((await store.get(id))?.version, 2)
    })

    rule('keeps keepUntilMs, and its absence', async (store) => {
      const [timed, lasting] = [newId(), newId()]
      const keepUntilMs = Date.now() + 3_600_123
      await store.put(timed, { ...row(1), keepUntilMs })
      await store.put(lasting, row(1))
      assert.equal((await store.get(timed))?.keepUntilMs, keepUntilMs)
      assert.equal((await store.get(lasting))?.keepUntilMs, undefined)
    })

    rule('forgets the old keepUntilMs when a row is written over', async (store) => {
      const id = newId()
      await store.put(id, { ...row(1), keepUntilMs: Date.now() + 250 })
      assert.equal(await store.put(id, row(2), { replaces: 1 }), true)
      await later(400)
      await expectRow(store, id, row(2))
    })

    rule(
      'treats a row past its keepUntilMs as there or as missing, never as both',
      async (store) => {
        const id = newId()
        await store.put(id, { ...row(1), keepUntilMs: Date.now() - 60_000 })
        await later(50)
        const gone = (await store.get(id)) === undefined
        assert.equal(await store.put(id, row(5), { replaces: 0 }), gone)
        if (gone) await expectRow(store, id, row(5))
      },
    )

    rule('gives rows that are the caller’s to change', async (store) => {
      const id = newId()
      const written = row(1, 'kept')
      await store.put(id, written)
      written.sealed.fill(0)
      const read = await store.get(id)
      read?.sealed.fill(0)
      await expectRow(store, id, row(1, 'kept'))
    })

    rule('writes over any row when not told what it replaces', async (store) => {
      const id = newId()
      await store.put(id, row(9, 'old'))
      assert.equal(await store.put(id, row(3, 'new')), true)
      await expectRow(store, id, row(3, 'new'))
    })

    rule('writes only over the version that it was told', async (store) => {
      const id = newId()
      await store.put(id, row(4, 'kept'))
      for (const replaces of [0, 1, 3, 5, 40]) {
        assert.equal(await store.put(id, row(50, 'lost'), { replaces }), false)
      }
      await expectRow(store, id, row(4, 'kept'))
      assert.equal(await store.put(id, row(5, 'next'), { replaces: 4 }), true)
      await expectRow(store, id, row(5, 'next'))
    })

    rule('does not create a row that was to replace another', async (store) => {
      const id = newId()
      assert.equal(await store.put(id, row(2), { replaces: 1 }), false)
      assert.equal(await store.get(id), undefined)
    })

    rule('creates only once when told that there is no row', async (store) => {
      const id = newId()
      const wrote = await together((n) => store.put(id, row(n, `writer ${n}`), { replaces: 0 }))
      const winner = wrote.indexOf(true) + 1
      assert.equal(wrote.filter(Boolean).length, 1)
      await expectRow(store, id, row(winner, `writer ${winner}`))
    })

    rule('lets one of many concurrent replacers win', async (store) => {
      const id = newId()
      await store.put(id, row(1))
      const wrote = await together((n) => store.put(id, row(n + 1, `writer ${n}`), { replaces: 1 }))
      const winner = wrote.indexOf(true) + 1
      assert.equal(wrote.filter(Boolean).length, 1)
      await expectRow(store, id, row(winner + 1, `writer ${winner}`))
    })

    rule('loses no step when writers read, add one and write in a loop', async (store) => {
      const id = newId()
      await store.put(id, row(1))
      await together(async () => {
        for (;;) {
          const { version } = (await store.get(id)) as VaultRow
          if (await store.put(id, row(version + 1), { replaces: version })) return
        }
      })
      assert.equal((await store.get(id))?.version, 1 + CONCURRENT_WRITERS)
    })

    rule('does not let concurrent rows meet', async (store) => {
      const ids = Array.from({ length: CONCURRENT_WRITERS }, newId)
      const wrote = await Promise.all(
        ids.map((id, at) => store.put(id, row(at + 1, id), { replaces: 0 })),
      )
      assert.deepEqual(new Set(wrote), new Set([true]))
      for (const [at, id] of ids.entries()) await expectRow(store, id, row(at + 1, id))
    })

    rule('deletes, and lets the row be created again', async (store) => {
      const id = newId()
      await store.put(id, row(3))
      await store.delete(id)
      assert.equal(await store.get(id), undefined)
      assert.equal(await store.put(id, row(4), { replaces: 3 }), false)
      assert.equal(await store.put(id, row(1), { replaces: 0 }), true)
    })

    rule('deletes a missing row without complaint', async (store) => {
      await store.delete(newId())
    })

    rule('keeps nothing half when a delete and a replacement race', async (store) => {
      const id = newId()
      await store.put(id, row(1))
      const [wrote] = await Promise.all([
        store.put(id, row(2, 'late'), { replaces: 1 }),
        store.delete(id),
      ])
      const left = await store.get(id)
      if (left !== undefined) {
        assert.equal(wrote, true)
        await expectRow(store, id, row(2, 'late'))
      }
    })

    rule('keeps look-alike ids apart', async (store) => {
      const stem = newId().slice(2)
      const digits = stem.replace(/[a-f]/g, '0')
      const [first = '', ...others] = [
        ...['0', '1', 'a', 'f'].map((last) => `00${stem.slice(0, -1)}${last}`),
        ...['01', '10', 'aa'].map((head) => `${head}${stem}`),
        ...['00', '1e', '10'].map((head) => `${head}${digits}`), // numbers, to whoever asks
      ]
      for (const [at, id] of [first, ...others].entries()) await store.put(id, row(at + 1))
      await store.delete(first)
      for (const [at, id] of others.entries()) await expectRow(store, id, row(at + 2))
    })

    rule('lists every row that stays, as its id was written', async (store) => {
      const staying = Array.from({ length: scanRows }, newId)
      const deleted = Array.from({ length: 5 }, newId)
      for (const id of [...staying, ...deleted]) await store.put(id, row(1))
      for (const id of deleted) await store.delete(id)
      const passing = newId()
      const listed = await listAll(store, async (page) => {
        if (page % 2 === 0) await store.put(passing, row(1))
        else await store.delete(passing)
      })
      const missing = staying.filter((id) => !listed.has(id))
      assert.deepEqual(missing, [], `${missing.length} of ${staying.length} rows were not listed`)
      for (const id of deleted) assert.ok(!listed.has(id), 'a deleted row was listed')
      for (const id of listed) assert.match(id, /^[0-9a-f]{64}$/)
    })
  })
}

async function listAll(
  store: VaultStore,
  between: (page: number) => Promise<void>,
): Promise<Set<string>> {
  const ids = new Set<string>()
  let cursor: string | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const scan = await store.scan(cursor)
    for (const id of scan.ids) ids.add(id)
    if (scan.cursor === undefined) return ids
    cursor = scan.cursor
    await between(page)
  }
  throw new assert.AssertionError({ message: `scan() did not end after ${MAX_PAGES} pages` })
}

/** Runs `work` with 1 to 20, all at once. */
function together<T>(work: (n: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: CONCURRENT_WRITERS }, (_, at) => work(at + 1)))
}

async function expectRow(store: VaultStore, id: string, expected: VaultRow): Promise<void> {
  const found = await store.get(id)
  assert.ok(found, 'the row is missing')
  assert.ok(found.sealed instanceof Uint8Array, 'sealed must be a Uint8Array')
  assert.equal(
    Buffer.from(found.sealed).toString('hex'),
    Buffer.from(expected.sealed).toString('hex'),
  )
  assert.equal(found.version, expected.version)
  assert.equal(found.keepUntilMs, expected.keepUntilMs)
}

function row(version: number, text = 'sealed'): VaultRow {
  return { sealed: new Uint8Array(new TextEncoder().encode(text)), version }
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function newId(): string {
  return createHash('sha256').update(randomUUID()).digest('hex')
}
