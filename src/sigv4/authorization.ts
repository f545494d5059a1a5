import { InboundAuthError } from '../errors/inbound.js'
import type { HeaderFields, HeaderPairs } from './header-fields.js'
import { ambiguous, malformed, unsupported } from './refusal.js'
import type { QueryParameter } from './target.js'

/** What a request says about its signature, checked for form and nothing else. */
export interface PresentedSignature {
  /** Where it stands: in the `Authorization` header, or in the query of a presigned URL. */
  readonly form: 'header' | 'query'
  readonly accessKeyId: string
  /** `YYYYMMDD`, the day of `timestamp`. */
  readonly date: string
  readonly region: string
  readonly service: string
  /** Lower case, sorted, each once; `host` among them. */
  readonly signedHeaders: string
  readonly signedNames: readonly string[]
  /** 64 lower-case hexadecimal digits. */
  readonly signature: string
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly timestamp: string
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
): 'header' | 'query' | 'both' | undefined {
  const inQuery = hasCredentialParameter(target)
  for (const [name, value] of headers) {
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    if (/^\s*AWS[\d\s]/i.test(value)) return inQuery ? 'both' : 'header'
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
  query: readonly QueryParameter[],
): PresentedSignature {
  const parameters = amzParameters(query)
  const presented =
    form === 'header' ? fromHeader(fields, parameters) : fromQuery(fields, parameters)
  checkSignedHeaders(presented.signedNames, fields)
  return presented
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

// Separators are a comma and a space, or commas alone, as the documentation of Amazon S3 has it; never a mixture.
const authorization =
  /^AWS4-HMAC-SHA256 Credential=([^\s,/=]+)\/(\d{8})\/([^\s,/=]+)\/([^\s,/=]+)\/aws4_request(, ?)SignedHeaders=([^\s,=]+)\5Signature=([0-9a-f]{64})$/
const scope = /^([^\s,/=]+)\/(\d{8})\/([^\s,/=]+)\/([^\s,/=]+)\/aws4_request$/

function fromHeader(fields: HeaderFields, parameters: Parameters): PresentedSignature {
  if (fields.isRepeated('authorization')) {
    throw ambiguous('the request has more than one Authorization header')
  }
  for (const name of parameters.keys()) {
    if (/^x-amz-(date|expires|security-token|content-sha256)$/.test(name)) {
      throw ambiguous('parts of a signature stand in header and query')
    }
  }
  const value = fields.get('authorization') ?? ''
  const match = authorization.exec(value)
  if (!match) throw refuseScheme(value)
  const [, accessKeyId = '', date = '', region = '', service = '', , signedHeaders = ''] = match
  const timestamp = fields.get('x-amz-date')
  if (timestamp === undefined) throw malformed('there is no x-amz-date header')
  const sessionToken = fields.get('x-amz-security-token')
  const declaredHash = fields.get('x-amz-content-sha256')
  return {
    form: 'header',
    accessKeyId,
    date,
    region,
    service,
    signedHeaders,
    signedNames: signedHeaders.split(';'),
    signature: match[7] ?? '',
    timestamp,
    signedAtMs: readTimestamp(timestamp, date),
    lifetimeMs: undefined,
    sessionToken,
    declaredHash,
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

function fromQuery(fields: HeaderFields, parameters: Parameters): PresentedSignature {
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
  const credential = scope.exec(required('X-Amz-Credential'))
  if (!credential) throw malformed('X-Amz-Credential is not of five parts')
  const [, accessKeyId = '', date = '', region = '', service = ''] = credential
  const signedHeaders = required('X-Amz-SignedHeaders')
  const timestamp = required('X-Amz-Date')
  const signature = required(SIGNATURE_PARAMETER)
  if (!/^[0-9a-f]{64}$/.test(signature)) throw malformed('X-Amz-Signature is no signature')
  const sessionToken = optional('X-Amz-Security-Token')
  const inHeader = fields.get('x-amz-content-sha256')
  // A signer that moves headers to the query keeps their spelling.
  const inQuery = parameters.get('x-amz-content-sha256')?.value
  if (inHeader !== undefined && inQuery !== undefined) {
    throw ambiguous('x-amz-content-sha256 stands in header and query')
  }
  const declaredHash = inHeader ?? inQuery
  return {
    form: 'query',
    accessKeyId,
    date,
    region,
    service,
    signedHeaders,
    signedNames: signedHeaders.split(';'),
    signature,
    timestamp,
    signedAtMs: readTimestamp(timestamp, date),
    lifetimeMs: readLifetime(required('X-Amz-Expires')),
    sessionToken,
    declaredHash,
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

function readTimestamp(timestamp: string, date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp)
  if (!match) throw malformed('the date is not of the form YYYYMMDDTHHMMSSZ')
  if (!timestamp.startsWith(date)) throw malformed('the day of the scope is not that of the date')
  const year = Number(match[1])
  const month = Number(match[2])
  const day = Number(match[3])
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])]
  const atMs = Date.UTC(year, month - 1, day, hour, minute, second)
  const told = new Date(atMs)
  // Date.UTC takes the 31st of June for the 1st of July, and the year 15 for 1915.
  const exact =
    told.getUTCFullYear() === year && told.getUTCMonth() === month - 1 && told.getUTCDate() === day
  if (!exact || hour > 23 || minute > 59 || second > 59) {
    throw malformed('the date is none of the calendar')
  }
  return atMs
}

function checkSignedHeaders(names: readonly string[], fields: HeaderFields): void {
  let before = ''
  let hasHost = false
  for (const name of names) {
    if (name <= before) throw malformed('SignedHeaders is not sorted, or has a name twice')
    if (name === 'authorization') throw malformed('SignedHeaders names the signature itself')
    // Names of fields are in lower case, so another spelling is a name that is not there.
    if (fields.get(name) === undefined) {
      throw malformed('SignedHeaders names a header that is not there')
    }
    hasHost ||= name === 'host'
    before = name
  }
  if (!hasHost) {
    throw new InboundAuthError('ERR_UNSIGNED_HEADER', { reason: 'the host is not signed' })
  }
}
