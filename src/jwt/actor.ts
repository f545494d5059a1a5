import type { Actor } from '../principal.js'
import { isJsonObject, type JsonObject, seal } from '../strict-json.js'
import { badClaims, identifier } from './claims.js'

/** The longest chain of actors, the current one included. */
export const MAX_ACTORS = 8

/**
 * The chain of actors in `act` ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)).
 *
 * @param max The longest chain that is accepted. Default {@link MAX_ACTORS}.
 * @throws `InboundAuthError` `ERR_BAD_CLAIMS`.
 */
export function actorOf(claims: JsonObject, max = MAX_ACTORS): Actor | undefined {
  return readActor(seal(claims.act), max, max)
}

function readActor(act: unknown, left: number, max: number): Actor | undefined {
  if (act === undefined) return undefined
  if (!isJsonObject(act)) throw badClaims('act is not an object')
  if (left === 0) throw badClaims(`act names more than ${max} actors`)
  const { sub, iss } = act
  const actor = readActor(act.act, left - 1, max)
  return {
    ...(iss === undefined ? {} : { issuer: identifier(iss, 'act.iss') }),
    subject: identifier(sub, 'act.sub'),
    ...(actor ? { actor } : {}),
  }
}

/** The chain as a claim. */
export function actClaim(actor: Actor): JsonObject {
  return {
    sub: actor.subject,
    ...(actor.issuer === undefined ? {} : { iss: actor.issuer }),
    ...(actor.actor ? { act: actClaim(actor.actor) } : {}),
  }
}
