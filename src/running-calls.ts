import { Moment } from './moment.js'

/** Counts calls that run. One whose request has ended never says so: it counts no longer than a call may take. */
export class RunningCalls {
  readonly #longestMs: number
  readonly #began = new Set<Moment>()

  /** @param longestMs Milliseconds. */
  constructor(longestMs: number) {
    this.#longestMs = longestMs
  }

  /** Counts one, until what it gives is called. */
  begin(): () => void {
    const moment = new Moment()
    this.#began.add(moment)
    return () => void this.#began.delete(moment)
  }

  get size(): number {
    // The oldest come first.
    for (const moment of this.#began) {
      if (moment.elapsedMs() < this.#longestMs) break
      this.#began.delete(moment)
    }
    return this.#began.size
  }
}
