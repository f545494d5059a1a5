/** One task at a time a row, in the order of asking. */
export class RowMutex {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Whether nothing runs for the row. */
  isFree(key: string): boolean {
    return !this.#tails.has(key)
  }

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const mine = before.then(task, task)
    const tail = mine.catch(() => {})
    this.#tails.set(key, tail)
    try {
      return await mine
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
