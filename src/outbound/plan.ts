import type { Flow } from '../providers/provider.js'
import {
  type Grant,
  missingScopes,
  type StoredToken,
  tokenFor,
  unionScopes,
  usableUntilMs,
} from './grant.js'

/** What the server is asked. */
export type Renewal =
  | { readonly step: 'refresh'; readonly refreshToken: string }
  | { readonly step: 'acquire'; readonly scopes: readonly string[] }

/** The next step towards a usable token. */
export type TokenPlan =
  | {
      readonly step: 'use'
      readonly token: StoredToken
      /** What to do meanwhile, so that nobody waits later: the token in hand nears its end. */
      readonly ahead?: Renewal
    }
  | Renewal
  | {
      readonly step: 'consent'
      readonly scopes: readonly string[]
      /** Those of the wanted scopes that are not granted. */
      readonly missing: readonly string[]
    }

/** What is wanted of a grant. */
export interface Wanted {
  readonly flow: Flow
  readonly scopes: readonly string[]
  readonly resource?: string | undefined
  /** Scopes that every new grant asks for. */
  readonly defaultScopes: readonly string[]
  /** The value of a token that the resource refused. */
  readonly rejected?: string | undefined
}

/**
 * Whether the token lives long enough to be handed out. One without expiry does, until the resource refuses it:
 * RFC 6749 §5.1 makes `expires_in` optional.
 */
export function isFresh(token: StoredToken, nowMs: number): boolean {
  return nowMs < (usableUntilMs(token) ?? Number.POSITIVE_INFINITY)
}

/** Whether the token should be renewed while it is still good, and renewing it has not just failed. */
function isDue(grant: Grant, token: StoredToken, nowMs: number): boolean {
  return nowMs >= (token.renewFromMs ?? Number.POSITIVE_INFINITY) && !coolsDown(grant, nowMs)
}

/** Whether renewing failed a moment ago. */
export function coolsDown(grant: Grant, nowMs: number): boolean {
  return nowMs < (grant.failing?.nextTryMs ?? Number.NEGATIVE_INFINITY)
}

/**
 * Decides what to do with the grant in hand. Pure: no clock, no network, no store; never throws.
 *
 * A token serves any subset of what it was granted. A refresh cannot add scopes (RFC 6749 §6), so a scope that was never
 * granted needs a new grant, which asks for the union: otherwise two tools would take turns evicting each other.
 *
 * @param grant What the vault has, if anything.
 * @param nowMs Milliseconds since the epoch.
 * @see {@link https://www.rfc-editor.org/rfc/rfc6749#section-6}
 */
export function planToken(grant: Grant | undefined, wanted: Wanted, nowMs: number): TokenPlan {
  const held = grant && tokenFor(grant, wanted.resource)
  const usable =
    held !== undefined &&
    held.value !== wanted.rejected &&
    isFresh(held, nowMs) &&
    missingScopes(wanted.scopes, held.scopes).length === 0

  const use = (token: StoredToken, renewal: Renewal | undefined): TokenPlan =>
    renewal && isDue(grant!, token, nowMs)
      ? { step: 'use', token, ahead: renewal }
      : { step: 'use', token }

  if (wanted.flow === 'M2M') {
    const renewal: Renewal = {
      step: 'acquire',
      scopes: unionScopes(wanted.defaultScopes, held?.scopes ?? [], wanted.scopes),
    }
    return usable ? use(held, renewal) : renewal
  }

  const active = grant?.state === 'active'
  const missing = missingScopes(wanted.scopes, active ? grant.scopes : [])
  if (active && missing.length === 0) {
    const renewal: Renewal | undefined =
      grant.refreshToken === undefined
        ? undefined
        : { step: 'refresh', refreshToken: grant.refreshToken }
    if (usable) return use(held, renewal)
    if (renewal) return renewal
  }
  const scopes = unionScopes(wanted.defaultScopes, grant?.scopes ?? [], wanted.scopes)
  return { step: 'consent', scopes, missing }
}

/** Whether a token that could not be renewed may still be served: it covers what is wanted and has not ended. */
export function stillServes(
  grant: Grant | undefined,
  wanted: Wanted,
  nowMs: number,
): StoredToken | undefined {
  const held = grant && tokenFor(grant, wanted.resource)
  if (!held || held.value === wanted.rejected) return undefined
  if (missingScopes(wanted.scopes, held.scopes).length > 0) return undefined
  return held.expiresAtMs === undefined || held.expiresAtMs > nowMs ? held : undefined
}
