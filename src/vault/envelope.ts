import { isWellFormed, textOf, utf8 } from '../bytes.js'
import { isDeputizeError } from '../errors/base.js'
import { KeyUnavailableError, VaultCorruptError } from '../errors/vault.js'
import { isPromise, type MaybePromise, whenReady } from '../maybe-promise.js'
import type { KeyRing, KeyUse, VaultKey } from './key-ring.js'
import { platformPrimitives } from './platform-primitives.js'
import { NONCE_BYTES, type Primitives, type RowCipher, TAG_BYTES } from './primitives.js'

/*
 * One sealed row:
 *
 *   format (1 byte) | length of key id (2) | key id | commitment (32) | nonce (12) | ciphertext and tag (16 at least)
 *
 * The additional data is: id of the row (64) | version (8) | all that stands before the nonce. The id stands
 * for the vault's name, the kind and the owner, so that a row can be sealed anew by whoever knows where it lies. AES-GCM alone
 * would let one ciphertext open under two keys; the commitment, an output of the key itself, is compared first.
 */
const FORMAT = 2
const PREFIX_BYTES = 3
const COMMITMENT_BYTES = 32
const ROW_ID_LENGTH = 64
const VERSION_BYTES = 8

/** The longest id of a key, in bytes of UTF-8. */
export const MAX_KEY_ID_BYTES = 1_024
/** How long a key ring may take to answer. */
export const KEY_RING_DEADLINE_MS = 10_000

interface SealingKey {
  /** What rows sealed with the key start with. */
  readonly head: Uint8Array
  /** The additional data, with room for a row's id and version: written over for each row, and read at once. */
  readonly additional: Uint8Array
  readonly cipher: RowCipher
}

/** How an {@link Envelope} asks its ring. */
export interface EnvelopeOptions {
  /** The vault that asks. Default `default`. */
  readonly vault?: string
  /** Default {@link KEY_RING_DEADLINE_MS}. */
  readonly deadlineMs?: number
  readonly primitives?: Primitives
}

/** Seals and opens rows with the keys of a ring (AES-256-GCM, NIST SP 800-38D). */
export class Envelope {
  readonly #ring: KeyRing
  readonly #use: KeyUse
  readonly #deadlineMs: number
  readonly #primitives: Primitives
  /** By the key object and not by its id: another key under one id is another key, and what was derived dies with it. */
  readonly #derived = new WeakMap<VaultKey, SealingKey>()
  /** The key id met last, so that most rows need no decoding of theirs. */
  #last = { id: '', bytes: new Uint8Array() as Uint8Array }

  constructor(ring: KeyRing, options: EnvelopeOptions = {}) {
    this.#ring = ring
    this.#use = Object.freeze({ vault: options.vault ?? 'default' })
    this.#deadlineMs = options.deadlineMs ?? KEY_RING_DEADLINE_MS
    this.#primitives = options.primitives ?? platformPrimitives()
  }

  /**
   * Seals with the newest key under a fresh 96-bit nonce. One key is good for 2^32 rows written.
   *
   * @throws {@link KeyUnavailableError}
   */
  async seal(plain: Uint8Array, rowId: string, version: number): Promise<Uint8Array<ArrayBuffer>> {
    const found = this.#sealingKey(undefined)
    const { head, additional, cipher } = isPromise(found) ? await found : found
    const nonceAt = head.length
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
    const bound = additionalData(additional, rowId, version)
    const body = await cipher.seal(nonce, bound, plain)
    const sealed = new Uint8Array(nonceAt + NONCE_BYTES + body.length)
    sealed.set(head)
    sealed.set(nonce, nonceAt)
    sealed.set(body, nonceAt + NONCE_BYTES)
    return sealed
  }

  /**
   * @throws {@link VaultCorruptError} The row was changed, cut, or is another's.
   * @throws {@link KeyUnavailableError} Its key is not in the ring, or the ring did not answer.
   */
  async open(sealed: Uint8Array, rowId: string, version: number): Promise<Uint8Array> {
    const keyId = this.keyIdOf(sealed)
    const found = this.#sealingKey(keyId)
    const { head, additional, cipher } = isPromise(found) ? await found : found
    if (!startsWith(sealed, head)) {
      throw new VaultCorruptError({ reason: 'its key is another key of the same id' })
    }
    const opened = cipher.open(sealed, head.length, additionalData(additional, rowId, version))
    const plain = isPromise(opened) ? await opened : opened
    if (plain === undefined) {
      throw new VaultCorruptError({ reason: "it was changed, or is another owner's or version's" })
    }
    return plain
  }

  /**
   * Reads from the header the id of the key that a row was sealed with, without a key.
   *
   * @throws {@link VaultCorruptError} It is no row.
   */
  keyIdOf(sealed: Uint8Array): string {
    if (sealed[0] !== FORMAT) {
      throw new VaultCorruptError({
        reason: sealed.length === 0 ? 'it is empty' : 'its format is not known to this version',
      })
    }
    const length = (sealed[1] ?? 0) * 256 + (sealed[2] ?? 0)
    const least = PREFIX_BYTES + length + COMMITMENT_BYTES + NONCE_BYTES + TAG_BYTES
    if (length < 1 || length > MAX_KEY_ID_BYTES || sealed.length < least) throw garbled()
    const last = this.#last
    if (last.bytes.length === length && hasAt(sealed, PREFIX_BYTES, last.bytes)) return last.id
    const bytes = sealed.slice(PREFIX_BYTES, PREFIX_BYTES + length)
    const id = textOf(bytes)
    if (id === undefined) throw garbled()
    this.#last = { id, bytes }
    return id
  }

  /** @throws {@link KeyUnavailableError} */
  async newestKeyId(): Promise<string> {
    const key = await this.#find(undefined)
    if (key) return key.id
    throw new KeyUnavailableError({ reason: 'the key ring has no newest key' })
  }

  /**
   * Whether rows sealed with that key need no other.
   *
   * @throws {@link KeyUnavailableError} The ring did not answer.
   */
  async isCurrent(keyId: string): Promise<boolean> {
    const ring = this.#ring
    if (!ring.isCurrent) return (await this.#find(undefined))?.id === keyId
    // Only `true` leaves a row as it is: sealing it once more does no harm.
    return (await this.#inTime((async () => ring.isCurrent!(keyId, this.#use))())) === true
  }

  /** The key of that id, or the newest, made ready. */
  #sealingKey(keyId: string | undefined): MaybePromise<SealingKey> {
    const found = this.#find(keyId)
    if (isPromise(found)) return found.then((key) => this.#ready(key, keyId))
    return this.#ready(found, keyId)
  }

  /** The ring's answer; its failure or silence is a {@link KeyUnavailableError}. */
  #find(keyId: string | undefined): MaybePromise<VaultKey | undefined> {
    let answer: MaybePromise<VaultKey | undefined>
    try {
      answer =
        keyId === undefined ? this.#ring.newest(this.#use) : this.#ring.find(keyId, this.#use)
    } catch (cause) {
      throw ringFailure(cause)
    }
    return isPromise(answer) ? this.#inTime(answer) : answer
  }

  #ready(key: VaultKey | undefined, keyId: string | undefined): MaybePromise<SealingKey> {
    if (!key) {
      const reason = keyId === undefined ? 'the key ring has no newest key' : 'no key of that id'
      throw new KeyUnavailableError({ reason })
    }
    const known = this.#derived.get(key)
    if (known) return known
    // A ring that keeps keys for a while wipes them. One wiped between its answer and now is asked for again.
    if (isWiped(key)) return whenReady(this.#find(keyId), (again) => this.#make(again ?? key))
    return this.#make(key)
  }

  #make(key: VaultKey): MaybePromise<SealingKey> {
    // Kept once it is there: a promise would be of one request alone.
    return whenReady(makeReady(key, this.#primitives), (made) => {
      this.#derived.set(key, made)
      return made
    })
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const deadline = new Promise<never>((_, reject) => {
      const reason = `the key ring gave no answer in ${this.#deadlineMs} ms`
      timer = setTimeout(
        () => reject(new KeyUnavailableError({ reason, retryable: true })),
        this.#deadlineMs,
      )
    })
    try {
      return await Promise.race([answer, deadline])
    } catch (cause) {
      throw ringFailure(cause)
    } finally {
      clearTimeout(timer)
    }
  }
}

function ringFailure(cause: unknown): Error {
  if (isDeputizeError(cause)) return cause
  return new KeyUnavailableError({ reason: 'the key ring failed', cause, retryable: true })
}

function garbled(): VaultCorruptError {
  return new VaultCorruptError({ reason: 'it is cut short or garbled' })
}

const isWiped = (key: VaultKey): boolean =>
  key.bytes instanceof Uint8Array && key.bytes.every((byte) => byte === 0)

function makeReady(key: VaultKey, primitives: Primitives): MaybePromise<SealingKey> {
  if (!(key.bytes instanceof Uint8Array) || key.bytes.length !== 32) {
    throw new KeyUnavailableError({ reason: 'the key ring gave a key that is not 32 bytes' })
  }
  if (isWiped(key)) {
    throw new KeyUnavailableError({ reason: 'the key ring gave a key of zeros', retryable: true })
  }
  const id = typeof key.id === 'string' && isWellFormed(key.id) ? utf8(key.id) : new Uint8Array()
  if (id.length < 1 || id.length > MAX_KEY_ID_BYTES) {
    throw new KeyUnavailableError({ reason: `its id is not 1 to ${MAX_KEY_ID_BYTES} bytes long` })
  }
  const sealing = primitives.derive(key.bytes, 'deputize vault v1 seal', 32)
  const commitment = primitives.derive(key.bytes, 'deputize vault v1 commit', COMMITMENT_BYTES)
  return whenReady(sealing, (bytes) =>
    whenReady(primitives.cipher(bytes), (cipher) =>
      whenReady(commitment, (committed) => {
        bytes.fill(0)
        const head = new Uint8Array(PREFIX_BYTES + id.length + COMMITMENT_BYTES)
        head.set([FORMAT, id.length >> 8, id.length & 255])
        head.set(id, PREFIX_BYTES)
        head.set(committed, PREFIX_BYTES + id.length)
        const additional = new Uint8Array(ROW_ID_LENGTH + VERSION_BYTES + head.length)
        additional.set(head, ROW_ID_LENGTH + VERSION_BYTES)
        return { head, additional, cipher }
      }),
    ),
  )
}

/**
 * Writes the id and the version of a row into `bytes`.
 *
 * @throws `TypeError` when `rowId` is none: written as bytes, two could become one.
 */
function additionalData(bytes: Uint8Array, rowId: string, version: number): Uint8Array {
  if (rowId.length !== ROW_ID_LENGTH) throw new TypeError('A row id has 64 characters.')
  for (let at = 0; at < ROW_ID_LENGTH; at++) {
    const code = rowId.charCodeAt(at)
    if (code > 127) throw new TypeError('A row id is hexadecimal.')
    bytes[at] = code
  }
  const [high, low] = [Math.floor(version / 2 ** 32), version >>> 0]
  for (let at = 0; at < 4; at++) {
    bytes[ROW_ID_LENGTH + at] = high >>> (24 - 8 * at)
    bytes[ROW_ID_LENGTH + 4 + at] = low >>> (24 - 8 * at)
  }
  return bytes
}

/** In time that depends on the lengths alone. */
function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && hasAt(bytes, 0, start)
}

function hasAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  let difference = 0
  for (let n = 0; n < part.length; n++) difference |= bytes[at + n]! ^ part[n]!
  return difference === 0
}
