import { fromBase64url, textOf } from '../bytes.js'
import { SECOND_MS } from '../clock.js'
import { isJsonObject, parseStrictJson } from '../strict-json.js'
import {
  checkScope,
  malformed,
  readAuthorization,
  readSignature,
  refuse,
  unsigned,
} from './signature-scope.js'
import type { StsHost } from './sts-hosts.js'

/** The one request that is signed: in a body (header form) or in a query (presigned form), never in both. */
export const IDENTITY_REQUEST = 'Action=GetCallerIdentity&Version=2011-06-15'
/** SHA-256 of {@link IDENTITY_REQUEST}. */
const BODY_HASH = 'ab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843'

/** The request header of the header form. */
export const IDENTITY_HEADER = 'x-deputize-iam-request'
/** What a bearer token of the presigned form begins with. */
export const IDENTITY_TOKEN_PREFIX = 'deputize-aws-v1.'
/** The longest header of the header form. */
const MAX_HEADER_BYTES = 16_384
/** The longest token of the presigned form. */
const MAX_TOKEN_BYTES = 8_192
/** The longest that a presigned URL may be good for; as long as AWS itself takes one for this use. */
const MAX_PRESIGNED_SECONDS = 900

/** What a signed request is held against. */
export interface SignedIdentityRules {
  readonly hosts: ReadonlyMap<string, StsHost>
  /** Must be signed as the value of {@link serverIdHeader}. */
  readonly serverId: string
  /** In lower case, as all header names here. */
  readonly serverIdHeader: string
  readonly userIdHeader: string
  /** How far the date of the signature may be from now, in milliseconds. */
  readonly maxAgeMs: number
}

/** A signed `sts:GetCallerIdentity`, taken apart. What is sent to STS is built from this anew. */
export interface SignedIdentity {
  readonly endpoint: StsHost
  readonly method: 'POST' | 'GET'
  readonly query: string
  /** The headers that the signature covers and those that carry it; `host` is not among them. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | undefined
  readonly accessKeyId: string
  readonly sessionToken: string | undefined
  /** Milliseconds since the epoch after which it is not taken any more. */
  readonly expiresAtMs: number
  /** Whether the user id header is signed. */
  readonly userSigned: boolean
}

/** Headers of the header form that go on to STS; the server id and the user id are set by us. */
const carried: ReadonlySet<string> = new Set([
  'authorization',
  'content-type',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
])

/**
 * Reads the header form: base64url of a JSON object of the headers of a signed
 * `POST https://<STS host>/` with the body {@link IDENTITY_REQUEST}.
 *
 * @param userId The user id header of the request around it.
 * @throws {@link InboundAuthError}
 */
export function readHeaderForm(
  text: string,
  rules: SignedIdentityRules,
  userId: string | undefined,
  nowMs: number,
): SignedIdentity {
  const given = readHeaders(text)
  const endpoint = endpointOf(given.get('host'), rules)
  const signature = readAuthorization(given.get('authorization') ?? '')
  const { signedHeaders } = signature
  const signedAtMs = checkScope(
    signature,
    given.get('x-amz-date') ?? '',
    endpoint,
    rules.maxAgeMs,
    nowMs,
  )
  checkSignedNames(signedHeaders, rules)
  for (const name of given.keys()) {
    if (name.startsWith('x-amz-') && !signedHeaders.includes(name)) throw unsigned(name)
  }
  if (given.get(rules.serverIdHeader) !== rules.serverId) {
    throw refuse('ERR_AUDIENCE_MISMATCH', 'the server id header is not that of this server')
  }
  if (!signedHeaders.includes('x-amz-date')) throw unsigned('x-amz-date')
  const type = given.get('content-type') ?? 'application/x-www-form-urlencoded'
  if (!/^application\/x-www-form-urlencoded(; ?charset=utf-8)?$/i.test(type)) {
    throw malformed('content-type is not that of a form')
  }
  if ((given.get('x-amz-content-sha256') ?? BODY_HASH) !== BODY_HASH) {
    throw malformed('x-amz-content-sha256 is not that of the one body')
  }
  if ((given.get('content-length') ?? '43') !== '43') throw malformed('content-length is not 43')
  for (const name of signedHeaders) {
    const known = carried.has(name) || name === 'host' || name === 'content-length'
    const ours = name === rules.serverIdHeader || name === rules.userIdHeader
    if (!ours && !(known && given.has(name))) throw malformed('a foreign header is signed')
  }
  const headers = [...given].filter(([name]) => carried.has(name) && name !== 'content-type')
  return {
    endpoint,
    method: 'POST',
    query: '',
    headers: [...headers, ['content-type', type], ...boundHeaders(signedHeaders, rules, userId)],
    body: IDENTITY_REQUEST,
    accessKeyId: signature.accessKeyId,
    sessionToken: given.get('x-amz-security-token'),
    expiresAtMs: signedAtMs + rules.maxAgeMs,
    userSigned: signedHeaders.includes(rules.userIdHeader),
  }
}

/** Parameters of the presigned form, as they are spelled. */
const parameters: ReadonlySet<string> = new Set([
  'Action',
  'Version',
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-Security-Token',
  'X-Amz-Signature',
  'X-Amz-SignedHeaders',
])

/**
 * Reads the presigned form: {@link IDENTITY_TOKEN_PREFIX} and base64url of a presigned
 * `GET https://<STS host>/?Action=GetCallerIdentity&…`.
 *
 * @param userId The user id header of the request around it.
 * @throws {@link InboundAuthError}
 */
export function readPresignedForm(
  token: string,
  rules: SignedIdentityRules,
  userId: string | undefined,
  nowMs: number,
): SignedIdentity {
  if (token.length > MAX_TOKEN_BYTES) {
    throw refuse('ERR_TOKEN_TOO_LARGE', `the token is longer than ${MAX_TOKEN_BYTES} bytes`)
  }
  const bytes = fromBase64url(token.slice(IDENTITY_TOKEN_PREFIX.length))
  const url = bytes && textOf(bytes)
  const [, host, rawQuery] = /^https:\/\/([^/?#@]+)\/\?([\x21-\x7e]+)$/.exec(url ?? '') ?? []
  if (rawQuery === undefined) throw malformed('the token holds no presigned URL')
  const endpoint = endpointOf(host, rules)
  const query = readQuery(rawQuery)
  const of = (name: string) => query.get(name) ?? ''
  if (of('Action') !== 'GetCallerIdentity' || of('Version') !== '2011-06-15') {
    throw malformed('the URL asks for something else than GetCallerIdentity')
  }
  if (of('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256') throw malformed('X-Amz-Algorithm is another')
  const signature = readSignature(
    of('X-Amz-Credential'),
    of('X-Amz-SignedHeaders'),
    of('X-Amz-Signature'),
  )
  const { signedHeaders } = signature
  checkSignedNames(signedHeaders, rules)
  const bound = ['host', rules.serverIdHeader, rules.userIdHeader]
  if (!signedHeaders.every((name) => bound.includes(name))) {
    throw malformed('a foreign header is signed')
  }
  const seconds = of('X-Amz-Expires')
  if (!/^[1-9]\d{0,2}$/.test(seconds) || Number(seconds) > MAX_PRESIGNED_SECONDS) {
    throw malformed(`X-Amz-Expires is not 1 to ${MAX_PRESIGNED_SECONDS}`)
  }
  const signedAtMs = checkScope(signature, of('X-Amz-Date'), endpoint, rules.maxAgeMs, nowMs)
  const expiresAtMs = signedAtMs + Math.min(Number(seconds) * SECOND_MS, rules.maxAgeMs)
  if (nowMs >= expiresAtMs) throw refuse('ERR_TOKEN_EXPIRED', 'the presigned URL has expired')
  return {
    endpoint,
    method: 'GET',
    query: [...query].map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'),
    headers: boundHeaders(signedHeaders, rules, userId),
    body: undefined,
    accessKeyId: signature.accessKeyId,
    sessionToken: query.get('X-Amz-Security-Token'),
    expiresAtMs,
    userSigned: signedHeaders.includes(rules.userIdHeader),
  }
}

function readHeaders(text: string): Map<string, string> {
  if (text.length > MAX_HEADER_BYTES) {
    throw refuse('ERR_TOKEN_TOO_LARGE', `the header is longer than ${MAX_HEADER_BYTES} bytes`)
  }
  const bytes = fromBase64url(text)
  const json = bytes && parseStrictJson(bytes, 2)
  if (!json?.ok || !isJsonObject(json.value)) {
    throw malformed('the header is not base64url of a JSON object of headers')
  }
  const headers = new Map<string, string>()
  for (const [spelled, value] of Object.entries(json.value)) {
    const name = spelled.toLowerCase()
    if (!/^[a-z0-9-]{1,64}$/.test(name) || headers.has(name)) {
      throw malformed('a header name is none, or there twice')
    }
    if (typeof value !== 'string' || !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)) {
      throw malformed('a header value is not visible ASCII')
    }
    headers.set(name, value)
  }
  return headers
}

function readQuery(text: string): Map<string, string> {
  const query = new Map<string, string>()
  const seen = new Set<string>()
  for (const part of text.split('&')) {
    const [, name, value] = /^([A-Za-z-]+)=((?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*)$/.exec(part) ?? []
    if (name === undefined || value === undefined || !parameters.has(name)) {
      throw malformed('the URL has a parameter that does not belong there')
    }
    // Compared without case: CVE-2022-2385 was a second X-Amz-SignedHeaders in another case.
    if (seen.has(name.toLowerCase())) throw malformed('the URL has a parameter twice')
    seen.add(name.toLowerCase())
    query.set(name, decode(value))
  }
  return query
}

function checkSignedNames(signedHeaders: readonly string[], rules: SignedIdentityRules): void {
  if (!signedHeaders.includes('host')) throw unsigned('host')
  if (!signedHeaders.includes(rules.serverIdHeader)) {
    throw refuse('ERR_AUDIENCE_MISMATCH', 'the server id header is not signed')
  }
}

/** Headers whose values are ours to say: if the caller signed others, STS does not know the signature. */
function boundHeaders(
  signedHeaders: readonly string[],
  rules: SignedIdentityRules,
  userId: string | undefined,
): (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [[rules.serverIdHeader, rules.serverId]]
  if (!signedHeaders.includes(rules.userIdHeader)) return headers
  if (userId === undefined) throw malformed('the user id header is signed and not sent')
  return [...headers, [rules.userIdHeader, userId]]
}

function endpointOf(host: string | undefined, rules: SignedIdentityRules): StsHost {
  const endpoint = rules.hosts.get(host ?? '')
  if (endpoint) return endpoint
  throw refuse('ERR_UNKNOWN_ISSUER', 'the host is no STS endpoint of an allowed region')
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw malformed('the URL is not UTF-8')
  }
}

function encode(text: string): string {
  const hex = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/[!'()*]/g, hex)
}
