import { InboundAuthError } from '../errors/inbound.js'
import { type ParsedJws, parseJws } from '../jwt/strict-parse.js'
import type { InboundRequest, RawBody, RawHeaders, RawRequest } from './authenticator.js'

/** No token longer than this is ever looked at; an authenticator may set its own limit below. */
export const MAX_BEARER_BYTES = 131_072

/**
 * What authenticators see of a request. The request itself is neither changed nor read.
 *
 * @throws {@link InboundAuthError} `ERR_AMBIGUOUS_CREDENTIALS`: more than one credential; `ERR_MALFORMED_TOKEN`.
 * @throws `TypeError` when `request` is neither a Web `Request` nor a {@link RawRequest}.
 */
export function inboundRequest(request: Request | RawRequest): InboundRequest {
  if (isRawRequest(request)) {
    const { method, target, headers, body, clientCertificateThumbprint } = request
    return withCredentials({
      raw: true,
      method,
      target,
      headers,
      body,
      clientCertificateThumbprint,
    })
  }
  if (typeof request?.url !== 'string' || typeof request.headers?.entries !== 'function') {
    throw new TypeError('request must be a Web Request, or { method, target, headers, body? }.')
  }
  const { pathname, search } = new URL(request.url)
  return withCredentials({
    raw: false,
    method: request.method,
    target: pathname + search,
    headers: [...request.headers.entries()],
    body: request.body === null ? undefined : () => readClone(request),
  })
}

/** A request that is nothing but a bearer token. */
export function bearerRequest(token: string): InboundRequest {
  return withCredentials({
    raw: false,
    method: 'GET',
    target: '/',
    headers: [['authorization', `Bearer ${token}`]],
  })
}

interface Parts {
  readonly raw: boolean
  readonly method: string
  readonly target: string
  readonly headers: RawHeaders
  readonly body?: RawBody | undefined
  readonly clientCertificateThumbprint?: string | undefined
}

function withCredentials(parts: Parts): InboundRequest {
  const authorization = readAuthorization(parts.headers)
  const bearerToken = readToken(authorization, 'bearer')
  const dpopToken = readToken(authorization, 'dpop')
  const token = bearerToken ?? dpopToken
  let jws: ParsedJws | InboundAuthError | undefined
  return {
    ...parts,
    authorization,
    bearerToken,
    dpopToken,
    bearerJws() {
      if (token !== undefined) jws ??= tryParse(token)
      return jws
    },
  }
}

function readAuthorization(headers: RawHeaders): InboundRequest['authorization'] {
  const values = headers.filter(([name]) => name.toLowerCase() === 'authorization')
  if (values.length > 1) throw ambiguous('the request has more than one Authorization header')
  const value = values[0]?.[1]
  if (value === undefined) return undefined
  const space = value.indexOf(' ')
  if (space === -1) return { scheme: value.toLowerCase(), credentials: '' }
  let start = space
  while (value[start] === ' ') start++ // 1*SP, RFC 9110 §11.4
  return { scheme: value.slice(0, space).toLowerCase(), credentials: value.slice(start) }
}

function readToken(
  authorization: InboundRequest['authorization'],
  scheme: 'bearer' | 'dpop',
): string | undefined {
  if (authorization?.scheme !== scheme) return undefined
  const { credentials } = authorization
  // A Web Request joins several Authorization headers with a comma, which no token can hold (b64token, RFC 6750 §2.1).
  if (credentials.includes(',')) throw ambiguous('the Authorization header holds several values')
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(credentials)) {
    throw new InboundAuthError('ERR_MALFORMED_TOKEN', { reason: 'the access token is not one' })
  }
  return credentials
}

function tryParse(token: string): ParsedJws | InboundAuthError {
  try {
    return parseJws(token, MAX_BEARER_BYTES)
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
    Array.isArray(request.headers)
  )
}

function ambiguous(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', { reason })
}
