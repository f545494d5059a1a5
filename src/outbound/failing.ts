import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { NetworkError, OAuthRefusedError, ServerResponseError } from '../errors/outbound.js'
import { ANOTHER_ACCOUNT } from '../oauth/refresh.js'
import { DEAD_REFRESH_TOKEN } from '../oauth/refusal.js'

/** How renewing a grant has failed so far. In the row, so that all processes know. */
export interface Failing {
  /** The server's `error`, or why there was no answer. Never a server's free text. */
  readonly code: string
  readonly sinceMs: number
  readonly lastMs: number
  readonly count: number
  /** The server is not asked again before this by callers who have a token, or by any where `holds` is set. */
  readonly nextTryMs: number
  /** It was about this grant and not about the server, so that asking sooner is of no use to anybody. */
  readonly holds?: true
}

const BASE_MS = 2 * SECOND_MS
const CAP_MS = 5 * MINUTE_MS
/** The longest time between two tries: as far ahead as `Retry-After` is believed. */
export const MAX_COOL_DOWN_MS = 10 * MINUTE_MS
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
  const verdict = verdictOn(error)
  return {
    code: failureCode(error),
    sinceMs: before?.sinceMs ?? nowMs,
    lastMs: nowMs,
    count,
    nextTryMs: nowMs + Math.max(retryAfterMs, ceilingMs * (LEAST + (1 - LEAST) * random())),
    ...(verdict === 'ambiguous' || verdict === 'rests' ? { holds: true } : {}),
  }
}

/** How a row, an error and an event name a failure. */
export function failureCode(error: unknown): string {
  return isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error'
}

/**
 * What a failed request says of a grant.
 *
 * - `dead`: its refresh token is not honoured any more.
 * - `asks`: the user has to do more before it is honoured.
 * - `ambiguous`: the refresh token is dead, or the client is not in order; servers say both in these words.
 * - `refused`: the client or the request is not in order.
 * - `rests`: the server is well and did not serve this grant now.
 * - `unknown`: nothing; the server is away, or something else answered in its place.
 */
export type Verdict = 'dead' | 'asks' | 'ambiguous' | 'refused' | 'rests' | 'unknown'

/** Codes that ask more of the user (OpenID Connect Core §3.1.2.6). */
const asking: ReadonlySet<string> = new Set([
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
])

/** Codes that say no to this client or this request, today and tomorrow (RFC 6749 §5.2, RFC 8707 §2). */
const refusing: ReadonlySet<string> = new Set([
  'invalid_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
])

export function verdictOn(error: unknown): Verdict {
  if (error instanceof OAuthRefusedError) return verdictOnRefusal(error)
  if (error instanceof ServerResponseError && error.reason === ANOTHER_ACCOUNT) return 'dead'
  const answered = error instanceof ServerResponseError || error instanceof NetworkError
  return answered && isSuccess(error.status) ? 'rests' : 'unknown'
}

function verdictOnRefusal({ oauthError, reason, status, claims, retryable }: OAuthRefusedError) {
  if (status === 429) return 'rests'
  if (retryable) return 'unknown'
  if (claims !== undefined || asking.has(oauthError)) return 'asks'
  if (oauthError === 'invalid_grant' || reason === DEAD_REFRESH_TOKEN) return 'dead'
  if (refusing.has(oauthError)) return 'refused'
  // A page, or what is no OAuth in another way, may be a proxy's.
  const inProtocol = reason === oauthError || reason === 'empty answer'
  return inProtocol && [200, 400, 401, 403].includes(status) ? 'ambiguous' : 'unknown'
}

function isSuccess(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300
}

/**
 * Whether nobody knows if the server has acted: the request went out, and not even the head of an answer came back.
 */
export function outcomeUnknown(error: unknown): boolean {
  return (
    error instanceof NetworkError &&
    error.status === undefined &&
    (error.reason === 'timeout' || error.reason === 'unreachable')
  )
}
