import { isWellFormed, textOf, utf8 } from '../bytes.js'
import { isDeputizeError } from '../errors/base.js'
import { VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import { isPromise } from '../maybe-promise.js'
import { checkOptionNames } from '../option-names.js'
import { type ApplyChange, changeRow, type RowChange, type RowState } from './change-row.js'
import { Envelope } from './envelope.js'
import { type KeyRing, randomKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import { platformPrimitives } from './platform-primitives.js'
import { type RewrapOptions, type RewrapPlace, type RewrapProgress, rewrapRows } from './rewrap.js'
import { RowIndex } from './row-index.js'
import type { RowKey } from './row-key.js'
import { RowQueue } from './row-queue.js'
import { SharedReads } from './shared-reads.js'
import type { VaultRow, VaultStore } from './store.js'

/** What {@link tokenVault} takes. */
export interface TokenVaultOptions {
  /** Tells vaults apart that share a store; bound into every row. Default `default`. */
  readonly name?: string
  /** Where sealed rows live. Default: this process's memory. */
  readonly store?: VaultStore
  /** The keys. Default, with the memory store only: one random key that dies with the process. */
  readonly keys?: KeyRing
}

/** A value as read, with the version that a later write must name. */
export interface Held<T> {
  readonly value: T
  readonly version: number
}

const STORE_DEADLINE_MS = 10_000
const rewrapPlace: RowKey = { kind: 'rewrap-place', owner: [] }

/** Keeps credentials encrypted at rest. Made by {@link tokenVault}; the library reads and writes it, applications rewrap it. */
export class TokenVault {
  readonly name: string
  readonly #store: VaultStore
  readonly #envelope: Envelope
  readonly #index: RowIndex
  readonly #queue = new RowQueue()
  readonly #reads = new SharedReads<RowState<unknown>>()

  constructor(options: {
    readonly name: string
    readonly store: VaultStore
    readonly keys: KeyRing
  }) {
    this.name = options.name
    this.#store = options.store
    const primitives = platformPrimitives()
    this.#envelope = new Envelope(options.keys, { vault: options.name, primitives })
    this.#index = new RowIndex({
      name: options.name,
      envelope: this.#envelope,
      primitives,
      store: this.#rows(),
      monotonic: () => performance.now(),
    })
  }

  /**
   * @throws {@link VaultUnavailableError} The store failed. Never taken for a miss.
   * @throws {@link VaultCorruptError} {@link KeyUnavailableError} The row does not open.
   */
  async read<T>(key: RowKey): Promise<Held<T> | undefined> {
    const { value, version, corrupt } = await this.look<T>(key)
    if (corrupt) throw corrupt
    return version === 0 ? undefined : { value: value as T, version }
  }

  /**
   * The same for whoever can go on with a row that is corrupt. One whose key is not at hand is another matter: another
   * process may have the key, and the row is good.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  async look<T>(key: RowKey): Promise<RowState<T>> {
    const id = await this.address(key)
    return this.#reads.read(id, () => this.#open(id)) as Promise<RowState<T>>
  }

  async #open(id: string): Promise<RowState<unknown>> {
    const row = await this.#get(id)
    if (row === undefined) return { value: undefined, version: 0 }
    const { sealed, version } = row
    try {
      return { value: parse(await this.#envelope.open(sealed, id, version)), version }
    } catch (error) {
      if (!isDeputizeError(error, 'ERR_VAULT_CORRUPT')) throw error
      return { value: undefined, version, corrupt: error as VaultCorruptError }
    }
  }

  /**
   * Changes a row by compare-and-set until it is written: one writer at a time in this process, and backoff between
   * processes. A row that is created gets a first version of its own.
   *
   * @param apply Is told the row as it is, also one that is corrupt. What it throws ends the change.
   * @returns The change that was written; `undefined` when `apply` left the row as it is.
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  async change<T>(key: RowKey, apply: ApplyChange<T>): Promise<RowChange<T> | undefined> {
    const id = await this.address(key)
    const row = {
      look: () => this.look<T>(key),
      write: async ({ value, keepUntilMs }: RowChange<T>, replaces: number) =>
        (await this.write(key, value, { replaces, keepUntilMs })) !== undefined,
    }
    return this.#queue.run(id, () => changeRow(row, apply))
  }

  /**
   * Writes `value` over the version `replaces` (0: where there is no row). A new row starts at a random version, so that
   * what was read of a row that has gone since never fits the one that came after it.
   *
   * @returns The new version, or `undefined` when another writer was first: read again, theirs is the newer value.
   * @throws {@link VaultUnavailableError} The store failed; the row is what it was, or what was to be written.
   */
  async write(
    key: RowKey,
    value: unknown,
    options: { readonly replaces: number; readonly keepUntilMs?: number | undefined },
  ): Promise<number | undefined> {
    if (options.replaces === 0) {
      const kept = this.#index.keep()
      if (isPromise(kept)) await kept
    }
    const id = await this.address(key)
    const version = options.replaces === 0 ? firstVersion() : options.replaces + 1
    const sealed = await this.#envelope.seal(utf8(JSON.stringify(value)), id, version)
    const row: VaultRow = {
      sealed,
      version,
      ...(options.keepUntilMs === undefined ? {} : { keepUntilMs: options.keepUntilMs }),
    }
    const wrote = await this.#put(id, row, options.replaces)
    return wrote ? version : undefined
  }

  /** The id of a row in the store. @throws As {@link read}. */
  async address(key: RowKey): Promise<string> {
    return this.#index.address(key)
  }

  /**
   * Seals every row of the store that is not on the newest key anew, while readers and writers go on. Run it after a key
   * was put in front of the ring; the old key may go when it ends with nothing failed and every process has the new ring.
   * Started again after a crash or an abort, it goes on after the last page that was done. Vaults that share the store and the keys are
   * rewrapped with it.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} The store or the key ring failed: start it again.
   */
  rewrap(options: RewrapOptions = {}): Promise<RewrapProgress> {
    return rewrapRows(
      {
        envelope: this.#envelope,
        store: this.#rows(),
        place: {
          read: async () => (await this.look<RewrapPlace | null>(rewrapPlace)).value ?? undefined,
          write: (place) =>
            this.change(rewrapPlace, ({ value }) =>
              place || value ? { value: place ?? null } : undefined,
            ),
        },
      },
      options,
    )
  }

  /** The methods of the store, with their deadline. */
  #rows() {
    return {
      get: (id: string) => this.#get(id),
      put: (id: string, row: VaultRow, replaces: number) => this.#put(id, row, replaces),
      scan: (cursor?: string) => this.#ask('scan', () => this.#store.scan(cursor)),
    }
  }

  async #get(id: string): Promise<VaultRow | undefined> {
    const row = await this.#ask('get', () => this.#store.get(id))
    if (row === undefined || row === null) return undefined
    checkRow(row)
    return row
  }

  async #put(id: string, row: VaultRow, replaces: number): Promise<boolean> {
    const wrote = await this.#ask('put', () => this.#store.put(id, row, { replaces }))
    if (typeof wrote !== 'boolean') {
      // Taken for "another was first", it would send the caller round for ever.
      throw new VaultUnavailableError({
        operation: 'put',
        reason: 'the store did not say whether it wrote',
      })
    }
    return wrote
  }

  /** A store's failure or silence becomes a {@link VaultUnavailableError}. */
  async #ask<T>(operation: string, run: () => Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new VaultUnavailableError({
              operation,
              reason: `no answer in ${STORE_DEADLINE_MS} ms`,
            }),
          ),
        STORE_DEADLINE_MS,
      )
    })
    try {
      return await Promise.race([run(), deadline])
    } catch (cause) {
      if (isDeputizeError(cause)) throw cause
      throw new VaultUnavailableError({ operation, reason: 'the store rejected', cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

function parse(plain: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(plain) ?? '')
  } catch {
    // V8's message would quote what was decrypted: nothing of it is kept.
    throw new VaultCorruptError({ reason: 'it opens to something that is not JSON' })
  }
}

/** 1 to 2^48, at random: writes can count on from there for longer than any row lives. */
function firstVersion(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2))
  return (high! >>> 16) * 2 ** 32 + low! + 1
}

function checkRow(row: VaultRow): void {
  if (
    !(row.sealed instanceof Uint8Array) ||
    !Number.isSafeInteger(row.version) ||
    row.version < 1
  ) {
    throw new VaultCorruptError({ reason: 'the store returned something that is no row' })
  }
}

/**
 * A vault: AES-256-GCM above whatever store there is, so that the store sees ciphertext only.
 *
 * @throws `TypeError` An option is wrong, or a store that outlives the process has no keys that do.
 */
export function tokenVault(options: TokenVaultOptions = {}): TokenVault {
  checkOptionNames(options, 'tokenVault()', { name: true, store: true, keys: true })
  const { name = 'default', store, keys } = options
  if (typeof name !== 'string' || name === '' || name.length > 255 || !isWellFormed(name)) {
    throw new TypeError('name must be a non-empty string of at most 255 characters.')
  }
  if (store !== undefined && keys === undefined) {
    throw new TypeError(
      'keys is required with a store: rows outlive this process and so must their key. Pass keys: localKeys(secret).',
    )
  }
  for (const method of ['get', 'put', 'delete', 'scan'] as const) {
    if (store !== undefined && typeof store?.[method] !== 'function') {
      throw new TypeError(`store must have the method ${method}() of VaultStore.`)
    }
  }
  if (
    keys !== undefined &&
    (typeof keys?.newest !== 'function' || typeof keys.find !== 'function')
  ) {
    throw new TypeError('keys must be a key ring, such as localKeys(secret).')
  }
  return new TokenVault({ name, store: store ?? memoryStore(), keys: keys ?? randomKeys() })
}
