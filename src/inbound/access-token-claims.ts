import { InboundAuthError } from '../errors/inbound.js'
import { badClaims, identifier, isStringList } from '../jwt/claims.js'
import { checkDecision, checkReason } from '../option-names.js'
import type { JsonObject } from '../strict-json.js'
import { mediaType, type TokenProfile } from './token-profile.js'

/** Kinds of token, as Amazon Cognito's and Ory's `token_use` and Keycloak's `typ` claim name them. */
const foreignUses = ['id', 'id_token', 'refresh', 'refresh_token', 'offline', 'logout']

/**
 * Refuses what is signed by the issuer but is no access token: ID tokens, refresh and logout tokens, proofs, assertions
 * ([RFC 8725 §3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)).
 *
 * @throws {@link InboundAuthError} `ERR_TOKEN_TYPE`.
 */
export function refuseOtherTokens(
  typ: string | undefined,
  claims: JsonObject,
  profile: TokenProfile = {},
): void {
  checkType(typ, profile.typ)
  const foreign = foreignClaim(claims)
  if (foreign !== undefined) throw wrongType(`an access token has no ${foreign}`)
  refuseOtherUses(claims)
  if (!profile.refuse) return
  const reason = checkReason(profile.refuse(claims), 'profile.refuse')
  if (reason !== undefined) throw wrongType(reason)
}

function checkType(typ: string | undefined, wanted: string | undefined): void {
  if (wanted === undefined && (typ === 'at+jwt' || typ === 'JWT' || typ === undefined)) return
  const type = mediaType(typ)
  if (wanted !== undefined) {
    if (type !== mediaType(wanted)) throw wrongType(`typ is not ${wanted}`)
  } else if (type !== 'jwt' && type !== 'at+jwt') {
    throw wrongType('typ is neither JWT nor at+jwt') // at+jwt: RFC 9068 §2.1
  }
}

/** A claim that only an ID token (OpenID Connect Core §2, §3.3.2.11) or a security event (RFC 8417) has. */
function foreignClaim(claims: JsonObject): string | undefined {
  // One by one, by name: a loop over names costs V8 a search for each.
  if (claims.nonce !== undefined) return 'nonce'
  if (claims.at_hash !== undefined) return 'at_hash'
  if (claims.c_hash !== undefined) return 'c_hash'
  if (claims.s_hash !== undefined) return 's_hash'
  return claims.events === undefined ? undefined : 'events'
}

/** @throws {@link InboundAuthError} `ERR_TOKEN_TYPE`: `token_use` or `typ` among the claims names another kind of token. */
export function refuseOtherUses(claims: JsonObject): void {
  const { token_use: use, typ } = claims
  if (use !== undefined) refuseUse('token_use', use)
  if (typ !== undefined) refuseUse('typ', typ)
}

function refuseUse(claim: string, use: unknown): void {
  if (typeof use !== 'string' || foreignUses.includes(use.toLowerCase())) {
    throw wrongType(`${claim} says that it is not an access token`)
  }
}

/** The client the token was issued to: `client_id` (RFC 9068 §2.2), else `azp`, or what the profile says. */
export function clientOf(claims: JsonObject, profile: TokenProfile = {}): string | undefined {
  const claim = profile.clientClaims
    ? firstOf(claims, profile.clientClaims)
    : claims.client_id !== undefined
      ? 'client_id'
      : claims.azp !== undefined
        ? 'azp'
        : undefined
  return claim === undefined ? undefined : identifier(claims[claim], claim)
}

/**
 * The scopes of the token: `scope` as [RFC 8693 §4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2) has it, one
 * string split at single spaces, else `scp` as a string or a list, or what the profile says. Nothing is trimmed or
 * folded.
 */
export function scopesOf(
  claims: JsonObject,
  profile: TokenProfile = {},
  known?: KnownScopes,
): readonly string[] {
  if (!profile.scopeClaims && typeof claims.scope === 'string') {
    return known ? known.split(claims.scope) : split(claims.scope)
  }
  const claim = firstOf(claims, profile.scopeClaims ?? ['scope', 'scp'])
  if (claim === undefined) return []
  const value = claims[claim]
  if (typeof value === 'string') return split(value)
  if (claim === 'scope' && !profile.scopeLists) throw badClaims('scope is not a string')
  if (isStringList(value)) return value
  throw badClaims(`${claim} is neither a string nor a list of strings`)
}

/**
 * Whether a client got the token for itself: its subject is the client (RFC 9068 §2.2), or the token says so in Auth0's
 * or Microsoft Entra's words, or in those of the profile.
 */
export function isOwnToken(
  claims: JsonObject,
  subject: string,
  client?: string,
  profile: TokenProfile = {},
): boolean {
  if (subject === client) return true
  if (profile.isClient) return checkDecision(profile.isClient(claims), 'profile.isClient')
  return claims.gty === 'client-credentials' || claims.idtyp === 'app'
}

/**
 * Whether a token without `sub` is its client's own, because the profile says so and nothing in it names a user.
 *
 * @throws {@link InboundAuthError} `ERR_BAD_CLAIMS`: it is somebody else's, or names no client.
 */
export function isOwnWithoutSubject(
  claims: JsonObject,
  client: string | undefined,
  profile: TokenProfile,
): boolean {
  if (claims.sub !== undefined || profile.tokensWithoutSubject !== 'client') return false
  if (client === undefined) throw badClaims('the token has neither sub nor a client')
  refuseUserNames(claims)
  if (profile.isClient && !checkDecision(profile.isClient(claims), 'profile.isClient')) {
    throw badClaims("sub is missing, and the token is not a client's own")
  }
  return true
}

/** Members that name a user beside `sub`, or instead of it: RFC 7662, OpenID Connect, and the large servers. */
const userNames = ['username', 'preferred_username', 'user_name', 'user_id', 'email', 'upn']

/** @throws {@link InboundAuthError} `ERR_BAD_CLAIMS`: a token without a subject names a user, so that it is no client's own. */
export function refuseUserNames(claims: JsonObject): void {
  const name = userNames.find((one) => claims[one] !== undefined)
  if (name === undefined) return
  throw badClaims(
    `the token has no subject, but ${name} names a user: a client's own token has none`,
  )
}

/** How many lists of scopes are remembered, and of which length. */
const MAX_LISTS = 64
const MAX_LIST_LENGTH = 256

/** Lists of scopes by their exact text: an issuer's tokens share a few. */
export class KnownScopes {
  readonly #lists = new Map<string, readonly string[]>()

  split(text: string): readonly string[] {
    const known = this.#lists.get(text)
    if (known) return known
    const scopes = split(text)
    if (text.length > MAX_LIST_LENGTH) return scopes
    if (this.#lists.size >= MAX_LISTS) this.#lists.clear()
    this.#lists.set(text, scopes)
    return scopes
  }
}

function split(text: string): readonly string[] {
  const scopes = text.split(' ')
  return Object.freeze(scopes.includes('') ? scopes.filter((one) => one !== '') : scopes)
}

function firstOf(claims: JsonObject, names: readonly string[]): string | undefined {
  return names.find((name) => claims[name] !== undefined)
}

function wrongType(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_TYPE', { reason })
}
