import { concat, equalBytes, textOf, uint32, utf8 } from '../bytes.js'
import { KeyUnavailableError, VaultCorruptError } from '../errors/vault.js'
import { derive, type KeyRing, type VaultKey } from './key-ring.js'

/*
 * One sealed row:
 *
 *   format (1 byte) | length of key id (1) | key id | commitment (32) | nonce (12) | ciphertext and tag (16 at least)
 *
 * The additional data binds it to its owner, its version and all that stands before the nonce. AES-GCM alone would let
 * one ciphertext open under two keys; the commitment, an output of the key itself, is compared first.
 */
const FORMAT = 1
const COMMITMENT_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MAX_KEYS_KEPT = 64

interface SealingKey {
  readonly aes: CryptoKey
  readonly commitment: Uint8Array
}

/** Seals and opens rows with the keys of a ring (AES-256-GCM, NIST SP 800-38D). */
export class Envelope {
  readonly #ring: KeyRing
  readonly #derived = new Map<string, Promise<SealingKey>>()

  constructor(ring: KeyRing) {
    this.#ring = ring
  }

  /**
   * Seals with the newest key under a fresh 96-bit nonce. One key is good for 2^32 rows written.
   *
   * @throws {@link KeyUnavailableError}
   */
  async seal(
    plain: Uint8Array,
    bound: Uint8Array,
    version: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const key = await this.#key(() => this.#ring.newest())
    if (!key) throw new KeyUnavailableError({ reason: 'the key ring has no newest key' })
    const id = utf8(key.id)
    if (id.length < 1 || id.length > 255) {
      throw new KeyUnavailableError({ reason: 'its id is not 1 to 255 bytes long' })
    }
    const { aes, commitment } = await this.#derive(key)
    const head = concat(new Uint8Array([FORMAT, id.length]), id, commitment)
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
    const body = await crypto.subtle.encrypt(
      parameters(nonce, additionalData(bound, version, head)),
      aes,
      plain.slice(),
    )
    return concat(head, nonce, new Uint8Array(body))
  }

  /**
   * @throws {@link VaultCorruptError} The row was changed, cut, or is another's.
   * @throws {@link KeyUnavailableError} Its key is not in the ring.
   */
  async open(
    sealed: Uint8Array,
    bound: Uint8Array,
    version: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (sealed[0] !== FORMAT) {
      throw new VaultCorruptError({
        reason: sealed.length === 0 ? 'it is empty' : 'its format is not known to this version',
      })
    }
    const idLength = sealed[1] ?? 0
    const headLength = 2 + idLength + COMMITMENT_BYTES
    const id = textOf(sealed.subarray(2, 2 + idLength))
    if (idLength < 1 || id === undefined || sealed.length < headLength + NONCE_BYTES + TAG_BYTES) {
      throw new VaultCorruptError({ reason: 'it is cut short or garbled' })
    }
    const key = await this.#key(() => this.#ring.find(id))
    if (!key) throw new KeyUnavailableError({ reason: 'no key of that id' })
    const { aes, commitment } = await this.#derive(key)
    const head = sealed.slice(0, headLength)
    if (!equalBytes(head.subarray(2 + idLength), commitment)) {
      throw new VaultCorruptError({ reason: 'its key is another key of the same id' })
    }
    const nonce = sealed.slice(headLength, headLength + NONCE_BYTES)
    const body = sealed.slice(headLength + NONCE_BYTES)
    try {
      const plain = await crypto.subtle.decrypt(
        parameters(nonce, additionalData(bound, version, head)),
        aes,
        body,
      )
      return new Uint8Array(plain)
    } catch {
      throw new VaultCorruptError({ reason: "it was changed, or is another owner's or version's" })
    }
  }

  async #key(find: () => Promise<VaultKey | undefined>): Promise<VaultKey | undefined> {
    try {
      return await find()
    } catch (cause) {
      throw new KeyUnavailableError({ reason: 'the key ring failed', cause, retryable: true })
    }
  }

  #derive(key: VaultKey): Promise<SealingKey> {
    const known = this.#derived.get(key.id)
    if (known) return known
    const made = deriveKey(key)
    if (this.#derived.size >= MAX_KEYS_KEPT) {
      this.#derived.delete(this.#derived.keys().next().value!)
    }
    this.#derived.set(key.id, made)
    made.catch(() => this.#derived.delete(key.id))
    return made
  }
}

async function deriveKey(key: VaultKey): Promise<SealingKey> {
  if (!(key.bytes instanceof Uint8Array) || key.bytes.length !== 32) {
    throw new KeyUnavailableError({ reason: 'the key ring gave a key that is not 32 bytes' })
  }
  const [bytes, commitment] = await Promise.all([
    derive(key.bytes, 'deputize vault v1 seal', 32),
    derive(key.bytes, 'deputize vault v1 commit', COMMITMENT_BYTES),
  ])
  const aes = await crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt'])
  return { aes, commitment }
}

function parameters(
  iv: Uint8Array<ArrayBuffer>,
  additional: Uint8Array<ArrayBuffer>,
): AesGcmParams {
  return { name: 'AES-GCM', iv, additionalData: additional, tagLength: TAG_BYTES * 8 }
}

function additionalData(
  bound: Uint8Array,
  version: number,
  head: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const count = new Uint8Array(8)
  new DataView(count.buffer).setBigUint64(0, BigInt(version))
  return concat(uint32(bound.length), bound, count, head)
}
