import { randomId } from '../bytes.js'
import type { Clock } from '../clock.js'
import { REQUEST_TIMEOUT_MS } from '../http.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import { emptyGrant, type Grant, type GrantTarget, rowName } from './grant.js'
import type { Timing } from './timing.js'

/** A row that this process may go to the server for. */
export interface Claim {
  readonly held: Held<Grant>
  /** Whether the lease has not ended, by a clock that nobody sets. */
  isLive(): boolean
}

/** A lease as another process wrote it, and when it was first seen here. */
interface Seen {
  readonly version: number
  readonly sinceMs: number
}

/** Requests that one exchange may make: two for metadata, one for the token, and that one again. */
const REQUESTS = 4
const MAX_SEEN = 10_000

/**
 * Who may go to the server for a row: a lease in the row itself, taken by compare-and-set.
 *
 * It ends at its time by the wall clock, or once it was seen unchanged here for as long as a lease lasts: a clock that is
 * hours ahead on the machine that wrote it keeps nobody waiting.
 */
export class RowLeases {
  readonly #vault: TokenVault
  readonly #clock: Clock
  readonly #timing: Timing
  readonly #holder = randomId()
  readonly #seen = new Map<string, Seen>()

  constructor(vault: TokenVault, clock: Clock, timing: Timing) {
    this.#vault = vault
    this.#clock = clock
    this.#timing = timing
  }

  /** Whether another process holds the row right now. */
  heldElsewhere(target: GrantTarget, held: Held<Grant> | undefined): boolean {
    const lease = held?.value.lease
    const name = rowName(target.row)
    if (!held || !lease || lease.holder === this.#holder) {
      this.#seen.delete(name)
      return false
    }
    const nowMs = this.#timing.monotonic()
    let seen = this.#seen.get(name)
    if (seen?.version !== held.version) {
      seen = { version: held.version, sinceMs: nowMs }
      if (this.#seen.size >= MAX_SEEN) this.#seen.clear()
      this.#seen.set(name, seen)
    }
    return (
      lease.untilMs + this.#timing.skewMs > this.#clock() &&
      nowMs - seen.sinceMs < this.#lengthMs(target) + this.#timing.skewMs
    )
  }

  /**
   * Takes the row. It is a write, so a store that cannot be written is noticed before a refresh token is spent.
   *
   * @returns `undefined` when another writer was first.
   */
  async claim(target: GrantTarget, held: Held<Grant> | undefined): Promise<Claim | undefined> {
    const { monotonic } = this.#timing
    const lengthMs = this.#lengthMs(target)
    const sinceMs = monotonic()
    const lease = { holder: this.#holder, untilMs: this.#clock() + lengthMs }
    const value = { ...(held?.value ?? emptyGrant), lease }
    const version = await this.#vault.write(target.row, value, { replaces: held?.version ?? 0 })
    if (version === undefined) return undefined
    return { held: { value, version }, isLive: () => monotonic() - sinceMs < lengthMs }
  }

  #lengthMs(target: GrantTarget): number {
    const timeoutMs = target.server.options.timeoutMs ?? REQUEST_TIMEOUT_MS
    return this.#timing.leaseMs ?? REQUESTS * timeoutMs + this.#timing.leaseMarginMs
  }
}
