import { concat, hex, sha256, tuple } from '../bytes.js'

/** What a row holds; part of its key, so that a row of one kind never opens as another. */
export type RowKind = 'grant' | 'consent-session' | 'connections' | 'signing-keys'

/** Whose row it is: a kind and a tuple. Never concatenated into a string. */
export interface RowKey {
  readonly kind: RowKind
  readonly owner: readonly (string | undefined)[]
}

/** Where the row lies, and what its ciphertext is bound to. */
export interface RowAddress {
  /** 64 lower-case hexadecimal characters. */
  readonly id: string
  readonly bound: Uint8Array<ArrayBuffer>
}

/**
 * The address of a row: a hash of the length-prefixed tuple (vault name, kind, owner), so that no two owners meet
 * whatever characters their names have, and the store learns none of them.
 *
 * @throws `TypeError` when a name holds a lone surrogate.
 */
export async function rowAddress(vaultName: string, key: RowKey): Promise<RowAddress> {
  const bound = concat(tuple('deputize vault', vaultName, key.kind), tuple(...key.owner))
  return { id: hex(await sha256(bound)), bound }
}
