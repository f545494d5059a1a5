import { concat, tuple } from '../bytes.js'
import type { MaybePromise } from '../maybe-promise.js'
import { platformPrimitives } from './platform-primitives.js'
import type { Primitives } from './primitives.js'

/** What a row holds; part of its key, so that a row of one kind never opens as another. */
export type RowKind = 'grant' | 'lease' | 'consent-session' | 'connections' | 'signing-keys'

/** Whose row it is: a kind and a tuple. Never concatenated into a string. */
export interface RowKey {
  readonly kind: RowKind
  readonly owner: readonly (string | undefined)[]
}

/**
 * The id of a row, 64 lower-case hexadecimal characters: a hash of the length-prefixed tuple (vault name, kind, owner),
 * so that no two owners meet whatever characters their names have, and the store learns none of them. The ciphertext is
 * bound to it.
 *
 * @throws `TypeError` when a name holds a lone surrogate.
 */
export function rowAddress(
  vaultName: string,
  key: RowKey,
  primitives: Primitives = platformPrimitives(),
): MaybePromise<string> {
  return primitives.sha256Hex(
    concat(tuple('deputize vault', vaultName, key.kind), tuple(...key.owner)),
  )
}
