import { InboundAuthError } from '../errors/inbound.js'
import { JwsParser, type ParsedJws } from '../jwt/strict-parse.js'
import type { InboundRequest, RawBody, RawHeaders, RawRequest } from './authenticator.js'

/** No token longer than this is ever looked at; an authenticator may set its own limit below. */
export const MAX_BEARER_BYTES = 131_072

/**
 * What authenticators see of a request. The request itself is neither changed nor read.
 *
 * @throws {@link InboundAuthError} `ERR_AMBIGUOUS_CREDENTIALS`: more than one credential; `ERR_MALFORMED_TOKEN`.
 * @throws `TypeError` when `request` is neither a Web `Request` nor a {@link RawRequest}.
 */
export function inboundRequest(
  request: Request | RawRequest,
  parser = new JwsParser(),
): InboundRequest {
  if (isRawRequest(request)) {
    return withCredentials(request, true, parser)
  }
  if (typeof request?.url !== 'string' || typeof request.headers?.entries !== 'function') {
    throw new TypeError(
      'request must be a Web Request, or { method, target, headers, body? } with headers as pairs of strings.',
    )
  }
  const { pathname, search } = new URL(request.url)
  const parts = {
    method: request.method,
    target: pathname + search,
    headers: [...request.headers.entries()],
    body: request.body === null ? undefined : () => readClone(request),
  }
  return withCredentials(parts, false, parser)
}

/**
 * The credentials of a request that has one `Authorization: Bearer` header, as they stand; `undefined` for any other.
 * They may still be malformed: good for finding a token that is known already.
 */
export function bearerCredentials(request: Request | RawRequest): string | undefined {
  try {
    const { headers } = request
    const value = Array.isArray(headers)
      ? authorizationOf(headers)
      : (headers as Headers).get('authorization')
    return value?.startsWith('Bearer ') ? value.slice(7) : undefined
  } catch {
    return undefined // no request at all: inboundRequest() says so
  }
}

/** A request that is nothing but a bearer token. */
export function bearerRequest(token: string, parser = new JwsParser()): InboundRequest {
  return new ReadRequest(noParts, false, { scheme: 'bearer', credentials: token }, parser)
}

const noParts: RawRequest = Object.freeze({
  method: 'GET',
  target: '/',
  headers: Object.freeze([]),
})

function withCredentials(parts: RawRequest, raw: boolean, parser: JwsParser): InboundRequest {
  return new ReadRequest(parts, raw, readAuthorization(parts.headers), parser)
}

/** What authenticators see; the credentials are looked at when the first of them asks. */
class ReadRequest implements InboundRequest {
  readonly raw: boolean
  readonly method: string
  readonly target: string
  readonly headers: RawHeaders
  readonly body: RawBody | undefined
  readonly clientCertificateThumbprint: string | undefined
  readonly authorization: InboundRequest['authorization']
  readonly #parser: JwsParser
  #jws: ParsedJws | InboundAuthError | undefined
  #checked = false

  constructor(
    parts: RawRequest,
    raw: boolean,
    authorization: InboundRequest['authorization'],
    parser: JwsParser,
  ) {
    this.raw = raw
    this.method = parts.method
    this.target = parts.target
    this.headers = parts.headers
    this.body = parts.body
    this.clientCertificateThumbprint = parts.clientCertificateThumbprint
    this.authorization = authorization
    this.#parser = parser
  }

  get bearerToken(): string | undefined {
    return this.#tokenOf('bearer')
  }

  get dpopToken(): string | undefined {
    return this.#tokenOf('dpop')
  }

  #tokenOf(scheme: 'bearer' | 'dpop'): string | undefined {
    if (this.authorization?.scheme !== scheme) return undefined
    const { credentials } = this.authorization
    if (credentials.length > MAX_BEARER_BYTES) throw tooLarge(MAX_BEARER_BYTES)
    if (!this.#checked) checkBearer(credentials)
    this.#checked = true
    return credentials
  }

  bearerJws(maxBytes: number): ParsedJws | InboundAuthError | undefined {
    const scheme = this.authorization?.scheme
    if (scheme !== 'bearer' && scheme !== 'dpop') return undefined
    if (this.authorization!.credentials.length > maxBytes) return tooLarge(maxBytes)
    if (this.#jws === undefined) {
      this.#jws = tryParse(this.#parser, this.authorization!.credentials)
      // What has the form of a JWS is made of characters that a bearer token may have.
      if (this.#jws instanceof InboundAuthError) void this.#tokenOf(scheme)
      else this.#checked = true
    }
    return this.#jws
  }
}

function authorizationOf(headers: RawHeaders): string | undefined {
  let value: string | undefined
  for (const [name, one] of headers) {
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    if (value !== undefined) return undefined
    value = one
  }
  return value
}

function readAuthorization(headers: RawHeaders): InboundRequest['authorization'] {
  let value: string | undefined
  for (let at = 0; at < headers.length; at++) {
    const name = headers[at]![0]
    // The length first: this runs for every header of every request.
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    if (value !== undefined) throw ambiguous('the request has more than one Authorization header')
    value = headers[at]![1]
  }
  if (value === undefined) return undefined
  const space = value.indexOf(' ')
  if (space === -1) return { scheme: value.toLowerCase(), credentials: '' }
  let start = space
  while (value[start] === ' ') start++ // 1*SP, RFC 9110 §11.4
  return { scheme: value.slice(0, space).toLowerCase(), credentials: value.slice(start) }
}

function checkBearer(credentials: string): void {
  // A Web Request joins several Authorization headers with a comma, which no token can hold (b64token, RFC 6750 §2.1).
  if (credentials.includes(',')) throw ambiguous('the Authorization header holds several values')
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(credentials)) {
    throw new InboundAuthError('ERR_MALFORMED_TOKEN', { reason: 'the access token is not one' })
  }
}

function tryParse(parser: JwsParser, token: string): ParsedJws | InboundAuthError {
  try {
    return parser.parse(token, MAX_BEARER_BYTES)
  } catch (error) {
    if (error instanceof InboundAuthError) return error
    throw error
  }
}

async function readClone(request: Request): Promise<Uint8Array> {
  return new Uint8Array(await request.clone().arrayBuffer())
}

function isRawRequest(request: Request | RawRequest): request is RawRequest {
  return (
    typeof request === 'object' &&
    request !== null &&
    'target' in request &&
    typeof request.method === 'string' &&
    typeof request.target === 'string' &&
    Array.isArray(request.headers) &&
    arePairs(request.headers)
  )
}

function arePairs(headers: readonly unknown[]): boolean {
  for (let at = 0; at < headers.length; at++) {
    const header = headers[at]
    if (!Array.isArray(header)) return false
    if (typeof header[0] !== 'string' || typeof header[1] !== 'string') return false
  }
  return true
}

function tooLarge(maxBytes: number): InboundAuthError {
  return new InboundAuthError('ERR_TOKEN_TOO_LARGE', {
    reason: `the token is longer than ${maxBytes} bytes`,
  })
}

function ambiguous(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', { reason })
}
