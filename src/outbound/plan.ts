import { MINUTE_MS } from '../clock.js'
import type { Flow } from '../providers/provider.js'
import { type Grant, missingScopes, type StoredToken, tokenFor, unionScopes } from './grant.js'

/** The next step towards a usable token. */
export type TokenPlan =
  | { readonly step: 'use'; readonly token: StoredToken }
  | { readonly step: 'refresh'; readonly refreshToken: string }
  | { readonly step: 'acquire'; readonly scopes: readonly string[] }
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

/** A token is used while it has this long left, or half of its whole life if that is shorter. */
export const MIN_TTL_MS = MINUTE_MS

/**
 * Whether the token lives long enough to be handed out. One without expiry does, until the resource refuses it:
 * RFC 6749 §5.1 makes `expires_in` optional.
 */
export function isFresh(token: StoredToken, nowMs: number): boolean {
  if (token.expiresAtMs === undefined) return true
  const lifetimeMs = token.expiresAtMs - token.issuedAtMs
  return token.expiresAtMs - nowMs > Math.min(MIN_TTL_MS, lifetimeMs / 2)
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

  if (wanted.flow === 'M2M') {
    if (usable) return { step: 'use', token: held }
    return {
      step: 'acquire',
      scopes: unionScopes(wanted.defaultScopes, held?.scopes ?? [], wanted.scopes),
    }
  }

  const active = grant?.state === 'active'
  const missing = missingScopes(wanted.scopes, active ? grant.scopes : [])
  if (active && missing.length === 0) {
    if (usable) return { step: 'use', token: held }
    if (grant.refreshToken !== undefined) {
      return { step: 'refresh', refreshToken: grant.refreshToken }
    }
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
