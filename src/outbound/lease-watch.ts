import type { RowState } from '../vault/change-row.js'

/** The row of a lease. */
export interface LeaseRow {
  /** Who may go to the server; absent once it was given back. */
  readonly holder?: string
  /** Grows with each renewal. */
  readonly beat: number
  /** For how long other processes together have seen this beat, in milliseconds. */
  readonly unchangedMs: number
}

/**
 * How long one process knows a lease of another to be unchanged. Clocks of two machines are never compared: what counts is
 * the time between two looks by this process's monotonic clock, and what other processes wrote of theirs into the row.
 */
export class LeaseWatch {
  #beat = ''
  #knownMs = 0
  #atMs = 0

  /**
   * Takes one look into account.
   *
   * @param beganMs When the look began, by the monotonic clock: at the earliest then the row was as it says.
   * @param endedMs When it ended: at the latest then.
   * @returns For how long the lease is known to be unchanged, in milliseconds. Never more than it was.
   */
  see(row: RowState<LeaseRow>, beganMs: number, endedMs: number): number {
    const { value, version } = row
    // A row that does not open has no beat; whoever writes it changes its version.
    const beat = value ? JSON.stringify([value.holder, value.beat]) : `version ${version}`
    const noted = value?.unchangedMs ?? 0
    if (beat !== this.#beat) {
      this.#beat = beat
      this.#knownMs = noted
      this.#atMs = endedMs
      return noted
    }
    // Others may have watched in the same time: the longer of the two counts, not the sum.
    this.#knownMs = Math.max(this.#knownMs + Math.max(0, beganMs - this.#atMs), noted)
    this.#atMs = Math.max(this.#atMs, beganMs)
    return this.#knownMs
  }
}
