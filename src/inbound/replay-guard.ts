import { type Clock, systemClock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { checkObject } from '../option-names.js'

/**
 * Remembers what was used, so that it serves once. One guard for all processes of a service: in Redis, `claim` is
 * `SET id 1 NX PXAT untilMs`.
 *
 * - `claim` gives, or resolves to, `true` for the first claim of an id and to `false` for every later one until `untilMs`
 *   (milliseconds since the epoch). Check and write are one step.
 * - It throws or rejects when it cannot tell. The caller is refused then, with status 503.
 */
export interface ReplayGuard {
  claim(id: string, untilMs: number): boolean | Promise<boolean>
}

/** How {@link memoryReplayGuard} remembers. */
export interface MemoryReplayGuardOptions {
  /** What is remembered at a time. When it is full, callers are refused. Default 500 000. */
  readonly maxEntries?: number | undefined
  /** Milliseconds since the epoch; for tests. */
  readonly clock?: Clock | undefined
}

const MAX_ENTRIES = 500_000
/** After how many claims the expired ones are looked for. */
const SWEEP_EVERY = 4_096

/**
 * A guard for one process. Bounded: when every entry is still needed it throws, since forgetting one would let it be
 * used again.
 */
export function memoryReplayGuard(options: MemoryReplayGuardOptions = {}): ReplayGuard {
  checkObject(options, 'memoryReplayGuard()')
  const { maxEntries = MAX_ENTRIES, clock = systemClock } = options
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
    throw new TypeError('maxEntries must be a whole number above 0.')
  }
  const used = new Map<string, number>()
  let claims = 0
  let earliestMs = Number.POSITIVE_INFINITY
  const sweep = (nowMs: number) => {
    if (earliestMs >= nowMs) return // nothing has expired: a full guard must not be searched at every claim
    earliestMs = Number.POSITIVE_INFINITY
    for (const [id, untilMs] of used) {
      if (untilMs < nowMs) used.delete(id)
      else earliestMs = Math.min(earliestMs, untilMs)
    }
  }
  return {
    // At once, so that check and write are one step.
    claim(id, untilMs) {
      if (used.has(id)) {
        if ((used.get(id) ?? 0) >= clock()) return false
        used.delete(id)
      }
      if (++claims % SWEEP_EVERY === 0 || used.size >= maxEntries) sweep(clock())
      if (used.size >= maxEntries) throw new Error('The replay guard is full.')
      used.set(id, untilMs)
      earliestMs = Math.min(earliestMs, untilMs)
      return true
    },
  }
}

/** @throws `TypeError` */
export function checkReplayGuard(guard: unknown, option: string): asserts guard is ReplayGuard {
  if (typeof (guard as ReplayGuard | null)?.claim !== 'function') {
    throw new TypeError(`${option} must be a ReplayGuard, { claim(id, untilMs) }, or null.`)
  }
}

/**
 * Lets `id` pass once. At once where the guard answers at once.
 *
 * @throws {@link InboundAuthError} `ERR_REPLAYED`; `ERR_GUARD_UNAVAILABLE` when the guard cannot tell.
 */
export function claimOnce(guard: ReplayGuard, id: string, untilMs: number): void | Promise<void> {
  let first: unknown
  try {
    first = guard.claim(id, untilMs)
  } catch (cause) {
    throw cannotTell(cause)
  }
  if (typeof first === 'boolean') return judge(first)
  return Promise.resolve(first).then(judge, (cause: unknown) => {
    throw cannotTell(cause)
  })
}

function judge(first: unknown): void {
  if (first !== true) {
    throw new InboundAuthError('ERR_REPLAYED', { reason: 'this credential was used before' })
  }
}

function cannotTell(cause: unknown): InboundAuthError {
  return new InboundAuthError('ERR_GUARD_UNAVAILABLE', {
    reason: 'the replay guard cannot tell',
    cause,
  })
}
