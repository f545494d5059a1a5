import { SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { VaultUnavailableError } from '../errors/vault.js'

/** How long one call of a store may take by default, in milliseconds. */
const STORE_TIMEOUT_MS = 5 * SECOND_MS
const MAX_TIMEOUT_MS = 60 * SECOND_MS

/**
 * The option `timeoutMs` of a store.
 *
 * @throws `TypeError` when it is not 1 to 60,000.
 */
export function readTimeoutMs(timeoutMs = STORE_TIMEOUT_MS): number {
  if (!Number.isFinite(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    throw new TypeError(
      `timeoutMs must be 1 to ${MAX_TIMEOUT_MS} milliseconds, got ${String(timeoutMs)}.`,
    )
  }
  return timeoutMs
}

/** One call of a store, with its deadline: whatever rejects or does not settle in time is a VaultUnavailableError. */
export class StoreCall {
  readonly #operation: string
  readonly #endsMs: number
  readonly #reasonOf: (error: unknown) => string | undefined
  #running: Promise<unknown> | undefined

  /** `reasonOf` names what the backend said, in a code of its own that can hold no secret. */
  constructor(
    operation: string,
    timeoutMs: number,
    reasonOf: (error: unknown) => string | undefined = () => undefined,
  ) {
    this.#operation = operation
    this.#reasonOf = reasonOf
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
      if (isDeputizeError(error)) throw error
      throw this.failure(this.#reasonOf(error) ?? 'store_error', error)
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
