import { fromBase64url, hex } from '../bytes.js'
import { allReady, type MaybePromise, whenReady } from '../maybe-promise.js'
import { kindOf } from '../option-names.js'
import { platformPrimitives } from './platform-primitives.js'
import type { Primitives } from './primitives.js'

const KEY_ID_BYTES = 8

/** One key that rows are sealed with. */
export interface VaultKey {
  /** 1 to 1,024 bytes of UTF-8; stands in clear in each row sealed with the key. */
  readonly id: string
  /** 32 random bytes. Read when the object is first met, and never again: for other bytes, give another object. */
  readonly bytes: Uint8Array
}

/** Who asks a {@link KeyRing}. */
export interface KeyUse {
  /** The name of the vault. A ring that has its keys wrapped elsewhere binds them to it. */
  readonly vault: string
}

/**
 * The keys of a vault: rows are sealed with the newest and open with any. Made by {@link localKeys} and by `kmsKeys()`
 * of `deputize/aws`; implement it for a key service of your own.
 *
 * - A row carries the id of its key in clear, up to 1,024 bytes: a ring of data keys puts the wrapped key there.
 * - Both methods are asked at every row that is read or written: keep what is dear, for a while. Give the same object
 *   for the same key; what is derived from it is kept as long as the object.
 * - An answer may be a value or a promise. One that rejects, or takes longer than 10 s, becomes a
 *   `KeyUnavailableError` that can be tried again; an error of this library is passed on as it is.
 * - Bytes that the ring no longer keeps may be filled with zeros: a key of zeros is never used.
 */
export interface KeyRing {
  newest(use: KeyUse): VaultKey | Promise<VaultKey>
  /** The key of that id; `undefined` when the ring does not have it. */
  find(id: string, use: KeyUse): VaultKey | undefined | Promise<VaultKey | undefined>
  /** Whether `rewrap()` leaves rows sealed with that key as they are. Default: only those of the newest. */
  isCurrent?(id: string, use: KeyUse): boolean | Promise<boolean>
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
  const primitives = platformPrimitives()
  let ring: ReadonlyMap<string, VaultKey> | undefined
  /** Named at first use, and kept once that is done: nothing is begun before a request asks for it. */
  const named = () =>
    ring ??
    whenReady(allReady(keys.map((bytes) => nameKey(bytes, primitives))), (all) => {
      // Of two who were first at once one counts: what is derived from a key is kept by its object.
      ring ??= new Map(all.map((key) => [key.id, key]))
      return ring
    })
  return {
    newest: () => whenReady(named(), (ready) => ready.values().next().value!),
    find: (id) => whenReady(named(), (ready) => ready.get(id)),
  }
}

const advice =
  "Make one with: node -e \"console.log(require('crypto').randomBytes(32).toString('base64'))\""

function readKey(key: LocalKey): Uint8Array {
  const bytes = typeof key === 'string' ? decode(key) : key
  if (!(bytes instanceof Uint8Array) || bytes.length !== 32) {
    const got = bytes instanceof Uint8Array ? `${bytes.length} bytes` : `no base64 (${kindOf(key)})`
    const hint = key === undefined ? 'Is its environment variable set? ' : ''
    throw new TypeError(
      `A vault key must be 32 bytes, or their base64; got ${got}. ${hint}${advice}, and write: localKeys(key).`,
    )
  }
  if (bytes.every((byte) => byte === 0)) {
    throw new TypeError(`A vault key must be random; got 32 zero bytes. ${advice}.`)
  }
  return bytes.slice()
}

function decode(text: string): Uint8Array | undefined {
  return fromBase64url(text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'))
}

/** With an id that says nothing of the key: an HKDF output of its own. */
function nameKey(bytes: Uint8Array, primitives: Primitives): MaybePromise<VaultKey> {
  const id = primitives.derive(bytes, 'deputize vault key id', KEY_ID_BYTES)
  return whenReady(id, (derived) => ({ id: hex(derived), bytes }))
}

/** A ring of one random key, made at first use, that lives as long as this process. */
export function randomKeys(): KeyRing {
  let ring: KeyRing | undefined
  const own = () => {
    ring ??= localKeys(crypto.getRandomValues(new Uint8Array(32)))
    return ring
  }
  return { newest: (use) => own().newest(use), find: (id, use) => own().find(id, use) }
}
