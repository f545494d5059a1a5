import { type Clock, SECOND_MS, systemClock } from './clock.js'

/** A wall clock may be set back by this much and still be believed. */
const MAX_SET_BACK_MS = SECOND_MS

/** A moment by both clocks of a machine: one can be set, the other may stand still while the machine sleeps. */
export class Moment {
  readonly #clock: Clock
  readonly #monotonic: () => number
  readonly #wallMs: number
  readonly #monotonicMs: number

  /** Now. */
  constructor(clock: Clock = systemClock, monotonic: () => number = () => performance.now()) {
    this.#clock = clock
    this.#monotonic = monotonic
    this.#wallMs = clock()
    this.#monotonicMs = monotonic()
  }

  /** Time since then by the clock that says more; `Infinity` where the wall clock was set back: any time may have passed. */
  elapsedMs(): number {
    const wallMs = this.#clock() - this.#wallMs
    return wallMs < -MAX_SET_BACK_MS ? Number.POSITIVE_INFINITY : Math.max(wallMs, this.ticksMs())
  }

  /** Time since then by the monotonic clock alone. */
  ticksMs(): number {
    return this.#monotonic() - this.#monotonicMs
  }
}
