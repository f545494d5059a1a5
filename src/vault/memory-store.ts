import { type Clock, MINUTE_MS, readClock } from '../clock.js'
import { checkOptionNames } from '../option-names.js'
import { isIndexRowId } from './row-key.js'
import type { VaultRow, VaultStore } from './store.js'

/** How many rows a store in memory keeps by default. */
export const MEMORY_STORE_MAX_ROWS = 100_000

export interface MemoryStoreOptions {
  /**
   * The most rows kept. Over it, rows that are kept for a time only (consents that are pending or ended) go first, those
   * that end soonest before the others; then those not used for longest. Default: 100,000; at least 1.
   */
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
  const { maxRows = MEMORY_STORE_MAX_ROWS } = options
  const clock = readClock(options.clock)
  if (!Number.isSafeInteger(maxRows) || maxRows < 1) {
    throw new TypeError(`maxRows must be a whole number of 1 or more, got ${String(maxRows)}.`)
  }
  // In the order of last use: a Map keeps the order in which keys were set.
  const rows = new Map<string, VaultRow>()
  const timed = new TimedIds()

  function forget(id: string): void {
    const row = rows.get(id)
    if (row?.keepUntilMs !== undefined) timed.delete(id, row.keepUntilMs)
    rows.delete(id)
  }

  function current(id: string): VaultRow | undefined {
    const row = rows.get(id)
    if (row?.keepUntilMs === undefined || row.keepUntilMs >= clock()) return row
    forget(id)
    return undefined
  }

  /** Rows that are kept for a time only go first: whoever begins a thousand consents must not cost anybody a grant. */
  function makeRoom(): void {
    while (rows.size >= maxRows) {
      const id = timed.first() ?? leastUsed()
      if (id === undefined) return
      forget(id)
    }
  }

  /** Never an index row: without it nobody finds the other rows of its vault. */
  function leastUsed(): string | undefined {
    for (const id of rows.keys()) if (!isIndexRowId(id)) return id
    return undefined
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
      forget(id)
      makeRoom()
      rows.set(id, copyOf(row))
      if (row.keepUntilMs !== undefined) timed.add(id, row.keepUntilMs)
      return true
    },

    async delete(id) {
      forget(id)
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

/** Ids by the minute in which their rows end. */
class TimedIds {
  readonly #minutes = new Map<number, Set<string>>()

  add(id: string, untilMs: number): void {
    const minute = Math.floor(untilMs / MINUTE_MS)
    const ids = this.#minutes.get(minute) ?? new Set()
    this.#minutes.set(minute, ids.add(id))
  }

  delete(id: string, untilMs: number): void {
    const minute = Math.floor(untilMs / MINUTE_MS)
    const ids = this.#minutes.get(minute)
    if (ids?.delete(id) && ids.size === 0) this.#minutes.delete(minute)
  }

  /** One of those that end first. */
  first(): string | undefined {
    let first: number | undefined
    for (const minute of this.#minutes.keys()) {
      if (first === undefined || minute < first) first = minute
    }
    return first === undefined ? undefined : this.#minutes.get(first)?.values().next().value
  }
}
