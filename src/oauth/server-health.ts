import { SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { ServerUnavailableError } from '../errors/outbound.js'

/** How a {@link ServerHealth} judges. Tests pass other numbers. */
export interface HealthOptions {
  /** Time that only goes forward, in milliseconds. */
  readonly monotonic?: (() => number) | undefined
  readonly random?: (() => number) | undefined
}

/** After so many failures in a row the server is left alone. */
const FAILURES = 5
const FIRST_REST_MS = SECOND_MS / 2
/** The longest rest, unless the server asked for a longer one: who recovers is noticed within two seconds. */
const MAX_REST_MS = 1.5 * SECOND_MS
/** Retries that may be saved up, and how much of one a request earns: a tenth of the load at most. */
const MAX_RETRIES = 10
const RETRIES_EARNED = 0.1

/**
 * How a token endpoint does: a circuit breaker and a retry budget.
 *
 * Closed, every request goes. After five failures in a row it opens: callers are told at once to come back. After a rest
 * of half a second to one and a half (or what `Retry-After` said) it lets one request through; a success closes it.
 */
export class ServerHealth {
  readonly #provider: string
  readonly #monotonic: () => number
  readonly #random: () => number
  #failures = 0
  #restsUntilMs = 0
  #reason = ''
  #probing = false
  #retries = MAX_RETRIES

  constructor(provider: string, options: HealthOptions = {}) {
    this.#provider = provider
    this.#monotonic = options.monotonic ?? (() => performance.now())
    this.#random = options.random ?? Math.random
  }

  /**
   * Whether a request would go now; nothing is sent and nothing is counted.
   *
   * @throws {@link ServerUnavailableError}
   */
  check(): void {
    if (this.#failures < FAILURES) return
    const leftMs = this.#restsUntilMs - this.#monotonic()
    if (leftMs <= 0 && !this.#probing) return
    throw new ServerUnavailableError({
      provider: this.#provider,
      reason: this.#reason,
      retryAfterMs: Math.ceil(Math.max(leftMs, FIRST_REST_MS)),
    })
  }

  /**
   * Makes a request and learns from how it ends.
   *
   * @throws {@link ServerUnavailableError} The server is left alone; `request` was not called.
   */
  async run<T>(request: () => Promise<T>): Promise<T> {
    this.check()
    const probe = this.#failures >= FAILURES
    if (probe) this.#probing = true
    this.#retries = Math.min(MAX_RETRIES, this.#retries + RETRIES_EARNED)
    try {
      const result = await request()
      this.#failures = 0
      return result
    } catch (error) {
      if (isTransient(error)) this.#failed(error)
      else this.#failures = 0 // it answered
      throw error
    } finally {
      if (probe) this.#probing = false
    }
  }

  /** Whether a request may be made a second time; takes it from the budget. */
  takeRetry(): boolean {
    if (this.#retries < 1 || this.#failures >= FAILURES) return false
    this.#retries--
    return true
  }

  #failed(error: unknown): void {
    const { code, reason = code, retryAfterMs = 0 } = error as FailedRequest
    this.#failures++
    this.#reason = reason
    const rests = Math.max(0, this.#failures - FAILURES)
    const ceilingMs = Math.min(MAX_REST_MS, FIRST_REST_MS * 2 ** Math.min(rests, 10))
    const restMs = Math.max(retryAfterMs, ceilingMs * (0.5 + this.#random() / 2))
    this.#restsUntilMs = Math.max(this.#restsUntilMs, this.#monotonic() + restMs)
  }
}

interface FailedRequest {
  readonly code: string
  readonly reason?: string
  readonly retryAfterMs?: number
}

/** Whether the server was away or overloaded, as opposed to saying no. */
function isTransient(error: unknown): boolean {
  return isDeputizeError(error) && error.retryable
}
