import { InboundAuthError } from '../errors/inbound.js'
import type { PresentedSignature } from './authorization.js'
import { type Body, hashBody } from './body.js'
import { canonicalHead, stringToSign } from './canonical.js'
import { after, type Digest, type SigningKey, type Soon } from './digest.js'
import type { HeaderFields } from './header-fields.js'
import { unsupported } from './refusal.js'
import type { PathStyle, SplitTarget } from './target.js'

/** A request with a signature, read but not judged. */
export interface SignedRequest {
  readonly method: string
  readonly target: SplitTarget
  readonly fields: HeaderFields
  readonly body?: Body | undefined
  readonly presented: PresentedSignature
}

/** What a signature must fit, its key apart. */
export interface SignatureRules {
  readonly pathStyle: PathStyle
  /** Lower case. `undefined`: any. */
  readonly hosts: readonly string[] | undefined
  readonly clockSkewMs: number
  readonly maxLifetimeMs: number
  readonly maxBodyBytes: number
  readonly allowUnsignedPayload: boolean
  /** Headers, in lower case, that must be signed where they are present, and must not be repeated. */
  readonly protectedHeaders: ReadonlySet<string>
}

/** Headers of which two readers could take different ones. */
export const onceOnly: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'date',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-content-sha256',
])

/**
 * Everything about a signature that needs no secret: its time, its host, what it covers.
 *
 * @throws `InboundAuthError`
 */
export function checkCoverage(request: SignedRequest, rules: SignatureRules, nowMs: number): void {
  const { presented, fields } = request
  checkTime(presented, rules, nowMs)
  const host = fields.get('host')?.toLowerCase()
  for (const name of fields.names()) {
    // Some servers take x_amz_date for x-amz-date.
    const alike = name.includes('_') ? name.replaceAll('_', '-') : name
    const must = alike.startsWith('x-amz-') || rules.protectedHeaders.has(alike)
    if (must && !presented.signedNames.includes(name)) {
      throw new InboundAuthError('ERR_UNSIGNED_HEADER', {
        reason: 'a header that must be signed is not',
      })
    }
    if (fields.isRepeated(name) && (onceOnly.has(alike) || rules.protectedHeaders.has(alike))) {
      throw new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', {
        reason: 'a header that may stand once stands twice',
      })
    }
  }
  if (rules.hosts !== undefined && (host === undefined || !rules.hosts.includes(host))) {
    throw new InboundAuthError('ERR_HOST_MISMATCH', { reason: 'the host is none of hosts' })
  }
  checkDeclaredHash(presented, rules)
}

function checkTime(presented: PresentedSignature, rules: SignatureRules, nowMs: number): void {
  const { signedAtMs, lifetimeMs } = presented
  if (lifetimeMs !== undefined && lifetimeMs > rules.maxLifetimeMs) {
    throw expired('X-Amz-Expires is longer than maxExpiresMs')
  }
  if (signedAtMs - nowMs > rules.clockSkewMs) throw expired('the signature is dated in the future')
  // A presigned URL serves as long as it says, and not a moment longer.
  if (nowMs - signedAtMs > (lifetimeMs ?? rules.clockSkewMs))
    throw expired('the signature is too old')
}

function checkDeclaredHash(presented: PresentedSignature, rules: SignatureRules): void {
  const declared = presented.declaredHash
  if (declared === undefined) {
    // Amazon S3 never has the body in a presigned URL.
    if (presented.form === 'query' && rules.pathStyle === 's3') refuseUnsigned(rules)
    return
  }
  if (HASH.test(declared)) return
  if (declared === 'UNSIGNED-PAYLOAD' || declared === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') {
    refuseUnsigned(rules)
  } else if (declared.startsWith('STREAMING-')) {
    throw unsupported('bodies signed in chunks or as events are not accepted')
  } else {
    throw mismatch('x-amz-content-sha256 is no hash')
  }
}

function refuseUnsigned(rules: SignatureRules): void {
  if (!rules.allowUnsignedPayload) throw mismatch('the body is not signed')
}

/** The word that stands for the hash of the body where it is known without the body. */
function declaredPayload(presented: PresentedSignature, rules: SignatureRules): string | undefined {
  if (presented.declaredHash !== undefined) return presented.declaredHash
  return presented.form === 'query' && rules.pathStyle === 's3' ? 'UNSIGNED-PAYLOAD' : undefined
}

/**
 * Judges the signature by `key`, then the body by its hash. Where the request declares the hash, a body is read only
 * after the signature has proved right.
 *
 * @param known Whether `key` is the caller's, with the session token that goes with it. The work is the same if not.
 * @throws `InboundAuthError`
 */
export function checkSignature(
  request: SignedRequest,
  rules: SignatureRules,
  digest: Digest,
  key: SigningKey,
  known: boolean,
): Soon<void> {
  const { presented } = request
  const head = canonicalHead(request, rules.pathStyle)
  const declared = declaredPayload(presented, rules)
  const payload = declared ?? hashBody(request.body, digest, rules.maxBodyBytes)
  return after(payload, (payload) =>
    after(digest.sha256(head + payload), (hash) =>
      after(key.sign(stringToSign(presented, hash)), (expected) => {
        const right = sameText(expected, presented.signature)
        if (!right || !known) {
          throw new InboundAuthError('ERR_BAD_SIGNATURE', {
            reason: 'no known key made this signature of this request',
          })
        }
        if (declared !== undefined) return checkBody(request, rules, digest, declared)
      }),
    ),
  )
}

function checkBody(
  { body }: SignedRequest,
  rules: SignatureRules,
  digest: Digest,
  declared: string,
): Soon<void> {
  if (!HASH.test(declared)) return
  return after(hashBody(body, digest, rules.maxBodyBytes), (hash) => {
    if (!sameText(hash, declared)) throw mismatch('the body is not the one that was signed')
  })
}

const HASH = /^[0-9a-f]{64}$/

/** Compares in time that depends on the lengths alone. */
export function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at)
  return difference === 0
}

function expired(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_SIGNATURE_EXPIRED', { reason })
}

function mismatch(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BODY_MISMATCH', { reason })
}
