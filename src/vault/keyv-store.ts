import { type Clock, readClock } from '../clock.js'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultCorruptError } from '../errors/vault.js'
import { checkOptionNames } from '../option-names.js'
import {
  chainOf,
  errorCounter,
  forceThrowing,
  iterate,
  type KeyvLike,
  namespacesOf,
} from './keyv-like.js'
import { RowLocks } from './row-locks.js'
import { decodeRow, encodeRow } from './row-text.js'
import type { VaultRow, VaultScan, VaultStore } from './store.js'
import { readTimeoutMs, StoreCall } from './store-call.js'

const SCAN_PAGE_ROWS = 10_000

export interface KeyvStoreOptions {
  /**
   * How many processes write to the store. `one`: a row is compared and set under a lock of this process. `many` is
   * refused: Keyv has no compare-and-set, and two processes would spend the same refresh token, which ends the grant.
   */
  readonly processes: 'one' | 'many'
  /** Milliseconds for one call, waiting for other writers of the row included. Default: 5,000; 1 to 60,000. */
  readonly timeoutMs?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * A store over any Keyv. Give it a Keyv of its own, over an adapter of its own: an adapter keeps the namespace of the
 * last Keyv that was made over it.
 *
 * Keyv turns failures into misses. Here its `throwOnErrors` is switched on, a miss counts only when no `error` event
 * came with it, what was written or deleted is read back, and what does not answer in time has failed: each is a
 * `VaultUnavailableError`. Rows get no time to live, whatever Keyv's default is, unless they have a `keepUntilMs`.
 *
 * @throws `TypeError` naming the option.
 */
export function keyvStore(keyv: KeyvLike, options: KeyvStoreOptions): VaultStore {
  checkKeyv(keyv)
  checkOptions(options)
  return new KeyvStore(keyv, options)
}

class KeyvStore implements VaultStore {
  readonly #keyv: KeyvLike
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #locks: RowLocks
  readonly #namespaces: string
  readonly #errors: () => number

  constructor(keyv: KeyvLike, options: KeyvStoreOptions) {
    this.#keyv = keyv
    this.#timeoutMs = readTimeoutMs(options.timeoutMs)
    this.#clock = readClock(options.clock)
    this.#namespaces = namespacesOf(keyv)
    // Of the innermost adapter, so that two Keyvs over one take turns too.
    this.#locks = RowLocks.of(chainOf(keyv).at(-1) ?? keyv)
    this.#errors = errorCounter(keyv)
  }

  async get(id: string): Promise<VaultRow | undefined> {
    return this.#read(this.#call('get'), id)
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const call = this.#call('put')
    const { replaces } = options
    return this.#alone(call, id, async () => {
      if (replaces !== undefined) {
        const version = (await this.#read(call, id))?.version ?? 0
        if (version !== replaces) return false
      }
      await this.#write(call, id, row)
      return true
    })
  }

  async delete(id: string): Promise<void> {
    const call = this.#call('delete')
    await this.#alone(call, id, async () => {
      await call.run(() => this.#keyv.delete(id))
      if ((await this.#fetch(call, id)) !== undefined) throw call.failure('not_deleted')
    })
  }

  /**
   * Iterators of Keyv cannot be resumed, so each page goes through all rows and keeps the next 10,000 ids in their
   * order. Each step has the full time: a listing takes as long as the store is large.
   */
  async scan(cursor = ''): Promise<VaultScan> {
    this.#call('scan')
    const errorsBefore = this.#errors()
    const rows = iterate(this.#keyv)
    if (rows === undefined) {
      throw new ConfigurationError(
        "The Keyv adapter of this vault cannot list its rows (keyv.iterator is missing), so the vault's rows cannot be gone through. Use an adapter with an iterator, such as @keyv/redis, @keyv/postgres or @keyv/sqlite.",
      )
    }
    let ids: string[] = []
    let more = false
    const keepFirst = () => {
      ids = [...new Set(ids)].sort()
      more ||= ids.length > SCAN_PAGE_ROWS
      ids.length = Math.min(ids.length, SCAN_PAGE_ROWS)
    }
    try {
      for (;;) {
        const call = this.#call('scan')
        const step = await call.run(() => rows.next())
        if (this.#errors() !== errorsBefore) throw call.failure('store_error')
        if (step.done) break
        const id = decodeRow(Array.isArray(step.value) ? step.value[1] : undefined)?.id
        if (id !== undefined && id > cursor) ids.push(id)
        if (ids.length > 2 * SCAN_PAGE_ROWS) keepFirst()
      }
    } finally {
      rows.return?.().catch(() => {})
    }
    keepFirst()
    const last = ids.at(-1)
    return more && last !== undefined ? { ids, cursor: last } : { ids }
  }

  #call(operation: string): StoreCall {
    forceThrowing(this.#keyv)
    if (namespacesOf(this.#keyv) !== this.#namespaces) {
      throw new ConfigurationError(
        "The namespace of the vault's Keyv changed after keyvStore() took it: another Keyv was made over the same adapter, and the vault's rows would not be found. Give the vault an adapter of its own.",
      )
    }
    return new StoreCall(operation, this.#timeoutMs)
  }

  /** The stored value. A miss is one only when nothing went wrong meanwhile: Keyv 6 and adapters tell by event alone. */
  async #fetch(call: StoreCall, id: string): Promise<unknown> {
    const errorsBefore = this.#errors()
    const value = await call.run(() => this.#keyv.get(id))
    if (value !== undefined && value !== null) return value
    if (this.#errors() !== errorsBefore) throw call.failure('store_error')
    return undefined
  }

  async #read(call: StoreCall, id: string): Promise<VaultRow | undefined> {
    const value = await this.#fetch(call, id)
    if (value === undefined) return undefined
    const found = decodeRow(value)
    if (found === undefined) throw new VaultCorruptError({ reason: 'not_a_vault_row' })
    if (found.id !== id) throw new VaultCorruptError({ reason: 'row_of_another_id' })
    return found.row
  }

  async #write(call: StoreCall, id: string, row: VaultRow): Promise<void> {
    const value = encodeRow(id, row)
    const { keepUntilMs } = row
    // 0 is no time to live, also where the Keyv has a default one.
    const ttlMs =
      keepUntilMs === undefined ? 0 : Math.max(1, Math.ceil(keepUntilMs - this.#clock()))
    const wrote = await call.run(() => this.#keyv.set(id, value, ttlMs))
    if (wrote === false) throw call.failure('not_written')
    const kept = await this.#fetch(call, id)
    const expired = kept === undefined && keepUntilMs !== undefined && keepUntilMs <= this.#clock()
    if (kept !== value && !expired) throw call.failure('not_kept')
  }

  async #alone<T>(call: StoreCall, id: string, work: () => Promise<T>): Promise<T> {
    const entering = this.#locks.enter(id)
    try {
      await call.wait(entering)
    } catch (error) {
      void entering.then((leave) => leave())
      throw error
    }
    const leave = await entering
    try {
      return await work()
    } finally {
      leave(call.lastStep)
    }
  }
}

function checkKeyv(keyv: KeyvLike): void {
  const given = keyv as Partial<KeyvLike> | null | undefined
  for (const method of ['get', 'set', 'delete', 'on'] as const) {
    if (typeof given?.[method] !== 'function') {
      throw new TypeError(
        `keyv must be a Keyv (^5.6 or ^6); it has no ${method}(). Write: keyvStore(new Keyv(adapter), { processes: 'one' }).`,
      )
    }
  }
}

function checkOptions(options: KeyvStoreOptions): void {
  checkOptionNames(
    options,
    'keyvStore()',
    { processes: true, timeoutMs: true, clock: true },
    "a Keyv and options such as { processes: 'one' }",
  )
  const { processes, timeoutMs } = options
  if (processes === 'many') {
    throw new TypeError(
      'processes: "many" needs a store with a compare-and-set between processes, and Keyv has none: two processes would spend one refresh token and end the grant. Use a store that has one: redisStore, postgresStore, sqliteStore or fileStore, or implement VaultStore over your database and run describeVaultStore() from deputize/testing against it. With a single process, say processes: "one".',
    )
  }
  if (processes !== 'one') {
    throw new TypeError(
      `processes must be "one" or "many", got ${JSON.stringify(processes)}. Say "one" when no other process writes to this store.`,
    )
  }
  readTimeoutMs(timeoutMs)
}
