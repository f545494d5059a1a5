import { base64url, fromBase64url, textOf, utf8 } from '../bytes.js'
import { VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import type { MaybePromise } from '../maybe-promise.js'
import type { Envelope } from './envelope.js'
import type { Primitives, RowMac } from './primitives.js'
import { indexRowId, type RowKey, rowAddress, vaultTag } from './row-key.js'
import type { VaultRow, VaultStore } from './store.js'

/** What the index needs of a vault. */
export interface IndexTools {
  readonly name: string
  readonly envelope: Envelope
  readonly primitives: Primitives
  /** The methods of the store, with their deadline. */
  readonly store: Pick<VaultStore, 'get' | 'scan'> & {
    put(id: string, row: VaultRow, replaces: number): Promise<boolean>
  }
  /** Milliseconds that only go forward. */
  readonly monotonic: () => number
}

interface Loaded {
  readonly tag: string
  readonly key: Uint8Array
  readonly mac: RowMac
}

const KEY_BYTES = 32
const MAX_TRIES = 5
/** How long the index row is believed to be where it was. */
const CHECK_MS = 30_000

/**
 * Where rows lie. Their ids are made with the vault's index key: 32 random bytes, made once by compare-and-set, sealed in
 * a row of its own. The key is kept in memory for as long as the vault is open.
 */
export class RowIndex {
  readonly #tools: IndexTools
  #loaded: Loaded | undefined
  #checkedMs = Number.NEGATIVE_INFINITY

  constructor(tools: IndexTools) {
    this.#tools = tools
  }

  /**
   * @throws {@link VaultCorruptError} The index row does not open, or is missing though the vault has rows: a new key
   *   would lose all of them.
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  address(key: RowKey): MaybePromise<string> {
    const loaded = this.#loaded
    if (loaded) return rowAddress(loaded.tag, this.#tools.name, key, loaded.mac)
    return this.#load().then(({ tag, mac }) => rowAddress(tag, this.#tools.name, key, mac))
  }

  /**
   * Sees to it, before a row is created, that the index row is there. A store that was emptied under a running process has
   * lost it, and nobody would find the new row after a restart.
   */
  keep(): MaybePromise<void> {
    const { monotonic } = this.#tools
    if (this.#loaded && monotonic() - this.#checkedMs < CHECK_MS) return undefined
    return this.#keep()
  }

  async #keep(): Promise<void> {
    const { tag, key } = await this.#load()
    const held = await this.#read(tag)
    if (held === undefined) await this.#create(tag, key)
    else if (!sameBytes(held, key)) this.#loaded = undefined // another process has begun anew
    this.#checkedMs = this.#tools.monotonic()
  }

  /** Not shared between callers: each reads for itself until the first has read. */
  async #load(): Promise<Loaded> {
    if (this.#loaded) return this.#loaded
    const { name, primitives, monotonic } = this.#tools
    const tag = await vaultTag(name, primitives)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const key = (await this.#read(tag)) ?? (await this.#make(tag))
      if (key === undefined) continue
      const mac = await primitives.mac(key)
      this.#loaded ??= { tag, key, mac }
      this.#checkedMs = monotonic()
      return this.#loaded
    }
    const reason = 'the index row could be neither read nor made'
    throw new VaultUnavailableError({ operation: 'put', reason })
  }

  async #read(tag: string): Promise<Uint8Array | undefined> {
    const { store, envelope } = this.#tools
    const id = indexRowId(tag)
    const row = await store.get(id)
    if (row === undefined) return undefined
    const text = textOf(await envelope.open(row.sealed, id, row.version))
    const key = text === undefined ? undefined : fromBase64url(text)
    if (key?.length === KEY_BYTES) return key
    throw new VaultCorruptError({ reason: 'its index row holds no key' })
  }

  /** A new key, where the vault has no row yet; `undefined` when another process was first. */
  async #make(tag: string): Promise<Uint8Array | undefined> {
    if (await this.#hasRows(tag)) {
      // Another process may have made the key, and rows, since we looked for it.
      const made = await this.#read(tag)
      if (made) return made
      throw new VaultCorruptError({
        reason:
          'its index row is missing, and the store has rows of it that cannot be found without. Restore the row, or remove the rows of this vault',
      })
    }
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES))
    return (await this.#create(tag, key)) ? key : undefined
  }

  async #create(tag: string, key: Uint8Array): Promise<boolean> {
    const { store, envelope } = this.#tools
    const id = indexRowId(tag)
    const version = 1
    const sealed = await envelope.seal(utf8(base64url(key)), id, version)
    return store.put(id, { sealed, version }, 0)
  }

  async #hasRows(tag: string): Promise<boolean> {
    let cursor: string | undefined
    do {
      const page = await this.#tools.store.scan(cursor)
      if (page.ids.some((id) => id.startsWith(tag))) return true
      if (page.cursor !== undefined && page.cursor === cursor) {
        throw new VaultUnavailableError({ operation: 'scan', reason: 'its cursor does not move' })
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return false
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}
