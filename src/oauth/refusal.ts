import { type DeputizeError, isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ServerResponseError } from '../errors/outbound.js'
import { isJsonObject, parseOpenText } from '../strict-json.js'
import type { ServerAnswer } from './server-answer.js'

const MAX_CLAIMS_LENGTH = 4_096

/**
 * The refusal that an answer is: status 400 or above, or `error` inside a success, as some servers refuse. Nothing of it
 * is kept but its code and `claims`: a server's own words can hold tokens.
 */
export function refusalIn(answer: ServerAnswer): OAuthRefusedError | undefined {
  const { provider, status, retryAfterMs, members, fault } = answer
  if (status < 400 && !refusesInside(members)) return undefined
  const oauthError = errorCode(members?.error) ?? codeForStatus(status)
  return new OAuthRefusedError({
    provider,
    oauthError,
    status,
    ...(oauthError === 'unknown' && fault !== undefined ? { reason: fault } : {}),
    ...(namesDeadRefreshToken(members) ? { reason: DEAD_REFRESH_TOKEN } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...claimsChallenge(members?.claims),
  })
}

/** Why a refresh was refused, where the server says of the refresh token itself, in words of its own, that it is dead. */
export const DEAD_REFRESH_TOKEN = 'dead_refresh_token'

function refusesInside(members: ServerAnswer['members']): boolean {
  if (members?.error === undefined || members.error === '') return false
  return typeof members.error === 'string' || members.access_token === undefined
}

/**
 * Whether a server says that the refresh token is dead: `bad_refresh_token`, `refresh_token is invalid`. Words about the
 * grant type, the client or a parameter say nothing of the token.
 */
function namesDeadRefreshToken(members: ServerAnswer['members']): boolean {
  return [members?.error, members?.error_description].some((words) => {
    if (typeof words !== 'string' || words.length > 1_000) return false
    const text = words.toLowerCase().replace(/[\s_-]+/g, ' ')
    return (
      text.includes('refresh token') &&
      /\b(bad|invalid|not valid|expired|revoked|unknown|not found|inactive|not active|already used|been used|does not exist)\b/.test(
        text,
      ) &&
      !/\b(grant type|client|missing|required|parameter|support|supported|unsupported|allowed|scope)\b/.test(
        text,
      )
    )
  })
}

/** What the server wants to know of the user besides (OpenID Connect Core §5.5): kept if it is a JSON object. */
function claimsChallenge(value: unknown): { readonly claims?: string } {
  if (typeof value !== 'string' || value.length > MAX_CLAIMS_LENGTH) return {}
  const json = parseOpenText(value)
  return json.ok && isJsonObject(json.value) ? { claims: value } : {}
}

/** An answer that is no refusal, and none that the protocol knows. */
export function notInProtocol(
  answer: Pick<ServerAnswer, 'provider' | 'what' | 'status'>,
  fault: string,
): ServerResponseError {
  return new ServerResponseError({
    what: `Answer of provider "${answer.provider}" to the ${answer.what}`,
    detail: `is not in the protocol (${fault}). Check that issuer and endpoints name an OAuth 2 server.`,
    reason: fault,
    status: answer.status,
  })
}

/**
 * The server's `error` value; `undefined` when it sent none. RFC 6749 §5.2 allows nearly all of ASCII, but the codes that
 * are in use are lower-case words; a token or secret that a server echoes is not, and becomes `unknown`.
 */
export function errorCode(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' && /^[a-z][a-z_]{1,59}$/.test(value) ? value : 'unknown'
}

function codeForStatus(status: number): string {
  if (status === 401) return 'invalid_client'
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'unknown'
}

/** Passes our own errors on, and turns those of oauth4webapi about an ID token into one of ours, without what they hold. */
export function idTokenError(error: unknown, answer: ServerAnswer): unknown {
  if (isDeputizeError(error)) return error as DeputizeError
  const fault = idTokenFaults[(error as { code?: string } | null)?.code ?? '']
  return fault === undefined ? error : notInProtocol(answer, fault)
}

const idTokenFaults: Readonly<Record<string, string>> = {
  OAUTH_JWT_CLAIM_COMPARISON_FAILED: 'the ID token is for somebody else',
  OAUTH_JWT_TIMESTAMP_CHECK_FAILED: 'the ID token is not valid at this time',
  OAUTH_INVALID_RESPONSE: 'the ID token lacks a claim, or has one of the wrong type',
  OAUTH_PARSE_ERROR: 'the ID token is no JWT',
  OAUTH_UNSUPPORTED_OPERATION: 'the ID token is signed or encrypted in a way that is not known',
}
