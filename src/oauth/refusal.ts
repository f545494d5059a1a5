import { type Clock, SECOND_MS } from '../clock.js'
import { type DeputizeError, isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ServerResponseError } from '../errors/outbound.js'

interface Context {
  readonly provider: string
  readonly what: string
  readonly answer: Response | undefined
  /** The member `error` of an answer with status 200: some servers refuse so. */
  readonly errorMember?: unknown
  readonly clock: Clock
}

const MAX_RETRY_AFTER_MS = 600 * SECOND_MS

/**
 * Turns whatever oauth4webapi threw into one of our errors. Nothing of the foreign error is kept but the server's
 * `error` code: its `cause` holds the body, and the body can hold tokens.
 */
export function toTypedError(error: unknown, context: Context): DeputizeError {
  if (isDeputizeError(error)) return error
  const { provider, what, answer } = context
  const status = answer?.status
  const oauthError = errorCode(context.errorMember ?? (error as { error?: unknown } | null)?.error)
  if (status !== undefined && (oauthError !== undefined || status >= 400)) {
    return new OAuthRefusedError({
      provider,
      oauthError: oauthError ?? codeForStatus(status),
      status,
      ...retryAfter(answer?.headers, context.clock),
    })
  }
  const code = (error as { code?: unknown }).code
  return new ServerResponseError({
    what: `Answer of provider "${provider}" to the ${what}`,
    detail: `is not in the protocol (${detailFor(code)}). Check that issuer and endpoints name an OAuth 2 server.`,
    reason: detailFor(code),
    ...(status === undefined ? {} : { status }),
  })
}

/**
 * The server's `error` value; `undefined` when it sent none. RFC 6749 §5.2 allows nearly all of ASCII, but the codes that
 * are in use are lower-case words; a token or secret that a server echoes is not, and becomes `unknown`.
 */
export function errorCode(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return /^[a-z][a-z_]{1,59}$/.test(value) ? value : 'unknown'
}

function codeForStatus(status: number): string {
  if (status === 401) return 'invalid_client'
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'unknown'
}

function detailFor(code: unknown): string {
  switch (code) {
    case 'OAUTH_RESPONSE_IS_NOT_JSON':
      return 'not JSON'
    case 'OAUTH_PARSE_ERROR':
      return 'broken JSON'
    case 'OAUTH_INVALID_RESPONSE':
      return 'a required member is missing or has the wrong type'
    case 'OAUTH_UNSUPPORTED_OPERATION':
      return 'an unknown token type'
    case 'OAUTH_JWT_CLAIM_COMPARISON_FAILED':
      return 'the ID token is for somebody else'
    case 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED':
      return 'the ID token is not valid at this time'
    default:
      return 'unexpected form'
  }
}

/** `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), at most ten minutes. */
export function retryAfter(headers: Headers | undefined, clock: Clock): { retryAfterMs?: number } {
  const value = headers?.get('retry-after')?.trim()
  if (!value) return {}
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * SECOND_MS : Date.parse(value) - clock()
  return Number.isFinite(ms) ? { retryAfterMs: Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) } : {}
}
