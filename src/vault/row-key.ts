import { concat, tuple } from '../bytes.js'
import { type MaybePromise, whenReady } from '../maybe-promise.js'
import type { Primitives, RowMac } from './primitives.js'

/** What a row holds; part of its key, so that a row of one kind never opens as another. */
export type RowKind =
  | 'grant'
  | 'lease'
  | 'consent-session'
  | 'connections'
  | 'signing-keys'
  | 'rewrap-place'

/** Whose row it is: a kind and a tuple. Never concatenated into a string. */
export interface RowKey {
  readonly kind: RowKind
  readonly owner: readonly (string | undefined)[]
}

/** Characters of an id that say which vault the row is of; the others say whose it is. */
const TAG_LENGTH = 16
const OWNER_LENGTH = 48
const INDEX_OWNER = '000000000000000000000000000000000000000000000000'

/** What the ids of all rows of a vault begin with: a hash of its name. */
export function vaultTag(vaultName: string, primitives: Primitives): MaybePromise<string> {
  const hash = primitives.sha256Hex(tuple('deputize vault tag', vaultName))
  return whenReady(hash, (hex) => hex.slice(0, TAG_LENGTH))
}

/**
 * The id of a row, 64 lower-case hexadecimal characters: the tag of its vault, and a MAC of the length-prefixed tuple
 * (vault name, kind, owner) under the vault's index key. No two owners meet, whatever characters their names have, and
 * who holds the store can neither read names nor find out whether a name that it guesses is there. The ciphertext is
 * bound to the id.
 *
 * @throws `TypeError` when a name holds a lone surrogate.
 */
export function rowAddress(
  tag: string,
  vaultName: string,
  key: RowKey,
  mac: RowMac,
): MaybePromise<string> {
  const owner = mac(concat(tuple('deputize vault', vaultName, key.kind), tuple(...key.owner)))
  return whenReady(owner, (hex) => tag + hex.slice(0, OWNER_LENGTH))
}

/** The id of the row that holds a vault's index key. */
export function indexRowId(tag: string): string {
  return tag + INDEX_OWNER
}

/** Whether a row holds an index key: all other rows of its vault can be found with it only. */
export function isIndexRowId(id: string): boolean {
  return id.endsWith(INDEX_OWNER)
}
