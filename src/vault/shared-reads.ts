/**
 * Reads of one row that are asked for in the same moment are one read. A read that has begun is not joined: whoever asks
 * after a write gets a read that began after it.
 */
export class SharedReads<T> {
  readonly #waiting = new Map<string, Promise<T>>()

  read(id: string, get: () => Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(id)
    if (waiting) return waiting
    const shared = Promise.resolve().then(() => {
      this.#waiting.delete(id)
      return get()
    })
    this.#waiting.set(id, shared)
    return shared
  }
}
