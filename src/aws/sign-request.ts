import type { SignatureV4 as Base } from '@smithy/signature-v4'
import { systemClock } from '../clock.js'
import type { AwsCredentials } from './aws-credentials.js'
import { loadSigner } from './load.js'
import { WebSha256 } from './web-sha256.js'

/** The most of a body that is read in order to sign it. */
const MAX_BODY_BYTES = 64 * 1_048_576

/** A request to be signed. */
export interface UnsignedRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: BodyInit | null
}

/** A request as it must be sent: another address, header or body would not fit the signature. */
export interface SignedRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer> | null
}

/** What a signature is for. */
export interface SigningScope {
  readonly region: string
  readonly service: string
  readonly credentials: AwsCredentials
  /** Milliseconds since the epoch. */
  readonly nowMs?: number | undefined
}

/** Headers that the signer sets. */
const signatureHeaders: readonly string[] = [
  'authorization',
  'host',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
]

/**
 * Signs a request with Signature Version 4: its host, its `Content-Type`, each `X-Amz-*` header, and its body. Path and
 * query are spelled as the signature has them, so that no server reads them another way.
 *
 * @throws {@link ConfigurationError} `@smithy/signature-v4` is not installed.
 * @throws `TypeError` The request sets what the signer sets, a signed header is not ASCII, or the body is too large.
 */
export async function signRequest(
  request: UnsignedRequest,
  scope: SigningScope,
): Promise<SignedRequest> {
  for (const name of signatureHeaders) {
    if (request.headers.has(name)) {
      throw new TypeError(`The signer sets the header ${name} itself; leave it out of the request.`)
    }
  }
  const Signer = withQuery((await loadSigner()).SignatureV4)
  const headers = new Headers(request.headers)
  const body = await readBody(request.body, headers)
  const url = new URL(request.url)
  const pairs = [...url.searchParams]
  url.pathname = url.pathname.split('/').map(respell).join('/')
  url.search = pairs.map((pair) => pair.map(encode).join('=')).join('&')

  const signed: Record<string, string> = { host: url.host }
  headers.forEach((value, name) => {
    if (name !== 'content-type' && !name.startsWith('x-amz-')) return
    if (!/^[\t\x20-\x7e]*$/.test(value)) {
      throw new TypeError(
        `The header ${name} is signed, and its value is not ASCII: what is signed as UTF-8 would be sent as Latin-1. Encode the value, by percent-encoding for example.`,
      )
    }
    signed[name] = value
  })
  signed['x-amz-content-sha256'] = await hashOf(body)
  const signer = new Signer(canonicalQuery(pairs), {
    region: scope.region,
    service: scope.service,
    credentials: scope.credentials,
    sha256: WebSha256,
    uriEscapePath: scope.service !== 's3', // S3 alone encodes the path once
    applyChecksum: false,
  })
  const { protocol, hostname, port, pathname } = url
  const answer = await signer.sign(
    {
      method: request.method,
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path: pathname,
      headers: signed,
    },
    { signingDate: new Date(scope.nowMs ?? systemClock()) },
  )
  for (const [name, value] of Object.entries(answer.headers)) {
    if (name !== 'host') headers.set(name, value)
  }
  return { method: request.method, url, headers, body }
}

/**
 * A signer whose query is told by us: the package loses a parameter named `__proto__`, and signs another query than is
 * sent.
 */
function withQuery(SignatureV4: typeof Base) {
  return class extends SignatureV4 {
    readonly #query: string

    constructor(query: string, options: ConstructorParameters<typeof Base>[0]) {
      super(options)
      this.#query = query
    }

    protected override createCanonicalRequest(
      ...request: Parameters<Base['createCanonicalRequest']>
    ): string {
      const [method, path, , ...rest] = super.createCanonicalRequest(...request).split('\n')
      return [method, path, this.#query, ...rest].join('\n')
    }
  }
}

/** Parameters by name, then by value, each as it is sent. */
function canonicalQuery(pairs: readonly (readonly [string, string])[]): string {
  const byUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  return pairs
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => byUnit(a, b) || byUnit(x, y))
    .map((pair) => pair.join('='))
    .join('&')
}

async function readBody(
  body: BodyInit | null,
  headers: Headers,
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (body === null) return null
  const whole = new Response(body)
  const type = whole.headers.get('content-type')
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
  const parts: Uint8Array[] = []
  let size = 0
  for (const reader = whole.body!.getReader(); ; ) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > MAX_BODY_BYTES) {
      await reader.cancel().catch(() => {})
      throw new TypeError(
        `The body is larger than ${MAX_BODY_BYTES} bytes; a signature needs all of it. Use the SDK of the service for such uploads.`,
      )
    }
    parts.push(value)
  }
  const out = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

async function hashOf(body: Uint8Array | null): Promise<string> {
  const hash = new WebSha256()
  if (body) hash.update(body)
  return [...(await hash.digest())].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** One segment of a path, percent-encoded as RFC 3986 has it and in no other way. */
function respell(segment: string): string {
  try {
    return encode(decodeURIComponent(segment))
  } catch {
    throw new TypeError('The path of the address is not percent-encoded UTF-8.')
  }
}

function encode(text: string): string {
  const hex = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/[!'()*]/g, hex)
}
