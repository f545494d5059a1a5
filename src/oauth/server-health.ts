import { SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ServerUnavailableError } from '../errors/outbound.js'
import { RunningCalls } from '../running-calls.js'

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
/** The longest that `Retry-After` keeps everybody away. */
const MAX_ASKED_REST_MS = 30 * SECOND_MS
const MAX_LIMITED = 1_000
/** A probe that has not ended after this time, say with the request that sent it, no longer holds back the next. */
const LONGEST_PROBE_MS = 30 * SECOND_MS
/** Retries that may be saved up, and how much of one a request earns: a tenth of the load at most. */
const MAX_RETRIES = 10
const RETRIES_EARNED = 0.1

/**
 * How a token endpoint does: a circuit breaker and a retry budget.
 *
 * Closed, every request goes. After five failures in a row it opens: callers are told at once to come back. After a rest
 * of half a second to one and a half (or what `Retry-After` said, 30 seconds at the most) it lets one request through; a
 * success closes it. Being told to slow down (429) for one row is about that row, and counts once, however often: five
 * rows are about the server.
 */
export class ServerHealth {
  readonly #provider: string
  readonly #monotonic: () => number
  readonly #random: () => number
  #failures = 0
  #restsUntilMs = 0
  #reason = ''
  readonly #probes = new RunningCalls(LONGEST_PROBE_MS)
  /** The rows that were told to slow down since the last success. */
  readonly #limited = new Set<string>()
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
    if (leftMs <= 0 && this.#probes.size === 0) return
    throw new ServerUnavailableError({
      provider: this.#provider,
      reason: this.#reason,
      retryAfterMs: Math.ceil(Math.max(leftMs, FIRST_REST_MS)),
    })
  }

  /**
   * Makes a request and learns from how it ends.
   *
   * @param row Whom the request is for.
   * @throws {@link ServerUnavailableError} The server is left alone; `request` was not called.
   */
  async run<T>(request: () => Promise<T>, row: string): Promise<T> {
    this.check()
    const ended = this.#failures >= FAILURES ? this.#probes.begin() : undefined
    this.#retries = Math.min(MAX_RETRIES, this.#retries + RETRIES_EARNED)
    try {
      const result = await request()
      this.#succeeded()
      return result
    } catch (error) {
      if (!isTransient(error))
        this.#succeeded() // it answered
      else if (!isLimit(error)) this.#failed(error)
      else if (!this.#limited.has(row)) {
        if (this.#limited.size < MAX_LIMITED) this.#limited.add(row)
        this.#failed(error)
      } else if (ended) this.#rest(0)
      throw error
    } finally {
      ended?.()
    }
  }

  /** Whether a request may be made a second time; takes it from the budget. */
  takeRetry(): boolean {
    if (this.#retries < 1 || this.#failures >= FAILURES) return false
    this.#retries--
    return true
  }

  #succeeded(): void {
    this.#failures = 0
    this.#limited.clear()
  }

  #failed(error: unknown): void {
    const { code, reason = code, retryAfterMs = 0 } = error as FailedRequest
    this.#failures++
    this.#reason = reason
    // While the circuit is closed, what one row was told is no word to the others.
    const isOpen = this.#failures >= FAILURES
    this.#rest(isOpen || !isLimit(error) ? Math.min(retryAfterMs, MAX_ASKED_REST_MS) : 0)
  }

  #rest(askedMs: number): void {
    const rests = Math.max(0, this.#failures - FAILURES)
    const ceilingMs = Math.min(MAX_REST_MS, FIRST_REST_MS * 2 ** Math.min(rests, 10))
    const restMs = Math.max(askedMs, ceilingMs * (0.5 + this.#random() / 2))
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

/** Whether the token endpoint said to slow down. */
function isLimit(error: unknown): boolean {
  return error instanceof OAuthRefusedError && error.status === 429
}
