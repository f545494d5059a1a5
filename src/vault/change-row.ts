import { type VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'

/** What stands in a row's place. */
export interface RowState<T> {
  /** `undefined` where there is no row, and where the row does not open. */
  readonly value: T | undefined
  /** 0 where there is no row. */
  readonly version: number
  /** Why the row does not open. It can be replaced by its version. */
  readonly corrupt?: VaultCorruptError
}

/** A row as it is to be. */
export interface RowChange<T> {
  readonly value: T
  /** Milliseconds since the epoch after which the store may drop it. */
  readonly keepUntilMs?: number | undefined
}

/** Gives the new row; `undefined` leaves it as it is. Runs again when another writer was first. */
export type ApplyChange<T> = (
  row: RowState<T>,
) => RowChange<T> | undefined | Promise<RowChange<T> | undefined>

/** What {@link changeRow} needs of a vault. */
export interface RowAccess<T> {
  look(): Promise<RowState<T>>
  /** @returns Whether it wrote: `false` when the row is no longer of the version `replaces`. */
  write(change: RowChange<T>, replaces: number): Promise<boolean>
}

/** One writer wins each round, so this many are needed only when that many write at once. */
const MAX_TRIES = 50
const FIRST_PAUSE_MS = 4
const MAX_PAUSE_MS = 250

/**
 * Changes one row by compare-and-set until it is written. Who loses to another process waits a little before the next
 * try, each for another time (exponential backoff with full jitter).
 *
 * @returns The change that was written; `undefined` when `apply` left the row as it is.
 * @throws {@link VaultUnavailableError} The store failed, or others wrote first 50 times in a row, about six seconds.
 */
export async function changeRow<T>(
  row: RowAccess<T>,
  apply: ApplyChange<T>,
): Promise<RowChange<T> | undefined> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const now = await row.look()
    const change = await apply(now)
    if (change === undefined) return undefined
    if (await row.write(change, now.version)) return change
    const longestMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10))
    await pause(Math.random() * longestMs)
  }
  throw new VaultUnavailableError({
    operation: 'put',
    reason: 'the row changes faster than it can be written',
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
