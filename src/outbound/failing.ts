import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { NetworkError, OAuthRefusedError } from '../errors/outbound.js'

/** How renewing a grant has failed so far. In the row, so that all processes know. */
export interface Failing {
  /** The server's `error`, or why there was no answer. Never a server's free text. */
  readonly code: string
  readonly sinceMs: number
  readonly lastMs: number
  readonly count: number
  /** While a token is in hand, the server is not asked again before this. */
  readonly nextTryMs: number
}

const BASE_MS = 2 * SECOND_MS
const CAP_MS = 5 * MINUTE_MS
/** The least share of its wait: full jitter alone would let some try again at once. */
const LEAST = 0.25

/** The failure state after one more failure: exponential with jitter, and never before `Retry-After`. */
export function failingAfter(
  before: Failing | undefined,
  error: unknown,
  nowMs: number,
  random: () => number = Math.random,
): Failing {
  const count = (before?.count ?? 0) + 1
  const ceilingMs = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(count - 1, 20))
  const retryAfterMs = (error as { retryAfterMs?: number }).retryAfterMs ?? 0
  return {
    code: isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error',
    sinceMs: before?.sinceMs ?? nowMs,
    lastMs: nowMs,
    count,
    nextTryMs: nowMs + Math.max(retryAfterMs, ceilingMs * (LEAST + (1 - LEAST) * random())),
  }
}

/** Codes that say no to this client or this grant, today and tomorrow (RFC 6749 §5.2, RFC 8707 §2). */
const definitive: ReadonlySet<string> = new Set([
  'invalid_grant',
  'invalid_client',
  'invalid_request',
  'invalid_scope',
  'invalid_target',
  'unauthorized_client',
  'unsupported_grant_type',
  'access_denied',
])

/** Whether the server understood and said no. All else (a page, a redirect, silence) says nothing of the grant. */
export function isDefinitive(error: unknown): boolean {
  return error instanceof OAuthRefusedError && !error.retryable && definitive.has(error.oauthError)
}

/** Whether the refusal is for the refresh token itself. */
export function endsGrant(error: unknown): boolean {
  return isDefinitive(error) && (error as OAuthRefusedError).oauthError === 'invalid_grant'
}

/** Whether nobody knows if the server has acted: the request went out, and no answer came back. */
export function outcomeUnknown(error: unknown): boolean {
  return (
    error instanceof NetworkError && (error.reason === 'timeout' || error.reason === 'unreachable')
  )
}
