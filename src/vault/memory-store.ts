import { type Clock, systemClock } from '../clock.js'
import { checkOptionNames } from '../option-names.js'
import type { VaultRow, VaultStore } from './store.js'

/** How many rows a store in memory keeps by default. */
export const MEMORY_STORE_MAX_ROWS = 100_000

export interface MemoryStoreOptions {
  /** The most rows kept. Over it, rows past their time go first, then those not used for longest. Default: 100,000; at least 1. */
  readonly maxRows?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * A store in this process's memory: gone with the process. Bounded, so that many users cannot fill the memory; a row
 * that had to go means that its user is asked for consent again.
 *
 * @throws `TypeError` when `maxRows` is not a whole number of 1 or more.
 */
export function memoryStore(options: MemoryStoreOptions = {}): VaultStore {
  checkOptionNames(options, 'memoryStore()', { maxRows: true, clock: true })
  const { maxRows = MEMORY_STORE_MAX_ROWS, clock = systemClock } = options
  if (!Number.isSafeInteger(maxRows) || maxRows < 1) {
    throw new TypeError(`maxRows must be a whole number of 1 or more, got ${String(maxRows)}.`)
  }
  // In the order of last use: a Map keeps the order in which keys were set.
  const rows = new Map<string, VaultRow>()
  // No row is past its time before this moment, so a full store need not look through all of them at every write.
  let firstExpiryMs = Number.POSITIVE_INFINITY

  const isPast = (row: VaultRow, nowMs: number) =>
    row.keepUntilMs !== undefined && row.keepUntilMs < nowMs

  function current(id: string): VaultRow | undefined {
    const row = rows.get(id)
    if (row === undefined || !isPast(row, clock())) return row
    rows.delete(id)
    return undefined
  }

  function makeRoom(): void {
    const nowMs = clock()
    if (firstExpiryMs < nowMs) {
      firstExpiryMs = Number.POSITIVE_INFINITY
      for (const [id, row] of rows) {
        if (isPast(row, nowMs)) rows.delete(id)
        else firstExpiryMs = Math.min(firstExpiryMs, row.keepUntilMs ?? firstExpiryMs)
      }
    }
    for (const id of rows.keys()) {
      if (rows.size < maxRows) return
      rows.delete(id)
    }
  }

  return {
    async get(id) {
      const row = current(id)
      if (row === undefined) return undefined
      rows.delete(id)
      rows.set(id, row)
      return copyOf(row)
    },

    async put(id, row, { replaces } = {}) {
      if (replaces !== undefined && (current(id)?.version ?? 0) !== replaces) return false
      rows.delete(id)
      if (rows.size >= maxRows) makeRoom()
      rows.set(id, copyOf(row))
      firstExpiryMs = Math.min(firstExpiryMs, row.keepUntilMs ?? firstExpiryMs)
      return true
    },

    async delete(id) {
      rows.delete(id)
    },

    async scan() {
      return { ids: [...rows.keys()] }
    },
  }
}

function copyOf(row: VaultRow): VaultRow {
  return {
    sealed: row.sealed.slice(),
    version: row.version,
    ...(row.keepUntilMs === undefined ? {} : { keepUntilMs: row.keepUntilMs }),
  }
}
