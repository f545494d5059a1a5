import { Flight } from '../flight.js'

/** One task at a time a row, in the order of asking. One whose request has ended is passed over: the lease decides then. */
export class RowMutex {
  readonly #last = new Map<string, Flight<unknown>>()

  /** Whether nothing runs for the row. */
  isFree(key: string): boolean {
    return !this.#last.has(key)
  }

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const mine = new Flight(async () => {
      await before?.join()
      return task()
    })
    this.#last.set(key, mine)
    try {
      return await mine.own
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key)
    }
  }
}
