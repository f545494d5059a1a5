import { randomId } from '../bytes.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { actClaim, actorOf, MAX_ACTORS } from '../jwt/actor.js'
import { badClaims, identifier, readClaims } from '../jwt/claims.js'
import { type PublicJwk, type SigningKey, signJwt } from '../jwt/sign.js'
import { parseJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import type { Actor, UserRef } from '../principal.js'
import { isJsonObject, type JsonObject } from '../strict-json.js'
import type { Acting } from './acting.js'

/** How long a workload access token is good. */
export const WORKLOAD_TOKEN_LIFETIME_MS = 15 * MINUTE_MS

/** A type of its own (RFC 8725 §3.11): it passes for no user's access token, and no such token for it. */
const WORKLOAD_TOKEN_TYPE = 'workload-access-token+jwt'

/** What a workload access token says. */
export interface WorkloadAccess {
  readonly issuer: string
  /** The workload's name: the token's `sub`. */
  readonly workload: string
  readonly user?: UserRef
  readonly userKnown?: 'verified' | 'asserted'
  /** Who called the workload for that user, where it was another agent; and who called that one. */
  readonly actor?: Actor
  readonly audience: readonly string[]
  readonly expiresAtMs: number
  readonly tokenId: string
}

/** Signs "this agent, for this user": `sub` is the workload, the user a pair in `user`, who stood before it in `act`. */
export async function mintWorkloadToken(request: {
  readonly issuer: string
  readonly acting: Acting
  readonly audience: string
  readonly key: SigningKey
  readonly nowMs: number
}): Promise<string> {
  const { issuer, acting, audience, key, nowMs } = request
  const issuedAt = Math.floor(nowMs / SECOND_MS)
  const { user, userKnown, actor } = acting
  return signJwt(
    {
      iss: issuer,
      sub: acting.workload.name,
      aud: audience,
      iat: issuedAt,
      exp: issuedAt + WORKLOAD_TOKEN_LIFETIME_MS / SECOND_MS,
      jti: randomId(),
      ...(user ? { user: { iss: user.issuer, sub: user.subject }, user_known: userKnown } : {}),
      ...(actor ? { act: actClaim(actor) } : {}),
    },
    WORKLOAD_TOKEN_TYPE,
    key,
  )
}

/**
 * Verifies a token that {@link mintWorkloadToken} made for this workload.
 *
 * @throws {@link InboundAuthError}
 */
export async function verifyWorkloadToken(
  token: string,
  expected: {
    readonly issuer: string
    readonly name: string
    readonly audience: string
    readonly keys: readonly PublicJwk[]
    readonly nowMs: number
  },
): Promise<WorkloadAccess> {
  const jws = parseJws(token)
  const key = expected.keys.find(({ kid }) => kid === jws.header.kid)
  if (!key) throw new InboundAuthError('ERR_UNKNOWN_KEY', { reason: 'no key of that id' })
  await verifyJws(jws, { ...key }, ['ES256'])
  const access = readWorkloadAccess(jws.header.typ, jws.payload, {
    issuer: expected.issuer,
    audience: [expected.audience],
    nowMs: expected.nowMs,
  })
  if (access.workload !== expected.name) throw badClaims('sub is another workload')
  return access
}

/**
 * Reads a workload access token whose signature was verified.
 *
 * @throws {@link InboundAuthError}
 */
export function readWorkloadAccess(
  typ: string | undefined,
  claims: JsonObject,
  expected: {
    readonly issuer: string
    /** Any of these. */
    readonly audience: readonly string[]
    readonly nowMs: number
    readonly clockToleranceMs?: number | undefined
  },
): WorkloadAccess {
  // RFC 7515 §4.1.9: "application/" may be left out, and media types ignore case.
  if (typ?.toLowerCase().replace(/^application\//, '') !== WORKLOAD_TOKEN_TYPE) {
    throw new InboundAuthError('ERR_TOKEN_TYPE', { reason: `typ is not ${WORKLOAD_TOKEN_TYPE}` })
  }
  if (claims.iss !== expected.issuer) {
    throw new InboundAuthError('ERR_UNKNOWN_ISSUER', { reason: 'iss is another issuer' })
  }
  const { nowMs, clockToleranceMs } = expected
  const { subject, audience, expiresAtMs } = readClaims(claims, { nowMs, clockToleranceMs })
  if (!audience.some((one) => expected.audience.includes(one))) {
    throw new InboundAuthError('ERR_AUDIENCE_MISMATCH', {
      reason: 'aud does not hold the audience',
    })
  }
  // The workload itself is the first of the chain.
  const actor = actorOf(claims, MAX_ACTORS - 1)
  return Object.freeze({
    issuer: expected.issuer,
    workload: subject,
    ...readUser(claims.user, claims.user_known),
    ...(actor ? { actor } : {}),
    audience,
    expiresAtMs,
    tokenId: identifier(claims.jti, 'jti'),
  })
}

function readUser(user: unknown, known: unknown): Pick<WorkloadAccess, 'user' | 'userKnown'> {
  if (user === undefined) return {}
  if (!isJsonObject(user) || (known !== 'verified' && known !== 'asserted')) {
    throw badClaims('user is not a pair with user_known')
  }
  return {
    user: Object.freeze({
      issuer: identifier(user.iss, 'user.iss'),
      subject: identifier(user.sub, 'user.sub'),
    }),
    userKnown: known,
  }
}
