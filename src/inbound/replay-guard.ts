import { type Clock, readClock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { checkOptionNames } from '../option-names.js'

/**
 * Remembers what was used, so that it serves once. One guard for all processes of a service: in Redis, `claim` is
 * `SET id 1 NX PXAT untilMs`.
 *
 * - `claim` gives, or resolves to, `true` for the first claim of an id and to `false` for every later one until `untilMs`
 *   (milliseconds since the epoch). Check and write are one step.
 * - It throws or rejects when it cannot tell. The caller is refused then, with status 503.
 * - `caller` says who uses the id, where that is known, so that a guard can keep one caller from filling it. It is an
 *   access key id, or a hash, and no part of the id.
 */
export interface ReplayGuard {
  claim(id: string, untilMs: number, caller?: string): boolean | Promise<boolean>
}

/** How {@link memoryReplayGuard} remembers. */
export interface MemoryReplayGuardOptions {
  /**
   * What is remembered at a time. When it is full, callers are refused. A caller may use up three times what is still
   * free: one alone three quarters of it. Default 500 000.
   */
  readonly maxEntries?: number | undefined
  /** Milliseconds since the epoch; for tests. */
  readonly clock?: Clock | undefined
}

const MAX_ENTRIES = 500_000
/** A caller is refused that holds this many times what is free, so that the next caller always finds something free. */
const SHARE_OF_FREE = 3

/** A caller, and how many entries it holds. */
interface Holder {
  readonly name: string
  entries: number
}

/** What is known of an id; one object for ids of one caller that end together. */
interface Entry {
  readonly untilMs: number
  readonly holder: Holder | undefined
}

/** What is forgotten together. */
interface Ending {
  readonly ids: string[]
  last: Entry
}

/**
 * A guard for one process. Bounded: when every entry is still needed it throws, since forgetting one would let it be
 * used again. It throws as well for a caller that holds more than its share, and leaves the rest to others.
 */
export function memoryReplayGuard(options: MemoryReplayGuardOptions = {}): ReplayGuard {
  checkOptionNames(options, 'memoryReplayGuard()', { maxEntries: true, clock: true })
  const { maxEntries = MAX_ENTRIES } = options
  const clock = readClock(options.clock)
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
    throw new TypeError('maxEntries must be a whole number above 0.')
  }
  const memory = new UsedIds()
  return {
    // At once, so that check and write are one step.
    claim(id, untilMs, caller) {
      const nowMs = clock()
      memory.expire(nowMs)
      if (memory.has(id, nowMs)) return false
      const free = maxEntries - memory.size
      if (free < 1) throw new Error('The replay guard is full.')
      if (caller !== undefined && memory.heldBy(caller) >= SHARE_OF_FREE * free) {
        throw new Error('The caller has used up its share of the replay guard.')
      }
      memory.add(id, untilMs, caller)
      return true
    },
  }
}

/** Ids by the millisecond in which they are forgotten, so that forgetting costs no search. */
class UsedIds {
  readonly #entries = new Map<string, Entry>()
  readonly #byEnd = new Map<number, Ending>()
  readonly #holders = new Map<string, Holder>()
  /** The last millisecond whose ids were forgotten. */
  #doneMs = Number.NEGATIVE_INFINITY

  get size(): number {
    return this.#entries.size
  }

  has(id: string, nowMs: number): boolean {
    const entry = this.#entries.get(id)
    return entry !== undefined && !(entry.untilMs < nowMs)
  }

  heldBy(caller: string): number {
    return this.#holders.get(caller)?.entries ?? 0
  }

  add(id: string, untilMs: number, caller: string | undefined): void {
    const before = this.#entries.get(id)
    if (before) this.#delete(id, before)
    const holder = caller === undefined ? undefined : this.#holder(caller)
    if (holder) holder.entries++
    // What is over is not looked at again, as after a clock that was set back.
    const endMs = Math.max(Math.floor(untilMs), this.#doneMs) + 1
    let ending = this.#byEnd.get(endMs)
    if (!ending) {
      ending = { ids: [], last: { untilMs, holder } }
      this.#byEnd.set(endMs, ending)
    } else if (ending.last.holder !== holder || ending.last.untilMs !== untilMs) {
      ending.last = { untilMs, holder }
    }
    ending.ids.push(id)
    this.#entries.set(id, ending.last)
  }

  /** Forgets what nobody needs any more. Each millisecond is looked at once, or each end where there are fewer. */
  expire(nowMs: number): void {
    const endMs = Math.floor(nowMs)
    if (endMs <= this.#doneMs) return
    if (endMs - this.#doneMs > this.#byEnd.size) {
      for (const one of this.#byEnd.keys()) if (one <= endMs) this.#forget(one, nowMs)
    } else {
      for (let one = this.#doneMs + 1; one <= endMs; one++) this.#forget(one, nowMs)
    }
    this.#doneMs = endMs
  }

  #forget(endMs: number, nowMs: number): void {
    for (const id of this.#byEnd.get(endMs)?.ids ?? []) {
      const entry = this.#entries.get(id)
      // Not one that was used anew since.
      if (entry && entry.untilMs < nowMs) this.#delete(id, entry)
    }
    this.#byEnd.delete(endMs)
  }

  #delete(id: string, { holder }: Entry): void {
    this.#entries.delete(id)
    if (holder && --holder.entries === 0) this.#holders.delete(holder.name)
  }

  #holder(name: string): Holder {
    const known = this.#holders.get(name)
    if (known) return known
    const holder = { name, entries: 0 }
    this.#holders.set(name, holder)
    return holder
  }
}

/** @throws `TypeError` */
export function checkReplayGuard(guard: unknown, option: string): asserts guard is ReplayGuard {
  if (typeof (guard as ReplayGuard | null)?.claim !== 'function') {
    throw new TypeError(
      `${option} must be a ReplayGuard, { claim(id, untilMs, caller?) }, or null.`,
    )
  }
}

/**
 * Lets `id` of `caller` pass once. At once where the guard answers at once.
 *
 * @throws {@link InboundAuthError} `ERR_REPLAYED`; `ERR_GUARD_UNAVAILABLE` when the guard cannot tell.
 */
export function claimOnce(
  guard: ReplayGuard,
  id: string,
  untilMs: number,
  caller: string,
): void | Promise<void> {
  let first: unknown
  try {
    first = guard.claim(id, untilMs, caller)
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
