import type { TokenAnswer } from '../oauth/token-answer.js'
import type { Failing } from './failing.js'
import { type Grant, type StoredToken, withToken } from './grant.js'

/** The row once the agent got a token in its own name. */
export function acquired(
  now: Grant,
  answer: TokenAnswer,
  token: StoredToken,
  requested: readonly string[],
): Grant {
  const { failing: _, ...grant } = now
  return withToken({ ...grant, scopes: answer.scopes, requested }, token)
}

/**
 * The row once a refresh token was spent. Where a consent has changed the scopes meanwhile, only the new refresh token is
 * taken over: what the user just granted is wider, or narrower, than what this refresh began with.
 */
export function refreshed(
  now: Grant,
  claimed: Grant,
  answer: TokenAnswer,
  token: StoredToken,
): Grant {
  const { failing: _, reason: _reason, claims: _claims, ...rest } = now
  const refreshToken = answer.refreshToken ?? now.refreshToken
  const grant: Grant = {
    ...rest,
    state: 'active',
    ...(refreshToken === undefined ? {} : { refreshToken }),
    refreshedAtMs: token.issuedAtMs,
  }
  if (!sameScopes(now.scopes, claimed.scopes)) return grant
  // A server may narrow a grant at a refresh; a token for one resource says nothing of the others.
  return withToken(
    token.resource === undefined ? { ...grant, scopes: answer.scopes } : grant,
    token,
  )
}

/** The row once a refresh token was spent for an answer that is not in order: the new one in it is kept. */
export function salvaged(now: Grant, refreshToken: string, failing: Failing): Grant {
  return { ...now, refreshToken, failing }
}

/** The row once the server refused its refresh token: kept, without a secret, so that one can see why. */
export function ended(grant: Grant, reason: string): Grant {
  const { refreshToken: _, failing: _failing, ...rest } = grant
  return { ...rest, state: 'needs_consent', reason, tokens: [] }
}

/** The row once the user has to be asked, though its refresh token may be good: it stays, and is tried again first. */
export function suspended(grant: Grant, failing: Failing, claims: string | undefined): Grant {
  const { claims: _, ...rest } = grant
  return {
    ...rest,
    state: 'needs_consent',
    reason: failing.code,
    failing,
    ...(claims === undefined ? {} : { claims }),
    tokens: [],
  }
}

function sameScopes(a: readonly string[], b: readonly string[]): boolean {
  const has = new Set(b)
  return a.length === b.length && a.every((scope) => has.has(scope))
}
