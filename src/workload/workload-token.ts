import { randomId } from '../bytes.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { badClaims, identifier, readClaims } from '../jwt/claims.js'
import { type PublicJwk, type SigningKey, signJwt } from '../jwt/sign.js'
import { isJsonObject } from '../jwt/strict-json.js'
import { parseJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import type { UserRef } from '../principal.js'
import type { Acting } from './acting.js'

/** How long a workload access token is good. */
export const WORKLOAD_TOKEN_LIFETIME_MS = 15 * MINUTE_MS

/** A type of its own (RFC 8725 §3.11): it passes for no user's access token, and no such token for it. */
const TYP = 'workload-access-token+jwt'

/** What a workload access token says. */
export interface WorkloadAccess {
  readonly issuer: string
  /** The workload's name: the token's `sub`. */
  readonly workload: string
  readonly user?: UserRef
  readonly userKnown?: 'verified' | 'asserted'
  readonly audience: readonly string[]
  readonly expiresAtMs: number
  readonly tokenId: string
}

/** Signs "this agent, for this user": `sub` is the workload, the user a pair in `user`. */
export async function mintWorkloadToken(request: {
  readonly issuer: string
  readonly acting: Acting
  readonly audience: string
  readonly key: SigningKey
  readonly nowMs: number
}): Promise<string> {
  const { issuer, acting, audience, key, nowMs } = request
  const issuedAt = Math.floor(nowMs / SECOND_MS)
  const { user, userKnown } = acting
  return signJwt(
    {
      iss: issuer,
      sub: acting.workload.name,
      aud: audience,
      iat: issuedAt,
      exp: issuedAt + WORKLOAD_TOKEN_LIFETIME_MS / SECOND_MS,
      jti: randomId(),
      ...(user ? { user: { iss: user.issuer, sub: user.subject }, user_known: userKnown } : {}),
    },
    TYP,
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
  if (jws.header.typ?.toLowerCase() !== TYP) {
    throw new InboundAuthError('ERR_TOKEN_TYPE', { reason: `typ is not ${TYP}` })
  }
  const claims = jws.payload
  if (claims.iss !== expected.issuer) {
    throw new InboundAuthError('ERR_UNKNOWN_ISSUER', { reason: 'iss is another issuer' })
  }
  const { subject, audience, expiresAtMs } = readClaims(claims, { nowMs: expected.nowMs })
  if (subject !== expected.name) throw badClaims('sub is another workload')
  if (!audience.includes(expected.audience)) {
    throw new InboundAuthError('ERR_AUDIENCE_MISMATCH', {
      reason: 'aud does not hold the audience',
    })
  }
  return Object.freeze({
    issuer: expected.issuer,
    workload: subject,
    ...readUser(claims.user, claims.user_known),
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
