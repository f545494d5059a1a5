import type { InboundAuthError } from '../errors/inbound.js'
import { type HeaderFields, isPlain } from './header-fields.js'
import type { HeaderPairs, SignedLayout } from './header-layout.js'
import { ambiguous, malformed, unsupported } from './refusal.js'
import { readScope, type Scope, type ScopeReader } from './scope.js'
import type { QueryParameter, SplitTarget, TargetReader } from './target.js'

/** What a request says about its signature, checked for form and nothing else. */
export interface PresentedSignature {
  /** Where it stands: in the `Authorization` header, or in the query of a presigned URL. */
  readonly form: 'header' | 'query'
  readonly scope: Scope
  /** Where the signed headers stand. */
  readonly signed: SignedLayout
  /** 64 characters. That they are hexadecimal digits is looked at when it turns out to be another than it should be. */
  readonly signature: string
  /** What is signed, up to the hash of the request. */
  readonly ahead: string
  readonly signedAtMs: number
  /** How long a presigned URL serves. */
  readonly lifetimeMs: number | undefined
  readonly sessionToken: string | undefined
  /** `x-amz-content-sha256`, as it stands. */
  readonly declaredHash: string | undefined
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
/** The parameter that is left out of what is signed. */
export const SIGNATURE_PARAMETER = 'X-Amz-Signature'

/** Parameters that make a query a presigned one. */
const credentialParameters: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-signature',
  'x-amz-signedheaders',
  'awsaccesskeyid',
])

/** Where a request carries an AWS signature, of any version and spelling, without judging it. Never throws. */
export function findSignature(
  headers: HeaderPairs,
  target: string,
  targets: TargetReader,
): 'header' | 'query' | 'both' | undefined {
  const inQuery = targets.known(target) === undefined && hasCredentialParameter(target)
  for (let at = 0; at < headers.length; at++) {
    const name = headers[at]![0]
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    const value = headers[at]![1]
    if (value.startsWith('AWS4') || /^\s*AWS[\d\s]/i.test(value)) return inQuery ? 'both' : 'header'
  }
  return inQuery ? 'query' : undefined
}

function hasCredentialParameter(target: string): boolean {
  const mark = target.indexOf('?')
  if (mark === -1 || !/amz|aws|%/i.test(target)) return false
  for (const piece of target.slice(mark + 1).split('&')) {
    const equals = piece.indexOf('=')
    const name = equals === -1 ? piece : piece.slice(0, equals)
    if (name.length > 64) continue
    const decoded = name.replace(/%([0-9A-Fa-f]{2})/g, (_, byte: string) =>
      String.fromCharCode(Number.parseInt(byte, 16)),
    )
    if (credentialParameters.has(decoded.toLowerCase())) return true
  }
  return false
}

/**
 * Reads the signature of a request by its strict grammar
 * ([IAM user guide](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html)).
 *
 * @throws `InboundAuthError`
 */
export function readSignature(
  form: 'header' | 'query',
  fields: HeaderFields,
  target: SplitTarget,
  scopes: ScopeReader,
): PresentedSignature {
  return form === 'header'
    ? fromHeader(fields, scopes)
    : fromQuery(fields, amzParameters(target.query), scopes)
}

/**
 * Whether the query holds no part of a signature, for one that stands in the header.
 *
 * @throws `InboundAuthError`
 */
export function checkPlainQuery(query: readonly QueryParameter[]): void {
  for (const name of amzParameters(query).keys()) {
    if (/^x-amz-(date|expires|security-token|content-sha256)$/.test(name)) {
      throw ambiguous('parts of a signature stand in header and query')
    }
  }
}

type Parameters = ReadonlyMap<string, QueryParameter>

/** `X-Amz-*` of the query by lower-case name: none twice, in whatever spelling. */
function amzParameters(query: readonly QueryParameter[]): Parameters {
  const found = new Map<string, QueryParameter>()
  for (const parameter of query) {
    const name = parameter.name.toLowerCase()
    if (!name.startsWith('x-amz-')) continue
    if (found.has(name)) throw ambiguous('the query has an X-Amz- parameter twice')
    found.set(name, parameter)
  }
  return found
}

const SIGNATURE_LENGTH = 64

function fromHeader(fields: HeaderFields, scopes: ScopeReader): PresentedSignature {
  if (fields.layout.isRepeated('authorization')) {
    throw ambiguous('the request has more than one Authorization header')
  }
  const value = fields.get('authorization') ?? ''
  const ahead = Math.max(0, value.length - SIGNATURE_LENGTH)
  const scope = scopes.ofHeader(value, ahead)
  if (!scope) {
    isPlain(value)
    throw refuseScheme(value)
  }
  const timestamp = fields.get('x-amz-date')
  if (timestamp === undefined) throw malformed('there is no x-amz-date header')
  return {
    form: 'header',
    scope,
    signed: fields.layout.signed(scope.signedHeaders, scope.signedNames),
    signature: value.slice(ahead),
    signedAtMs: scopes.timeOf(timestamp, scope),
    ahead: scopes.ahead,
    lifetimeMs: undefined,
    sessionToken: fields.get('x-amz-security-token'),
    declaredHash: fields.get('x-amz-content-sha256'),
  }
}

/** Says which other signature it is, where it is one. */
function refuseScheme(value: string): InboundAuthError {
  const scheme = value.split(/[\s,]/, 1)[0] ?? ''
  if (scheme === 'AWS4-ECDSA-P256-SHA256') return unsupported('SigV4A is not accepted, only SigV4')
  if (scheme === 'AWS') return unsupported('SigV2 is not accepted, only SigV4')
  if (scheme.startsWith('AWS4-HMAC-SHA256-')) {
    return unsupported(
      'signatures of chunks and of events are not accepted, only those of requests',
    )
  }
  if (scheme !== ALGORITHM) return unsupported('the algorithm is not AWS4-HMAC-SHA256')
  return malformed('the Authorization header is not of the form of SigV4')
}

function fromQuery(
  fields: HeaderFields,
  parameters: Parameters,
  scopes: ScopeReader,
): PresentedSignature {
  if (!parameters.has('x-amz-algorithm') && !parameters.has('x-amz-credential')) {
    throw unsupported('SigV2 is not accepted, only SigV4')
  }
  for (const name of ['authorization', 'x-amz-date', 'x-amz-security-token']) {
    if (fields.get(name) !== undefined) {
      throw ambiguous('parts of a signature stand in header and query')
    }
  }
  const optional = (name: string): string | undefined => {
    const parameter = parameters.get(name.toLowerCase())
    if (parameter === undefined) return undefined
    if (parameter.name !== name) throw malformed(`${name} is spelled otherwise`)
    return decode(parameter.value)
  }
  const required = (name: string): string => {
    const value = optional(name)
    if (value === undefined) throw malformed(`there is no ${name}`)
    return value
  }
  const algorithm = required('X-Amz-Algorithm')
  if (algorithm !== ALGORITHM) throw refuseScheme(algorithm)
  const scope = readScope(required('X-Amz-Credential'), required('X-Amz-SignedHeaders'))
  if (!scope) throw malformed('X-Amz-Credential is not of five parts')
  const timestamp = required('X-Amz-Date')
  const signature = required(SIGNATURE_PARAMETER)
  if (signature.length !== SIGNATURE_LENGTH) throw malformed('X-Amz-Signature is no signature')
  const sessionToken = optional('X-Amz-Security-Token')
  const inHeader = fields.get('x-amz-content-sha256')
  // A signer that moves headers to the query keeps their spelling.
  const inQuery = parameters.get('x-amz-content-sha256')?.value
  if (inHeader !== undefined && inQuery !== undefined) {
    throw ambiguous('x-amz-content-sha256 stands in header and query')
  }
  return {
    form: 'query',
    scope,
    signed: fields.layout.signed(scope.signedHeaders, scope.signedNames),
    signature,
    signedAtMs: scopes.timeOf(timestamp, scope),
    ahead: scopes.ahead,
    lifetimeMs: readLifetime(required('X-Amz-Expires')),
    sessionToken,
    declaredHash: inHeader ?? inQuery,
  }
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw malformed('an X-Amz- parameter is not UTF-8')
  }
}

/** Seconds, as a plain number of at most six digits. */
function readLifetime(seconds: string): number {
  if (!/^[1-9]\d{0,5}$/.test(seconds)) throw malformed('X-Amz-Expires is no number of seconds')
  return Number(seconds) * 1_000
}
