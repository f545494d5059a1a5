import { isWellFormed } from '../bytes.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { JsonObject } from '../strict-json.js'

/** How far two clocks may differ by default, and at most. */
export const DEFAULT_CLOCK_TOLERANCE_MS = 30 * SECOND_MS
export const MAX_CLOCK_TOLERANCE_MS = 5 * MINUTE_MS

/** The last second of the year 9999: a larger number is milliseconds by mistake, or an attack. */
const MAX_NUMERIC_DATE = 253_402_300_799

/** The registered claims ([RFC 7519 §4.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)), checked for form and time. */
export interface RegisteredClaims {
  readonly subject: string
  /** Empty when the token names none. */
  readonly audience: readonly string[]
  readonly expiresAtMs: number
  readonly issuedAtMs?: number
}

/** How the times of a token are judged. */
export interface ClaimTimes {
  readonly nowMs: number
  /** Milliseconds; default {@link DEFAULT_CLOCK_TOLERANCE_MS}. */
  readonly clockToleranceMs?: number | undefined
  /** Milliseconds since `iat`, which then must be there. Default: no limit. */
  readonly maxTokenAgeMs?: number | undefined
}

/**
 * Reads `sub`, `aud`, `exp`, `nbf` and `iat`. `sub` and `exp` must be there.
 *
 * @throws {@link InboundAuthError} `ERR_BAD_CLAIMS`, `ERR_TOKEN_EXPIRED`, `ERR_TOKEN_NOT_YET_VALID`.
 */
export function readClaims(claims: JsonObject, times: ClaimTimes): RegisteredClaims {
  const { nowMs, clockToleranceMs = DEFAULT_CLOCK_TOLERANCE_MS, maxTokenAgeMs } = times
  const expiresAtMs = numericDate(claims.exp, 'exp')
  const notBeforeMs = numericDate(claims.nbf, 'nbf')
  const issuedAtMs = numericDate(claims.iat, 'iat')
  if (expiresAtMs === undefined) throw badClaims('exp is missing')
  if (nowMs >= expiresAtMs + clockToleranceMs) throw expired('the token has expired')
  if (notBeforeMs !== undefined && nowMs < notBeforeMs - clockToleranceMs) {
    throw notYetValid('nbf lies in the future')
  }
  if (issuedAtMs !== undefined && nowMs < issuedAtMs - clockToleranceMs) {
    throw notYetValid('iat lies in the future')
  }
  if (maxTokenAgeMs !== undefined) {
    if (issuedAtMs === undefined) throw badClaims('iat is missing, and maxTokenAgeMs needs it')
    if (nowMs - issuedAtMs > maxTokenAgeMs + clockToleranceMs) {
      throw expired('the token is older than maxTokenAgeMs')
    }
  }
  const subject = identifier(claims.sub, 'sub')
  const audience = audienceOf(claims.aud)
  return issuedAtMs === undefined
    ? { subject, audience, expiresAtMs }
    : { subject, audience, expiresAtMs, issuedAtMs }
}

/**
 * `value` as an identifier: a string that is not blank, taken exactly as it stands.
 *
 * @throws {@link InboundAuthError} `ERR_BAD_CLAIMS` naming the claim.
 */
export function identifier(value: unknown, claim: string): string {
  if (typeof value !== 'string' || value.trim() === '' || !isWellFormed(value)) {
    throw badClaims(`${claim} is not a string with something in it`)
  }
  return value
}

/** The error for a claim of the wrong form. */
export function badClaims(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BAD_CLAIMS', { reason })
}

function expired(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_EXPIRED', { reason })
}

function notYetValid(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_NOT_YET_VALID', { reason })
}

/** Milliseconds of a NumericDate, which may be a fraction of seconds ([RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)). */
function numericDate(value: unknown, claim: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0 && value <= MAX_NUMERIC_DATE)) {
    throw badClaims(`${claim} is not a number of seconds up to the year 9999`)
  }
  return Math.floor(value * SECOND_MS)
}

/** Whether `value` is a list of strings and nothing else. */
export function isStringList(value: unknown): value is readonly string[] {
  if (!Array.isArray(value)) return false
  for (let at = 0; at < value.length; at++) {
    if (typeof value[at] !== 'string') return false
  }
  return true
}

function audienceOf(aud: unknown): readonly string[] {
  if (aud === undefined) return []
  if (typeof aud === 'string') return Object.freeze([aud])
  if (isStringList(aud)) return Object.freeze(aud)
  throw badClaims('aud is neither a string nor a list of strings')
}
