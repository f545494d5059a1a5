import { type Clock, SECOND_MS } from '../clock.js'
import { RunningCalls } from '../running-calls.js'

/** Calls at once, and how many of them may be for one caller whom STS confirmed before, or for all others together. */
const MAX_RUNNING = 128
const MAX_RUNNING_EACH = 64
/** Access keys that are remembered as confirmed. */
const MAX_KEYS = 10_000

/** So many calls at once, and so many a second in the long run. */
interface Rate {
  readonly burst: number
  readonly perSecond: number
}

/** What one caller may ask with signatures that STS confirms. */
const CONFIRMED: Rate = { burst: 20, perSecond: 2 }
/** What all may ask with signatures that STS does not confirm, or not yet. */
const UNPROVEN: Rate = { burst: 100, perSecond: 20 }

/** No call of STS takes longer, its second attempt included. */
const LONGEST_CALL_MS = 15 * SECOND_MS

/** What is left of a {@link Rate}. */
class Allowance {
  readonly #rate: Rate
  #left: number
  #atMs: number

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate
    this.#left = rate.burst
    this.#atMs = nowMs
  }

  has(nowMs: number): boolean {
    const { burst, perSecond } = this.#rate
    const gained = (Math.max(0, nowMs - this.#atMs) / SECOND_MS) * perSecond
    this.#left = Math.min(burst, this.#left + gained)
    this.#atMs = nowMs
    return this.#left >= 1
  }

  /** May leave less than nothing, which is earned back first. */
  take(): void {
    this.#left--
  }

  giveBack(): void {
    this.#left++
  }
}

/** A caller whom STS confirmed before. */
interface Known {
  /** Charged for what STS confirms, and for nothing else. */
  readonly confirmed: Allowance
  /** Charged for what STS does not confirm in this caller's name, once the share of all strangers is used up. */
  readonly unproven: Allowance
  readonly running: RunningCalls
}

/**
 * Keeps callers from turning each request of theirs into one of ours. Before STS answers, nobody can tell whether a
 * signature is the caller's or was made up by somebody who knows the access key id. So each call is charged to what
 * strangers share at first, and to the caller once STS confirmed it: what others make up in a caller's name does not use
 * up the caller's allowance.
 */
export class CallBudget {
  readonly #running = new RunningCalls(LONGEST_CALL_MS)
  #strangers: { readonly unproven: Allowance; readonly running: RunningCalls } | undefined
  readonly #known = new Map<string, Known>()

  /**
   * Runs `call` if there is allowance for it.
   *
   * @param caller Who the request says that it is from.
   * @param confirms Whether an answer confirms that it is.
   * @returns `undefined` when there is no allowance.
   */
  async run<T>(
    caller: string,
    clock: Clock,
    call: () => Promise<T>,
    confirms: (answer: T) => boolean,
  ): Promise<T | undefined> {
    const nowMs = clock()
    this.#strangers ??= {
      unproven: new Allowance(UNPROVEN, nowMs),
      running: new RunningCalls(LONGEST_CALL_MS),
    }
    const known = this.#known.get(caller)
    const share = known ?? this.#strangers
    if (this.#running.size >= MAX_RUNNING || share.running.size >= MAX_RUNNING_EACH)
      return undefined
    if (known && !known.confirmed.has(nowMs)) return undefined
    const charged = [this.#strangers.unproven, share.unproven].find((one) => one.has(nowMs))
    if (!charged) return undefined
    charged.take()
    const ends = [this.#running.begin(), share.running.begin()]
    try {
      const answer = await call()
      if (confirms(answer)) {
        charged.giveBack()
        this.#confirm(caller, clock())
      }
      return answer
    } finally {
      for (const end of ends) end()
    }
  }

  #confirm(caller: string, nowMs: number): void {
    const known = this.#known.get(caller) ?? {
      confirmed: new Allowance(CONFIRMED, nowMs),
      unproven: new Allowance(UNPROVEN, nowMs),
      running: new RunningCalls(LONGEST_CALL_MS),
    }
    known.confirmed.take()
    this.#known.delete(caller)
    this.#known.set(caller, known)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_KEYS && oldest !== undefined) this.#known.delete(oldest)
  }
}
