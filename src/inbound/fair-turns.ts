import { builtin } from '../builtin.js'

/** How long one turn of the event loop may verify before others get theirs; with what comes of it, about 1 ms. */
const TURN_MS = 0.75

interface Timers {
  setImmediate(task: () => void): unknown
}

/**
 * Shares a thread: synchronous work runs at once while it stays below {@link TURN_MS} a turn of the event loop; what
 * comes then waits in line. A thousand callers at once so delay a timer or a socket by a millisecond, not by a thousand
 * signatures, and the last of them waits no longer than before.
 *
 * Where `setImmediate` is missing nothing waits: there verification is asynchronous anyway. On Cloudflare Workers nothing
 * waits either: a turn belongs to the request that asked for it, and ends with it, so none can run the work of others.
 */
export class FairTurns {
  readonly #nextTurn: ((task: () => void) => unknown) | undefined
  readonly #clock: () => number
  #waiting: (() => void)[] = []
  #next = 0
  #spentMs = 0
  #armed = false

  constructor(timers: Timers | undefined = sharedTimers(), clock: () => number = monotonic()) {
    this.#nextTurn = timers?.setImmediate
    this.#clock = clock
  }

  /** Runs `work` now, or in the turn whose it is; gives or throws what it does. */
  run<T>(work: () => T): T | Promise<Awaited<T>> {
    if (!this.#nextTurn) return work()
    // While somebody waits, this turn's time is spent: nobody is passed.
    if (this.#spentMs < TURN_MS) return this.#spend(work)
    this.#arm()
    return new Promise<Awaited<T>>((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(this.#spend(work) as Awaited<T>)
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #spend<T>(work: () => T): T {
    const started = this.#clock()
    try {
      return work()
    } finally {
      // A turn is known to end only where something waits for it: one immediate per millisecond of work, not per call.
      this.#spentMs += this.#clock() - started
      if (this.#spentMs >= TURN_MS / 2) this.#arm()
    }
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#nextTurn?.(() => this.#turn())
  }

  #turn(): void {
    this.#armed = false
    this.#spentMs = 0
    while (this.#next < this.#waiting.length && this.#spentMs < TURN_MS) {
      const task = this.#waiting[this.#next]!
      this.#waiting[this.#next++] = done // what it holds may go
      task()
    }
    // Cut off what is done only now and then: a cut costs as much as the line is long.
    if (this.#next >= this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    if (this.#waiting.length > 0) this.#arm()
  }
}

function sharedTimers(): Timers | undefined {
  const isWorker = globalThis.navigator?.userAgent === 'Cloudflare-Workers'
  return isWorker ? undefined : builtin<Timers>('node:timers')
}

function done(): void {}

/** Milliseconds. The global is looked up once: on Node it is a getter. */
function monotonic(): () => number {
  const { performance } = globalThis
  return () => performance.now()
}
