import { MINUTE_MS } from '../clock.js'
import type { Grant, StoredToken } from './grant.js'

/** By how much the clock of another machine may be ahead of ours before one of the two must be wrong. */
export const MAX_AHEAD_MS = 5 * MINUTE_MS

/**
 * The grant as it is to a machine whose clock says `nowMs`, though another machine dated it. A token that seems to come
 * from up to five minutes ahead lives for its lifetime from now; one from further ahead is left out, since nobody knows
 * when it ends.
 */
export function seenAt(grant: Grant, nowMs: number): Grant {
  if (grant.tokens.every((token) => token.issuedAtMs <= nowMs)) return grant
  const tokens = grant.tokens.flatMap((token) => {
    const aheadMs = token.issuedAtMs - nowMs
    if (aheadMs <= 0 || token.expiresAtMs === undefined) return [token]
    return aheadMs > MAX_AHEAD_MS ? [] : [shifted(token, token.expiresAtMs, aheadMs)]
  })
  return { ...grant, tokens }
}

/** How far ahead a token is dated, in milliseconds, where that is so far that a clock is wrong. */
export function clockAheadMs(grant: Grant, nowMs: number): number | undefined {
  const aheadMs = Math.max(0, ...grant.tokens.map((token) => token.issuedAtMs - nowMs))
  return aheadMs > MAX_AHEAD_MS ? aheadMs : undefined
}

function shifted(token: StoredToken, expiresAtMs: number, byMs: number): StoredToken {
  const { renewFromMs } = token
  return {
    ...token,
    issuedAtMs: token.issuedAtMs - byMs,
    expiresAtMs: expiresAtMs - byMs,
    ...(renewFromMs === undefined ? {} : { renewFromMs: renewFromMs - byMs }),
  }
}
