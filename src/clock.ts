import { abandon } from './maybe-promise.js'

/** The time now, in milliseconds since the epoch. Tests pass their own. */
export type Clock = () => number

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** The machine's wall clock. */
export const systemClock: Clock = () => Date.now()

/**
 * The option `clock`; left out: {@link systemClock}. What it answers is checked at each call, since a time that is no
 * number would be before every expiry.
 *
 * @throws `TypeError` It is no function, or answers with something else than a finite number, such as a promise.
 */
export function readClock(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock
  if (typeof clock !== 'function') {
    throw new TypeError(`clock must be a function; got ${typeof clock}.`)
  }
  return () => {
    const nowMs = clock()
    if (Number.isFinite(nowMs)) return nowMs
    abandon(nowMs)
    throw new TypeError(
      `clock must return milliseconds since the epoch as a number; got ${typeof nowMs}.`,
    )
  }
}
