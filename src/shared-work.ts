import { Flight, type Outcome } from './flight.js'

/** What came of asking for shared work. `dead`: of work that another request began; whether it has acted is not known. */
export type Shared<T> =
  | { readonly how: 'led' | 'joined'; readonly value: T }
  | { readonly how: 'dead' }

/** Runs one task a key at a time: whoever asks while it runs gets what comes of it. */
export class SharedWork<T> {
  readonly #running = new Map<string, Flight<T>>()

  /**
   * What comes of the running task of `key`, or of a new one. A task that is found dead is begun anew, once for all who
   * waited: only for what may be done twice.
   */
  run(key: string, task: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running && !running.isDead) return this.#follow(key, task, running)
    return this.#lead(key, task, running).own
  }

  /** The same for what may not be done twice: a task that is found dead is told, and none is begun. */
  async share(key: string, task: () => Promise<T>): Promise<Shared<T>> {
    const running = this.#running.get(key)
    if (!running) return { how: 'led', value: await this.#lead(key, task).own }
    const outcome = await running.join()
    if (outcome) return { how: 'joined', value: resultOf(outcome) }
    this.#drop(key, running)
    return { how: 'dead' }
  }

  /** How many tasks run now. */
  get size(): number {
    for (const [key, flight] of this.#running) if (flight.isDead) this.#drop(key, flight)
    return this.#running.size
  }

  async #follow(key: string, task: () => Promise<T>, running: Flight<T>): Promise<T> {
    for (let flight = running; ; ) {
      const outcome = await flight.join()
      if (outcome) return resultOf(outcome)
      // Whoever waited for the dead one takes what the next brought, though that may have ended meanwhile.
      const next = flight.next
      if (!next) return this.#lead(key, task, flight).own
      flight = next
    }
  }

  /** The entry is gone before the promise settles for its callers. */
  #lead(key: string, task: () => Promise<T>, dead?: Flight<T>): Flight<T> {
    const flight: Flight<T> = new Flight(() =>
      Promise.resolve()
        .then(task)
        .finally(() => this.#drop(key, flight)),
    )
    if (dead) dead.next = flight
    this.#running.set(key, flight)
    return flight
  }

  #drop(key: string, flight: Flight<T>): void {
    if (this.#running.get(key) === flight) this.#running.delete(key)
  }
}

function resultOf<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value
  throw outcome.error
}
