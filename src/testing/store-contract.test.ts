import { AssertionError } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../vault/memory-store.js'
import type { VaultRow, VaultStore } from '../vault/store.js'
import { describeVaultStore } from './store-contract.js'

/** Runs the suite over `open()` and gives the titles of the rules that failed. */
async function failures(open: () => VaultStore): Promise<string[]> {
  const rules: { title: string; body: () => Promise<void> }[] = []
  describeVaultStore(
    { describe: (_name, body) => body(), it: (title, body) => rules.push({ title, body }) },
    open,
    { scanRows: 30 },
  )
  const failed: string[] = []
  for (const { title, body } of rules) {
    await body().catch((error: unknown) => {
      if (!(error instanceof AssertionError)) throw error
      failed.push(title)
    })
  }
  return failed
}

type Change = (good: VaultStore) => Partial<VaultStore>

const soon = () => new Promise((resolve) => setTimeout(resolve, 1))

const broken: readonly [string, string, Change][] = [
  [
    'compares and sets in two steps',
    'lets one of many concurrent replacers win',
    (good) => ({
      async put(id, row, { replaces } = {}) {
        const version = (await good.get(id))?.version ?? 0
        if (replaces !== undefined && version !== replaces) return false
        await soon()
        return good.put(id, row)
      },
    }),
  ],
  [
    'counts versions itself',
    'keeps a large version, and writes no version of its own',
    (good) => ({
      async put(id, row, options) {
        const version = ((await good.get(id))?.version ?? 0) + 1
        return good.put(id, { ...row, version }, options)
      },
    }),
  ],
  [
    'takes "replaces: 0" for "write whatever is there"',
    'creates only once when told that there is no row',
    (good) => ({
      put: (id, row, { replaces } = {}) => good.put(id, row, replaces ? { replaces } : {}),
    }),
  ],
  [
    'keeps bytes as text',
    'keeps every byte value',
    (good) => ({
      put: (id, row, options) => {
        const text = new TextDecoder().decode(row.sealed)
        return good.put(id, { ...row, sealed: new TextEncoder().encode(text) }, options)
      },
    }),
  ],
  [
    'keeps the whole buffer of a view',
    'keeps bytes that stand in a larger buffer',
    (good) => ({
      put: (id, row, options) =>
        good.put(id, { ...row, sealed: new Uint8Array(row.sealed.buffer.slice(0)) }, options),
    }),
  ],
  [
    'drops keepUntilMs',
    'keeps keepUntilMs, and its absence',
    (good) => ({
      async get(id) {
        const row = await good.get(id)
        return row && { sealed: row.sealed, version: row.version }
      },
    }),
  ],
  [
    'hands out its own row',
    'gives rows that are the caller’s to change',
    () => {
      const rows = new Map<string, VaultRow>()
      return {
        get: async (id) => rows.get(id),
        async put(id, row, { replaces } = {}) {
          if (replaces !== undefined && (rows.get(id)?.version ?? 0) !== replaces) return false
          rows.set(id, row)
          return true
        },
        delete: async (id) => void rows.delete(id),
        scan: async () => ({ ids: [...rows.keys()] }),
      }
    },
  ],
  [
    'does not delete',
    'deletes, and lets the row be created again',
    () => ({ delete: async () => {} }),
  ],
  [
    'lists its first page only',
    'lists every row that stays, as its id was written',
    (good) => ({ scan: async () => ({ ids: (await good.scan()).ids.slice(0, 10) }) }),
  ],
  [
    'lists ids with a prefix',
    'lists every row that stays, as its id was written',
    (good) => ({ scan: async () => ({ ids: (await good.scan()).ids.map((id) => `keyv:${id}`) }) }),
  ],
  [
    'takes ids for numbers',
    'keeps look-alike ids apart',
    (good) => ({
      get: (id) => good.get(String(Number(`0x${id}`))),
      put: (id, row, options) => good.put(String(Number(`0x${id}`)), row, options),
      delete: (id) => good.delete(String(Number(`0x${id}`))),
    }),
  ],
]

describe('describeVaultStore', () => {
  it('passes a store that keeps the rules', async () => {
    expect(await failures(() => memoryStore())).toEqual([])
  })

  it.each(broken)('notices a store that %s', async (_fault, rule, change) => {
    const store = () => {
      const good = memoryStore()
      return { ...good, ...change(good) }
    }
    expect(await failures(store)).toContain(rule)
  })
})
