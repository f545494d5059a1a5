import { MINUTE_MS, SECOND_MS } from '../clock.js'
import type { KnownOptions } from '../option-names.js'

/** How long things take. Tests and proofs pass shorter times; applications have no say in it. */
export interface Timing {
  /** How long a lease is. Default: as long as the slowest exchange, and a margin. */
  readonly leaseMs?: number | undefined
  /** A lease outlives the slowest exchange by this much. */
  readonly leaseMarginMs: number
  /** By how much the clocks of two machines may differ before one takes the other's lease too early. */
  readonly skewMs: number
  /** How often another process's lease is looked at. */
  readonly pollMs: number
  /** After this time a token in memory is looked up again, while it is still served. */
  readonly cacheCheckMs: number
  /** A token in memory older than this waits for the look-up. */
  readonly cacheMaxAgeMs: number
  /** The same, while the store does not answer. */
  readonly cacheOutageMs: number
  /** Time that only goes forward, in milliseconds. */
  readonly monotonic: () => number
}

export const knownTiming: KnownOptions<Timing> = {
  leaseMs: true,
  leaseMarginMs: true,
  skewMs: true,
  pollMs: true,
  cacheCheckMs: true,
  cacheMaxAgeMs: true,
  cacheOutageMs: true,
  monotonic: true,
}

export const defaultTiming: Timing = Object.freeze({
  leaseMarginMs: 5 * SECOND_MS,
  skewMs: 5 * SECOND_MS,
  pollMs: 100,
  cacheCheckMs: 10 * SECOND_MS,
  cacheMaxAgeMs: 30 * SECOND_MS,
  cacheOutageMs: 5 * MINUTE_MS,
  monotonic: () => performance.now(),
})

/** Ends after about `ms`: half to one and a half times as long, so that many who wait do not come at once. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms * (0.5 + Math.random())))
}
