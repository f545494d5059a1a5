import { randomId } from '../bytes.js'
import { type Clock, MINUTE_MS, SECOND_MS } from '../clock.js'
import { Flight } from '../flight.js'
import { Moment } from '../moment.js'
import type { RowState } from '../vault/change-row.js'
import type { RowKey } from '../vault/row-key.js'
import type { TokenVault } from '../vault/token-vault.js'
import { type LeaseRow, LeaseWatch } from './lease-watch.js'
import { pause } from './pause.js'

/** How long leases last, in milliseconds. Tests and proofs pass shorter times. */
export interface LeaseTiming {
  /** A lease ends this long after it was taken or renewed last. */
  readonly leaseMs: number
  /** How much longer others wait before they take it over. */
  readonly skewMs: number
  /** The first wait of who finds the row taken; each further one is three times as long, up to a second. */
  readonly pollMs: number
  /** Time that only goes forward. It may stand still while the machine sleeps. */
  readonly monotonic: () => number
}

export const leaseTiming: LeaseTiming = Object.freeze({
  leaseMs: 5 * SECOND_MS,
  skewMs: SECOND_MS,
  pollMs: 150,
  monotonic: () => performance.now(),
})

const MAX_PAUSE_MS = SECOND_MS
/** A lease is renewed when this share of it is over. */
const RENEW_SHARE = 1 / 4
/** What was watched is written into the row once it is this share of a lease. */
const NOTE_SHARE = 1 / 10
/** The store may drop a row with this time at once. */
const LONG_AGO_MS = 1
const TRIES = 5
/** Not renewed for longer than this: what it was taken for never ends. */
const MAX_HELD_MS = MINUTE_MS

export class RowLeases {
  readonly #vault: TokenVault
  readonly #timing: LeaseTiming
  readonly #clock: Clock
  /** Whether the store was seen to hold on to rows that it may drop; then the version of a free row must be looked up. */
  #storeKeepsFreed = false

  constructor(vault: TokenVault, timing: LeaseTiming, clock: Clock) {
    this.#vault = vault
    this.#timing = timing
    this.#clock = clock
  }

  /** A lease that nobody has taken yet. */
  of(row: RowKey): RowLease {
    const keepsFreed = (seen?: true) => {
      this.#storeKeepsFreed ||= seen ?? false
      return this.#storeKeepsFreed
    }
    return new RowLease(this.#vault, row, this.#timing, this.#clock, keepsFreed)
  }
}

/**
 * The right to go to the server for one row, and to write what came of it: a small row of its own, taken by
 * compare-and-set, renewed while it is in use, and given back.
 *
 * The holder measures by both clocks of its machine ({@link Moment}), the others by their own monotonic clock only, from look
 * to look: a clock that is wrong takes nothing. A holder that died is followed after `leaseMs` and `skewMs`.
 */
export class RowLease {
  readonly #vault: TokenVault
  readonly #key: RowKey
  readonly #timing: LeaseTiming
  readonly #clock: Clock
  readonly #holder = randomId()
  readonly #watch = new LeaseWatch()
  readonly #keepsFreed: (seen?: true) => boolean
  #takenAt: Moment | undefined
  #renewedAt: Moment | undefined
  #version = 0
  #beat = 0
  #sent = false
  #unsure = false
  #tookOver = false
  #waits = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #renewing: Flight<void> | undefined

  /**
   * @param row Of the grant that it is for.
   * @param keepsFreed Whether the store was seen to keep rows that it may drop; told when it does.
   */
  constructor(
    vault: TokenVault,
    row: RowKey,
    timing: LeaseTiming,
    clock: Clock,
    keepsFreed: (seen?: true) => boolean = () => true,
  ) {
    this.#vault = vault
    this.#key = { kind: 'lease', owner: row.owner }
    this.#timing = timing
    this.#clock = clock
    this.#keepsFreed = keepsFreed
  }

  /** Whether it was taken from a process that may still try to write. */
  get tookOver(): boolean {
    return this.#tookOver
  }

  /** Whether it has not ended. */
  isLive(): boolean {
    return this.#hasLeft(0)
  }

  /**
   * Whether a request may go out now: a whole request is left, or half of the lease where that is shorter. From then on
   * the lease is renewed even where it is late: as long as nobody took it, the others are to be kept off.
   */
  maySend(timeoutMs: number): boolean {
    const may = this.#hasLeft(Math.min(timeoutMs, this.#timing.leaseMs / 2))
    this.#sent ||= may
    // Who stood still for so long is not let in by a renewal that comes before the next question.
    if (!may) this.#renewedAt = undefined
    return may
  }

  /**
   * Takes the row where nobody has it. It is a write, so a store that cannot be written is noticed before a refresh token
   * is spent.
   *
   * @throws {@link VaultUnavailableError}
   */
  async take(): Promise<boolean> {
    if (await this.#put(0)) return true
    if (!this.#keepsFreed()) return false
    const row = await this.#look()
    return isFree(row) && (await this.#put(row.version))
  }

  /**
   * Waits for whoever has the row.
   *
   * @returns Whether it was taken: over from a holder that died, or as it was given back. `false`: there is no row.
   * @throws {@link VaultUnavailableError}
   */
  async outwait(): Promise<boolean> {
    const { monotonic, leaseMs, skewMs } = this.#timing
    const enoughMs = leaseMs + skewMs
    let leftMs = enoughMs
    for (;;) {
      await this.pause(leftMs)
      const beganMs = monotonic()
      const row = await this.#look()
      if (row.version === 0) return false
      if (isFree(row)) {
        this.#keepsFreed(true)
        return this.#put(row.version)
      }
      const knownMs = this.#watch.see(row, beganMs, monotonic())
      leftMs = enoughMs - knownMs
      if (leftMs > 0) await this.#note(row, knownMs)
      else if (await this.#put(row.version)) {
        this.#tookOver = true
        return true
      }
    }
  }

  /** Waits a while, each time longer, and not much longer than `mostMs`. */
  async pause(mostMs = Number.POSITIVE_INFINITY): Promise<void> {
    const longestMs = Math.min(MAX_PAUSE_MS, this.#timing.pollMs * 3 ** Math.min(this.#waits++, 9))
    await pause(Math.max(1, Math.min(longestMs, mostMs)))
  }

  /**
   * Has the row again where the lease has ended, to write what the server gave; waits for whoever has it now.
   *
   * @throws {@link VaultUnavailableError}
   */
  async regain(): Promise<void> {
    await this.#settled()
    while (!this.isLive()) {
      const row = await this.#look()
      if (row.version === 0 || isFree(row) || row.value?.holder === this.#holder) {
        await this.#put(row.version)
      } else {
        await this.outwait()
      }
    }
  }

  /** Gives the row back, if it is still this holder's. A store that fails keeps it until it ends by itself. */
  async release(): Promise<void> {
    await this.#settled()
    this.#renewedAt = undefined
    this.#sent = false
    this.#tookOver = false
    if (this.#version === 0) {
      // Whether it was taken is not known. Nobody waits for a store that fails to answer.
      if (this.#unsure) void this.#giveBack()
      return
    }
    await this.#giveBack()
  }

  async #giveBack(): Promise<void> {
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        if (this.#version === 0 && !(await this.#findOwn())) return
        const free: LeaseRow = { beat: this.#beat, unchangedMs: 0 }
        const options = { replaces: this.#version, keepUntilMs: LONG_AGO_MS }
        this.#version = 0
        if ((await this.#vault.write(this.#key, free, options)) !== undefined) return
      }
    } catch {
      // It ends by itself.
    }
  }

  async #put(replaces: number): Promise<boolean> {
    const at = new Moment(this.#clock, this.#timing.monotonic)
    const value: LeaseRow = { holder: this.#holder, beat: ++this.#beat, unchangedMs: 0 }
    this.#unsure = true
    const version = await this.#vault.write(this.#key, value, { replaces })
    this.#unsure = false
    if (version === undefined) return false
    if (this.#renewing === undefined) this.#takenAt = at
    this.#version = version
    this.#renewedAt = at
    this.#renewLater()
    return true
  }

  #renewLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#renewing = new Flight(() =>
        this.#renew().finally(() => {
          this.#renewing = undefined
        }),
      )
    }, this.#timing.leaseMs * RENEW_SHARE)
    ;(this.#timer as { unref?: () => void }).unref?.()
  }

  /** A lease that has ended before a request went out is not renewed: whoever waits is let in. */
  async #renew(): Promise<void> {
    if (!this.#sent && !this.isLive()) return
    if (this.#takenAt!.ticksMs() > MAX_HELD_MS) return
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        if (await this.#put(this.#version)) return
        // A process that waits may have noted what it saw: the row is of another version then, and still this holder's.
        if (!(await this.#findOwn())) {
          this.#renewedAt = undefined
          return
        }
      }
    } catch {
      // The store fails: it may be back before the lease has ended.
    }
    this.#renewLater()
  }

  async #findOwn(): Promise<boolean> {
    const { value, version } = await this.#look()
    const isOwn = value?.holder === this.#holder
    this.#version = isOwn ? version : 0
    return isOwn
  }

  #look(): Promise<RowState<LeaseRow>> {
    return this.#vault.look<LeaseRow>(this.#key)
  }

  async #settled(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#renewing?.join()
    clearTimeout(this.#timer)
  }

  /** Writes for how long the lease was seen, so that processes that live for seconds together outwait one that died. */
  async #note({ value, version }: RowState<LeaseRow>, knownMs: number): Promise<void> {
    if (!value || knownMs - value.unchangedMs < this.#timing.leaseMs * NOTE_SHARE) return
    const noted: LeaseRow = { ...value, unchangedMs: Math.floor(knownMs) }
    await this.#vault.write(this.#key, noted, { replaces: version })
  }

  #hasLeft(leftMs: number): boolean {
    const at = this.#renewedAt
    return at !== undefined && at.elapsedMs() < this.#timing.leaseMs - leftMs
  }
}

function isFree({ value }: RowState<LeaseRow>): boolean {
  return value !== undefined && value.holder === undefined
}
