import { InboundAuthError } from '../errors/inbound.js'
import { badClaims, identifier } from '../jwt/claims.js'
import { isJsonObject, type JsonObject } from '../jwt/strict-json.js'
import type { Actor } from '../principal.js'

/** The longest chain of actors, the current one included. */
const MAX_ACTORS = 8

/** Claims that only an ID token (OpenID Connect Core §2, §3.3.2.11) or a security event (RFC 8417) has. */
const foreignClaims = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events']
/** Kinds of token, as Amazon Cognito's `token_use` and Keycloak's `typ` claim name them. */
const foreignUses = ['id', 'refresh', 'offline', 'logout']

/**
 * Refuses what is signed by the issuer but is no bearer access token: ID tokens, refresh and logout tokens, proofs, and
 * tokens bound to a key ([RFC 8725 §3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)).
 *
 * @throws {@link InboundAuthError} `ERR_TOKEN_TYPE`, `ERR_PROOF_REQUIRED`.
 */
export function refuseOtherTokens(typ: string | undefined, claims: JsonObject): void {
  // RFC 7515 §4.1.9: "application/" may be left out, and media types ignore case. at+jwt: RFC 9068 §2.1.
  const type = typ?.toLowerCase().replace(/^application\//, '')
  if (type !== undefined && type !== 'jwt' && type !== 'at+jwt') {
    throw wrongType('typ is neither JWT nor at+jwt')
  }
  for (const claim of foreignClaims) {
    if (claim in claims) throw wrongType(`an access token has no ${claim}`)
  }
  for (const claim of ['token_use', 'typ']) {
    const use = claims[claim]
    if (use === undefined) continue
    if (typeof use !== 'string' || foreignUses.includes(use.toLowerCase())) {
      throw wrongType(`${claim} says that it is not an access token`)
    }
  }
  if (claims.cnf !== undefined) {
    throw new InboundAuthError('ERR_PROOF_REQUIRED', {
      reason: 'the token is bound to a key (cnf), and bearer use proves no possession of it',
    })
  }
}

/** The client the token was issued to: `client_id` (RFC 9068 §2.2), else `azp`. */
export function clientOf(claims: JsonObject): string | undefined {
  if (claims.client_id !== undefined) return identifier(claims.client_id, 'client_id')
  return claims.azp === undefined ? undefined : identifier(claims.azp, 'azp')
}

/**
 * The scopes of the token: `scope` as [RFC 8693 §4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2) has it, one
 * string split at single spaces, else `scp` as a string or a list. Nothing is trimmed or folded.
 */
export function scopesOf(claims: JsonObject): readonly string[] {
  const { scope, scp } = claims
  if (scope !== undefined) {
    if (typeof scope !== 'string') throw badClaims('scope is not a string')
    return split(scope)
  }
  if (scp === undefined) return []
  if (typeof scp === 'string') return split(scp)
  if (Array.isArray(scp) && scp.every((one) => typeof one === 'string')) return scp as string[]
  throw badClaims('scp is neither a string nor a list of strings')
}

function split(scope: string): readonly string[] {
  return scope.split(' ').filter((one) => one !== '')
}

/**
 * Whether a client got the token for itself: its subject is the client (RFC 9068 §2.2), or the token says so in Auth0's
 * or Microsoft Entra's words.
 */
export function isOwnToken(claims: JsonObject, subject: string, client?: string): boolean {
  return subject === client || claims.gty === 'client-credentials' || claims.idtyp === 'app'
}

/** The chain of actors ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). */
export function actorOf(claims: JsonObject): Actor | undefined {
  return readActor(claims.act, MAX_ACTORS)
}

function readActor(act: unknown, left: number): Actor | undefined {
  if (act === undefined) return undefined
  if (!isJsonObject(act)) throw badClaims('act is not an object')
  if (left === 0) throw badClaims(`act names more than ${MAX_ACTORS} actors`)
  const { sub, iss } = act
  const actor = readActor(act.act, left - 1)
  return {
    ...(iss === undefined ? {} : { issuer: identifier(iss, 'act.iss') }),
    subject: identifier(sub, 'act.sub'),
    ...(actor ? { actor } : {}),
  }
}

function wrongType(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_TYPE', { reason })
}
