/** One stored row. */
export interface VaultRow {
  /** Ciphertext. The store neither reads nor changes it. */
  readonly sealed: Uint8Array
  /** Set by the writer, 1 or more; a store compares it and never computes it. */
  readonly version: number
  /** Milliseconds since the epoch after which the store may drop the row; absent means keep. */
  readonly keepUntilMs?: number | undefined
}

/** One page of ids. */
export interface VaultScan {
  readonly ids: readonly string[]
  /** Pass it on for the next page; absent on the last. */
  readonly cursor?: string | undefined
}

/**
 * Where sealed rows live: four methods, no transactions. Ids are 64 lower-case hexadecimal characters, a hash of the
 * owner; a store may use them as keys as they are.
 *
 * Run `describeVaultStore()` from `deputize/testing` against your implementation; the rules below are its tests.
 *
 * - `get` resolves to `undefined` for a missing row, and may do so for one past its `keepUntilMs`. It never rejects
 *   for that. What it returns is the caller's: changing it does not change the store.
 * - `put` without `replaces` writes whatever is there. With `replaces` it writes only when the stored version is
 *   exactly that number (`0`: only when there is no row) and resolves to whether it wrote. The check and the write
 *   are one step, also between processes.
 * - `delete` of a missing row resolves.
 * - `scan` lists the ids of all rows, page by page. A row that is there throughout is listed at least once. A cursor is
 *   good later and in another process, too, or `scan` rejects it.
 * - Any method rejects when the backend is down; the library reports that as `VaultUnavailableError`.
 */
export interface VaultStore {
  get(id: string): Promise<VaultRow | undefined>
  put(id: string, row: VaultRow, options?: { readonly replaces?: number }): Promise<boolean>
  delete(id: string): Promise<void>
  scan(cursor?: string): Promise<VaultScan>
}
