import { VaultUnavailableError } from '../errors/vault.js'

/** One call of a store, with its deadline: whatever rejects or does not settle in time is a VaultUnavailableError. */
export class StoreCall {
  readonly #operation: string
  readonly #endsMs: number
  #running: Promise<unknown> | undefined

  constructor(operation: string, timeoutMs: number) {
    this.#operation = operation
    this.#endsMs = performance.now() + timeoutMs
  }

  /** Runs one step of the call, unless its time is up already. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    if (performance.now() >= this.#endsMs) throw this.failure('timeout')
    const running = (async () => step())()
    this.#running = running
    return this.wait(running)
  }

  /** Waits for `promise` until the deadline. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const deadline = new Promise<never>((_, reject) => {
      const leftMs = Math.max(0, this.#endsMs - performance.now())
      timer = setTimeout(() => reject(this.failure('timeout')), leftMs)
    })
    try {
      return await Promise.race([promise, deadline])
    } catch (error) {
      throw error instanceof VaultUnavailableError ? error : this.failure('store_error', error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** The last step, which goes on when the call has not waited for its end. */
  get lastStep(): Promise<unknown> | undefined {
    return this.#running
  }

  failure(reason: string, cause?: unknown): VaultUnavailableError {
    return new VaultUnavailableError({ operation: this.#operation, reason, cause })
  }
}
