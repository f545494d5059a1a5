/** Runs one task a key at a time: whoever asks while it runs gets the same promise. */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>()

  /** The running task of `key`, or a new one. The entry is gone before the promise settles for its callers. */
  run(key: string, task: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running
    const started = Promise.resolve()
      .then(task)
      .finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }

  /** How many tasks run now. */
  get size(): number {
    return this.#running.size
  }
}
