import { MINUTE_MS } from '../clock.js'
import type { Flow } from '../providers/provider.js'
import { MAX_COOL_DOWN_MS } from './failing.js'
import {
  consentScopes,
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
      /** What the server wants to know of the user besides. */
      readonly claims?: string
    }
  /** The server would not serve this grant a moment ago, and nobody asks it now. */
  | { readonly step: 'rest'; readonly reason: string; readonly untilMs: number }
  /** A consent asked for these scopes and did not bring them: the next one would end the same. */
  | {
      readonly step: 'not-granted'
      readonly missing: readonly string[]
      readonly asked: readonly string[]
      readonly granted: readonly string[]
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

/** A resource that refuses a new token refuses the next one too: it does not get one a call. */
const REFUSAL_REST_MS = MINUTE_MS

/** Whether the token took the place of one that the resource had refused, a moment ago: then it is not replaced again. */
function wasJustReplaced(token: StoredToken, nowMs: number): boolean {
  const sinceMs = nowMs - token.issuedAtMs
  return token.afterRefusal === true && sinceMs >= 0 && sinceMs < REFUSAL_REST_MS
}

/** Whether the token should be renewed while it is still good, and renewing it has not just failed. */
function isDue(grant: Grant, token: StoredToken, nowMs: number): boolean {
  return nowMs >= (token.renewFromMs ?? Number.POSITIVE_INFINITY) && !coolsDown(grant, nowMs)
}

/** Whether renewing failed a moment ago. What is further ahead than any cool-down is another clock's mistake. */
export function coolsDown(grant: Grant, nowMs: number): boolean {
  const leftMs = (grant.failing?.nextTryMs ?? Number.NEGATIVE_INFINITY) - nowMs
  return leftMs > 0 && leftMs <= MAX_COOL_DOWN_MS
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
    (held.value !== wanted.rejected || wasJustReplaced(held, nowMs)) &&
    isFresh(held, nowMs) &&
    missingScopes(wanted.scopes, held.scopes).length === 0

  const use = (token: StoredToken, renewal: Renewal | undefined): TokenPlan =>
    renewal && isDue(grant!, token, nowMs)
      ? { step: 'use', token, ahead: renewal }
      : { step: 'use', token }

  if (wanted.flow === 'M2M') {
    const renewal: Renewal = {
      step: 'acquire',
      scopes: unionScopes(ownDefaults(wanted), held?.scopes ?? [], wanted.scopes),
    }
    return usable ? use(held, renewal) : (resting(grant, wanted, nowMs) ?? renewal)
  }

  const active = grant?.state === 'active'
  const missing = missingScopes(wanted.scopes, grant?.scopes ?? [])
  if (grant !== undefined && missing.length === 0) {
    const renewal: Renewal | undefined =
      grant.refreshToken === undefined
        ? undefined
        : { step: 'refresh', refreshToken: grant.refreshToken }
    if (active && usable) return use(held, renewal)
    if (active && renewal) return resting(grant, wanted, nowMs) ?? renewal
    if (renewal && !coolsDown(grant, nowMs)) return renewal
  }
  if (active && missing.some((scope) => grant.notGranted?.includes(scope))) {
    return { step: 'not-granted', missing, asked: grant.requested, granted: grant.scopes }
  }
  const scopes = unionScopes(wanted.defaultScopes, grant?.scopes ?? [], wanted.scopes)
  return {
    step: 'consent',
    scopes,
    missing: active ? missing : missingScopes(wanted.scopes, []),
    ...(grant?.claims === undefined ? {} : { claims: grant.claims }),
  }
}

/** The default scopes of a token in the agent's own name: without those that only a user's consent can give. */
export function ownDefaults({ defaultScopes }: Wanted): readonly string[] {
  return defaultScopes.filter((scope) => !consentScopes.has(scope))
}

/** What to do while renewing has just failed: the token in hand, however little is left of it, or nothing at all. */
function resting(grant: Grant | undefined, wanted: Wanted, nowMs: number): TokenPlan | undefined {
  if (grant?.failing === undefined || !coolsDown(grant, nowMs)) return undefined
  const token = stillServes(grant, wanted, nowMs)
  if (token) return { step: 'use', token }
  const { code: reason, nextTryMs: untilMs, holds } = grant.failing
  return holds ? { step: 'rest', reason, untilMs } : undefined
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
