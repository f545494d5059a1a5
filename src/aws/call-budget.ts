import { type Clock, SECOND_MS } from '../clock.js'

/** Calls at once. */
const MAX_RUNNING = 64
/** What one access key may ask: so many at once, and so many a second in the long run. */
const KEY_BURST = 20
const KEY_PER_SECOND = 2
/** What all access keys that STS has not yet confirmed may ask together. */
const STRANGER_BURST = 100
const STRANGERS_PER_SECOND = 20
/** Access keys that are remembered as confirmed. */
const MAX_KEYS = 10_000

interface Bucket {
  left: number
  atMs: number
}

/**
 * Keeps callers from turning each request of theirs into one of ours. An access key that was confirmed before has an
 * allowance of its own; all others share one, so that made-up keys do not keep out known callers.
 */
export class CallBudget {
  #running = 0
  readonly #strangers: Bucket = { left: STRANGER_BURST, atMs: 0 }
  readonly #known = new Map<string, Bucket>()

  /**
   * Runs `call` if there is allowance for it.
   *
   * @returns `undefined` when there is none.
   */
  async run<T>(key: string, clock: Clock, call: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= MAX_RUNNING || !this.#take(key, clock())) return undefined
    this.#running++
    try {
      return await call()
    } finally {
      this.#running--
    }
  }

  /** Remembers that STS confirmed `key`. */
  confirm(key: string, nowMs: number): void {
    const bucket = this.#known.get(key) ?? { left: KEY_BURST - 1, atMs: nowMs }
    this.#known.delete(key)
    this.#known.set(key, bucket)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_KEYS && oldest !== undefined) this.#known.delete(oldest)
  }

  #take(key: string, nowMs: number): boolean {
    const known = this.#known.get(key)
    return known
      ? take(known, nowMs, KEY_BURST, KEY_PER_SECOND)
      : take(this.#strangers, nowMs, STRANGER_BURST, STRANGERS_PER_SECOND)
  }
}

function take(bucket: Bucket, nowMs: number, burst: number, perSecond: number): boolean {
  const gained = (Math.max(0, nowMs - bucket.atMs) / SECOND_MS) * perSecond
  bucket.left = Math.min(burst, bucket.left + gained)
  bucket.atMs = nowMs
  if (bucket.left < 1) return false
  bucket.left--
  return true
}
