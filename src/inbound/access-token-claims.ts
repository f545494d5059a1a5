import { InboundAuthError } from '../errors/inbound.js'
import { badClaims, identifier } from '../jwt/claims.js'
import type { JsonObject } from '../jwt/strict-json.js'
import { mediaType, type TokenProfile } from './token-profile.js'

/** Claims that only an ID token (OpenID Connect Core §2, §3.3.2.11) or a security event (RFC 8417) has. */
const foreignClaims = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events']
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
  const type = mediaType(typ)
  if (profile.typ !== undefined) {
    if (type !== mediaType(profile.typ)) throw wrongType(`typ is not ${profile.typ}`)
  } else if (type !== undefined && type !== 'jwt' && type !== 'at+jwt') {
    throw wrongType('typ is neither JWT nor at+jwt') // at+jwt: RFC 9068 §2.1
  }
  for (const claim of foreignClaims) {
    if (claim in claims) throw wrongType(`an access token has no ${claim}`)
  }
  refuseOtherUses(claims)
  const reason = profile.refuse?.(claims)
  if (reason !== undefined) throw wrongType(reason)
}

/** @throws {@link InboundAuthError} `ERR_TOKEN_TYPE`: `token_use` or `typ` among the claims names another kind of token. */
export function refuseOtherUses(claims: JsonObject): void {
  for (const claim of ['token_use', 'typ']) {
    const use = claims[claim]
    if (use === undefined) continue
    if (typeof use !== 'string' || foreignUses.includes(use.toLowerCase())) {
      throw wrongType(`${claim} says that it is not an access token`)
    }
  }
}

/** The client the token was issued to: `client_id` (RFC 9068 §2.2), else `azp`, or what the profile says. */
export function clientOf(claims: JsonObject, profile: TokenProfile = {}): string | undefined {
  const claim = firstOf(claims, profile.clientClaims ?? ['client_id', 'azp'])
  return claim === undefined ? undefined : identifier(claims[claim], claim)
}

/**
 * The scopes of the token: `scope` as [RFC 8693 §4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2) has it, one
 * string split at single spaces, else `scp` as a string or a list, or what the profile says. Nothing is trimmed or
 * folded.
 */
export function scopesOf(claims: JsonObject, profile: TokenProfile = {}): readonly string[] {
  const claim = firstOf(claims, profile.scopeClaims ?? ['scope', 'scp'])
  if (claim === undefined) return []
  const value = claims[claim]
  if (typeof value === 'string') return value.split(' ').filter((one) => one !== '')
  if (claim === 'scope') throw badClaims('scope is not a string')
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value
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
  if (profile.isClient) return profile.isClient(claims)
  return claims.gty === 'client-credentials' || claims.idtyp === 'app'
}

function firstOf(claims: JsonObject, names: readonly string[]): string | undefined {
  return names.find((name) => claims[name] !== undefined)
}

function wrongType(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_TYPE', { reason })
}
