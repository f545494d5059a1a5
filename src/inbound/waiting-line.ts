import type { Clock } from '../clock.js'

/** How many tasks run at once, how many wait, and how long. */
export interface LineLimits {
  readonly running: number
  readonly waiting: number
  /** Milliseconds that a task may wait for its turn. */
  readonly waitMs: number
  /** Milliseconds after which a task that has not ended counts no more: the request that ran it is gone. */
  readonly lostMs: number
}

interface Waiting {
  readonly sinceMs: number
  readonly start: (slot: object) => void
}

/** Runs a bounded number of tasks at once; further ones wait in the order in which they came. */
export class WaitingLine {
  readonly #limits: LineLimits
  /** When each task that runs was started. */
  readonly #running = new Map<object, number>()
  readonly #waiting = new Set<Waiting>()

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  /** @returns What the task gives; `undefined` where it did not run, because the line was full or the wait too long. */
  async run<T>(task: () => Promise<T>, clock: Clock): Promise<T | undefined> {
    this.#startNext(clock)
    const slot = await this.#turn(clock)
    if (!slot) return undefined
    try {
      return await task()
    } finally {
      this.#running.delete(slot)
      this.#startNext(clock)
    }
  }

  async #turn(clock: Clock): Promise<object | undefined> {
    const nowMs = clock()
    if (this.#waiting.size === 0 && this.#running.size < this.#limits.running) {
      return this.#takeSlot(nowMs)
    }
    if (this.#waiting.size >= this.#limits.waiting) return undefined
    return new Promise((resolve) => {
      const leave = () => {
        this.#waiting.delete(one)
        resolve(undefined)
      }
      const timer = setTimeout(leave, this.#limits.waitMs)
      const start = (slot: object) => {
        clearTimeout(timer)
        resolve(slot)
      }
      const one: Waiting = { sinceMs: nowMs, start }
      this.#waiting.add(one)
    })
  }

  /** Hands free slots to those who wait. What is past its time belongs to a request that ended before its work did. */
  #startNext(clock: Clock): void {
    const nowMs = clock()
    const { running, waitMs, lostMs } = this.#limits
    for (const [slot, sinceMs] of this.#running) {
      if (!isWithin(sinceMs, lostMs, nowMs)) this.#running.delete(slot)
    }
    for (const one of this.#waiting) {
      if (this.#running.size >= running) return
      this.#waiting.delete(one)
      if (isWithin(one.sinceMs, waitMs, nowMs)) one.start(this.#takeSlot(nowMs))
    }
  }

  #takeSlot(nowMs: number): object {
    const slot = {}
    this.#running.set(slot, nowMs)
    return slot
  }
}

function isWithin(sinceMs: number, spanMs: number, nowMs: number): boolean {
  return nowMs >= sinceMs && nowMs - sinceMs <= spanMs
}
