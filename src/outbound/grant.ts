import { MINUTE_MS } from '../clock.js'
import type { AuthorizationServer } from '../oauth/server.js'
import type { TokenAnswer } from '../oauth/token-answer.js'
import type { UserRef } from '../principal.js'
import type { Flow, OAuth2Provider } from '../providers/provider.js'
import type { RowKey } from '../vault/row-key.js'
import type { Acting } from '../workload/acting.js'
import type { Failing } from './failing.js'

/** One access token as the vault holds it. */
export interface StoredToken {
  /** The resource indicator it was asked with. */
  readonly resource?: string
  readonly value: string
  readonly tokenType: string
  readonly scopes: readonly string[]
  readonly issuedAtMs: number
  readonly expiresAtMs?: number
  /** From here on it is renewed while it is served. Its own, so that tokens that end together are not renewed together. */
  readonly renewFromMs?: number
  /** It was got because the resource had refused the token before it. */
  readonly afterRefusal?: true
}

/** What the vault holds of one grant: a user's at a provider, or the agent's own (`M2M`). */
export interface Grant {
  /** `needs_consent`: the provider does not honour it any more, or the user ended it; kept so that one can see why. */
  readonly state: 'active' | 'needs_consent'
  readonly reason?: string
  /**
   * Of a user's grant: the number that its consent, or the disconnect, was given by the user's connections row. A row is
   * written over by a higher number only. It is no time: no clock decides which of two came later.
   */
  readonly order?: number
  /** Absent while renewing works. */
  readonly failing?: Failing
  /** When the user consented last. */
  readonly connectedAtMs?: number
  readonly refreshedAtMs?: number
  /** Scopes granted. */
  readonly scopes: readonly string[]
  /** Scopes that were asked for. */
  readonly requested: readonly string[]
  /** Those of `requested` that the consent did not bring. */
  readonly notGranted?: readonly string[]
  /**
   * In a grant that needs consent it is one that was refused in words that are not clear about it: it is tried once more
   * before the user is asked.
   */
  readonly refreshToken?: string
  /** What the server wants to know of the user besides, for the next consent. */
  readonly claims?: string
  /** The account's subject at an OpenID provider: the same label never becomes another account. */
  readonly accountSubject?: string
  /** One a resource. */
  readonly tokens: readonly StoredToken[]
}

/** One row, and the server that its grant is at. */
export interface GrantTarget {
  readonly name: string
  readonly row: RowKey
  readonly server: AuthorizationServer
}

/** Why a grant is one that the user ended. */
export const DISCONNECTED = 'disconnected'

/** JSON of an array of strings and nulls is as injective as a length-prefixed tuple. */
export function rowName(row: RowKey): string {
  return JSON.stringify(row.owner.map((part) => part ?? null))
}

/** A grant that holds nothing yet. */
export const emptyGrant: Grant = Object.freeze({
  state: 'active',
  scopes: Object.freeze([]),
  requested: Object.freeze([]),
  tokens: Object.freeze([]),
})

/** What stands in the place of a grant that the user ended: no secret, and a number that older consents give way to. */
export function tombstone(order: number): Grant {
  return { ...emptyGrant, state: 'needs_consent', reason: DISCONNECTED, order }
}

/** At most so many resources a grant; the oldest token gives way. */
const MAX_TOKENS = 16

/** The token for `resource`. */
export function tokenFor(grant: Grant, resource: string | undefined): StoredToken | undefined {
  return grant.tokens.find((token) => token.resource === resource)
}

/** The grant with one more token, or with a newer one in its place. */
export function withToken(grant: Grant, token: StoredToken): Grant {
  const others = grant.tokens.filter((other) => other.resource !== token.resource)
  return { ...grant, tokens: [token, ...others].slice(0, MAX_TOKENS) }
}

/** Of the time that a token may be handed out, the share after which it is renewed, and by how much that varies. */
const RENEW_SHARE = 0.8
const RENEW_JITTER = 0.1

/** A token is used while it has this long left, or half of its whole life if that is shorter. */
export const MIN_TTL_MS = MINUTE_MS

/** When the token stops being handed out; `undefined` for one without expiry. */
export function usableUntilMs(token: StoredToken): number | undefined {
  if (token.expiresAtMs === undefined) return undefined
  return token.expiresAtMs - Math.min(MIN_TTL_MS, (token.expiresAtMs - token.issuedAtMs) / 2)
}

/** The token of an answer, as the vault holds it. */
export function storedToken(
  answer: TokenAnswer,
  resource: string | undefined,
  nowMs: number,
  random: () => number = Math.random,
): StoredToken {
  const token = plainToken(answer, resource, nowMs)
  const endMs = usableUntilMs(token)
  if (endMs === undefined) return token
  const share = RENEW_SHARE * (1 + RENEW_JITTER * (2 * random() - 1))
  return { ...token, renewFromMs: Math.round(nowMs + (endMs - nowMs) * share) }
}

function plainToken(answer: TokenAnswer, resource: string | undefined, nowMs: number): StoredToken {
  return {
    ...(resource === undefined ? {} : { resource }),
    value: answer.accessToken,
    tokenType: answer.tokenType,
    scopes: answer.scopes,
    issuedAtMs: nowMs,
    ...(answer.expiresAtMs === undefined ? {} : { expiresAtMs: answer.expiresAtMs }),
  }
}

/** These say what a consent gives (an ID token, a refresh token), not what an access token may do; servers do not echo them. */
export const consentScopes: ReadonlySet<string> = new Set(['openid', 'offline_access'])

/** Those of `wanted` that `granted` lacks. */
export function missingScopes(wanted: readonly string[], granted: readonly string[]): string[] {
  if (wanted.length === 0) return []
  const has = new Set(granted)
  return wanted.filter((scope) => !consentScopes.has(scope) && !has.has(scope))
}

/** Every scope of the lists once, in order. */
export function unionScopes(...lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())]
}

/** Whose grant a row is, by what its key names; for the audit and for messages. */
export interface GrantName {
  readonly workload: string
  readonly workloadIssuer?: string
  readonly flow: string
  readonly user?: UserRef
  readonly provider: string
  readonly account?: string
}

/** The other way round from {@link grantKey}. */
export function grantName({ owner }: RowKey): GrantName {
  const [workloadIssuer, workload = '', flow = '', issuer, subject, provider = '', , , account] =
    owner
  return {
    workload,
    ...(workloadIssuer === undefined ? {} : { workloadIssuer }),
    flow,
    ...(issuer === undefined || subject === undefined ? {} : { user: { issuer, subject } }),
    provider,
    ...(account === undefined ? {} : { account }),
  }
}

/** Whose grant, at which client of which server. Scopes and resources are no part of it. */
export function grantKey(
  acting: Pick<Acting, 'workload' | 'user'>,
  flow: Flow,
  name: string,
  provider: Pick<OAuth2Provider, 'issuer' | 'clientId'>,
  account: string | undefined,
): RowKey {
  const user = flow === 'M2M' ? undefined : acting.user
  return {
    kind: 'grant',
    owner: [
      acting.workload.issuer,
      acting.workload.name,
      flow,
      user?.issuer,
      user?.subject,
      name,
      provider.issuer,
      provider.clientId,
      flow === 'M2M' ? undefined : account,
    ],
  }
}
