import { InboundAuthError } from '../errors/inbound.js'
import { isPromise } from '../maybe-promise.js'
import type { PresentedSignature } from './authorization.js'
import { type Body, hashBody } from './body.js'
import { canonicalHead } from './canonical.js'
import type { Digest, SigningKey, Soon } from './digest.js'
import type { HeaderFields } from './header-fields.js'
import { malformed, unsupported } from './refusal.js'
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
  /** Headers `x-amz-*`, in lower case, that need not be signed. */
  readonly unsignedHeaders: ReadonlySet<string>
}

/** Characters of a hash, and of a signature. */
const HASH_LENGTH = 64

/** Headers of which two readers could take different ones. */
const onceOnly: ReadonlySet<string> = new Set([
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
  // Names alone decide about the rest, so that it is looked at once for all requests of a kind.
  if (presented.signed.covers !== rules) {
    checkNames(request, rules)
    presented.signed.covers = rules
  }
  const host = fields.get('host')?.toLowerCase()
  if (rules.hosts !== undefined && (host === undefined || !rules.hosts.includes(host))) {
    throw new InboundAuthError('ERR_HOST_MISMATCH', { reason: 'the host is none of hosts' })
  }
  checkDeclaredHash(presented, rules)
}

function checkNames({ presented, fields }: SignedRequest, rules: SignatureRules): void {
  const { layout } = fields
  for (const name of layout.names()) {
    // Some servers take x_amz_date for x-amz-date.
    const alike = name.includes('_') ? name.replaceAll('_', '-') : name
    const must =
      (alike.startsWith('x-amz-') && !rules.unsignedHeaders.has(name)) ||
      rules.protectedHeaders.has(alike)
    if (must && !presented.scope.signedNames.includes(name)) {
      throw new InboundAuthError('ERR_UNSIGNED_HEADER', {
        reason: 'a header that must be signed is not',
      })
    }
    if (layout.isRepeated(name) && (onceOnly.has(alike) || rules.protectedHeaders.has(alike))) {
      throw new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', {
        reason: 'a header that may stand once stands twice',
      })
    }
  }
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
  // That they are hexadecimal digits is looked at when it turns out to be another hash than that of the body.
  if (declared.length === HASH_LENGTH) return
  if (declared === 'UNSIGNED-PAYLOAD' || declared === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') {
    refuseUnsigned(rules)
  } else if (declared.startsWith('STREAMING-')) {
    throw unsupported('bodies signed in chunks or as events are not accepted')
  } else {
    throw noHash()
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
 * @returns The signature as it was worked out.
 * @param known Whether `key` is the caller's, with the session token that goes with it. The work is the same if not.
 * @throws `InboundAuthError`
 */
export function checkSignature(
  request: SignedRequest,
  rules: SignatureRules,
  digest: Digest,
  key: SigningKey,
  known: boolean,
): Soon<string> {
  const { presented } = request
  const head = canonicalHead(request, rules.pathStyle)
  const declared = declaredPayload(presented, rules)
  const payload = declared ?? hashBody(request.body, digest, rules.maxBodyBytes)
  const signature =
    typeof payload === 'string'
      ? sign(request, head + payload, digest, key)
      : payload.then((payload) => sign(request, head + payload, digest, key))
  if (typeof signature === 'string') {
    return conclude(signature, request, rules, digest, known, declared)
  }
  return signature.then((signature) => conclude(signature, request, rules, digest, known, declared))
}

function sign(
  { fields, presented }: SignedRequest,
  canonicalRequest: string,
  digest: Digest,
  key: SigningKey,
): Soon<string> {
  const hash = digest.sha256(fields.isAscii ? canonicalRequest : bytesSent(canonicalRequest))
  if (typeof hash === 'string') return key.sign(presented.ahead, hash)
  return hash.then((hash) => key.sign(presented.ahead, hash))
}

/** Header values that are not ASCII are judged by the bytes that were sent; all else in the text is ASCII. */
function bytesSent(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const byte = character.charCodeAt(0)
    if (byte > 0xff) throw malformed('a signed header value holds a character that is no byte')
    return byte
  })
}

function conclude(
  expected: string,
  request: SignedRequest,
  rules: SignatureRules,
  digest: Digest,
  known: boolean,
  declared: string | undefined,
): Soon<string> {
  const { signature } = request.presented
  const right = digest.same(expected, signature)
  if (!right || !known) {
    if (!isHash(signature)) throw malformed('the signature is not 64 lower-case hexadecimal digits')
    if (declared?.length === HASH_LENGTH && !isHash(declared)) throw noHash()
    throw new InboundAuthError('ERR_BAD_SIGNATURE', {
      reason: 'no known key made this signature of this request',
    })
  }
  // Of what may be declared, a hash alone has as many characters.
  if (declared?.length === HASH_LENGTH) {
    const checked = checkBody(request, rules, digest, declared)
    if (isPromise(checked)) return checked.then(() => expected)
  }
  return expected
}

function checkBody(
  { body }: SignedRequest,
  rules: SignatureRules,
  digest: Digest,
  declared: string,
): Soon<void> {
  const hash = hashBody(body, digest, rules.maxBodyBytes)
  if (typeof hash === 'string') compareBody(hash, declared)
  else return hash.then((hash) => compareBody(hash, declared))
}

function compareBody(hash: string, declared: string): void {
  // Both are the sender's to know.
  if (hash !== declared) throw mismatch('the body is not the one that was signed')
}

function isHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

function expired(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_SIGNATURE_EXPIRED', { reason })
}

function noHash(): InboundAuthError {
  return mismatch('x-amz-content-sha256 is no hash')
}

function mismatch(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BODY_MISMATCH', { reason })
}
