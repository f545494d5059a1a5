import { base64url, fromBase64url, hex, utf8 } from '../bytes.js'

/** One key that rows are sealed with. */
export interface VaultKey {
  /** 1 to 255 bytes of UTF-8; stands in clear in each row sealed with the key. */
  readonly id: string
  /** 32 random bytes. */
  readonly bytes: Uint8Array
}

/** The keys of a vault: rows are sealed with the newest and open with any. */
export interface KeyRing {
  newest(): Promise<VaultKey>
  /** The key of that id; `undefined` when the ring does not have it. */
  find(id: string): Promise<VaultKey | undefined>
}

/** 32 bytes, or their base64 or base64url. */
export type LocalKey = Uint8Array | string

/**
 * A key ring of keys at hand: the newest first. A passphrase is refused, since it can be guessed.
 *
 * @throws `TypeError` A key is not 32 bytes, or all zeros.
 */
export function localKeys(newest: LocalKey, ...older: readonly LocalKey[]): KeyRing {
  const keys = [newest, ...older].map(readKey)
  const ring = Promise.all(keys.map(async (bytes) => ({ id: await keyId(bytes), bytes })))
  ring.catch(() => {}) // whoever uses the ring sees the failure
  return {
    newest: async () => (await ring)[0]!,
    find: async (id) => (await ring).find((key) => key.id === id),
  }
}

const advice =
  "Make one with: node -e \"console.log(require('crypto').randomBytes(32).toString('base64'))\""

function readKey(key: LocalKey): Uint8Array {
  const bytes = typeof key === 'string' ? decode(key) : key
  if (!(bytes instanceof Uint8Array) || bytes.length !== 32) {
    const got = bytes instanceof Uint8Array ? `${bytes.length} bytes` : `no base64 (${typeof key})`
    throw new TypeError(`A vault key must be 32 bytes, or their base64; got ${got}. ${advice}`)
  }
  if (bytes.every((byte) => byte === 0)) {
    throw new TypeError(`A vault key must be random; got 32 zero bytes. ${advice}`)
  }
  return bytes.slice()
}

function decode(text: string): Uint8Array | undefined {
  return fromBase64url(text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'))
}

/** An id that says nothing of the key: an HKDF output of its own. */
async function keyId(bytes: Uint8Array): Promise<string> {
  return hex(await derive(bytes, 'deputize vault key id', 8))
}

/** HKDF-SHA-256 (RFC 5869) without salt: the input is a uniformly random key. */
export async function derive(
  bytes: Uint8Array,
  purpose: string,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', bytes.slice(), 'HKDF', false, ['deriveBits'])
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8(purpose) },
    key,
    length * 8,
  )
  return new Uint8Array(bits)
}

/** A ring of one random key that lives as long as this process. */
export function randomKeys(): KeyRing {
  return localKeys(base64url(crypto.getRandomValues(new Uint8Array(32))))
}
