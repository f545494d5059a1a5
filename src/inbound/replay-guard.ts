import { type Clock, SECOND_MS, systemClock } from '../clock.js'
import { inRange } from './option-checks.js'

/** Remembers what was used once. Share one between processes with a store that can set a key only if it is absent. */
export interface ReplayGuard {
  /**
   * Whether `id` is claimed now for the first time; it is remembered until `untilMs`. Finding out and remembering is one
   * step. A guard that cannot remember answers `false` or rejects; either way the caller is refused.
   *
   * @param untilMs Milliseconds since the epoch.
   */
  claim(id: string, untilMs: number): Promise<boolean>
}

/** What {@link memoryReplayGuard} takes. */
export interface MemoryReplayGuardOptions {
  /** When so many are remembered, every further one is refused until some expire. Default 100 000. */
  readonly maxEntries?: number | undefined
  /** For tests. */
  readonly clock?: Clock | undefined
}

const DEFAULT_MAX_ENTRIES = 100_000

/** Remembers in this process: enough for one process, not for several behind one address. */
export function memoryReplayGuard(options: MemoryReplayGuardOptions = {}): ReplayGuard {
  const { clock = systemClock } = options
  const maxEntries = inRange('maxEntries', options.maxEntries ?? DEFAULT_MAX_ENTRIES, 1, 2 ** 24)
  const seen = new Map<string, number>()
  let sweptAtMs = Number.NEGATIVE_INFINITY

  function sweep(nowMs: number): void {
    // At most once a second: a full guard must not cost a walk through it for every request.
    if (Math.abs(nowMs - sweptAtMs) < SECOND_MS) return
    sweptAtMs = nowMs
    for (const [id, untilMs] of seen) if (untilMs <= nowMs) seen.delete(id)
  }

  return Object.freeze({
    async claim(id: string, untilMs: number): Promise<boolean> {
      const nowMs = clock()
      const known = seen.get(id)
      if (known !== undefined && known > nowMs) return false
      if (seen.size >= maxEntries) sweep(nowMs)
      if (seen.size >= maxEntries && known === undefined) return false
      seen.set(id, untilMs)
      return true
    },
  })
}
