import type { KnownOptions } from '../option-names.js'
import { type LeaseTiming, leaseTiming } from './row-lease.js'
import { type CacheTiming, cacheTiming } from './token-cache.js'

/** How long things take. Tests and proofs pass shorter times; applications have no say in it. */
export type Timing = LeaseTiming & CacheTiming

export const knownTiming: KnownOptions<Timing> = {
  leaseMs: true,
  skewMs: true,
  pollMs: true,
  cacheCheckMs: true,
  cacheMaxAgeMs: true,
  cacheOutageMs: true,
  monotonic: true,
}

export const defaultTiming: Timing = Object.freeze({ ...leaseTiming, ...cacheTiming })
