/** Independent signers of AWS Signature Version 4, each giving the request as it would stand on the wire. */
import { createHash, createHmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import aws4 from 'aws4'
import { AwsV4Signer } from 'aws4fetch'
import { type RawRequest, type SigV4Options, sigv4 } from '../../src/inbound/index.js'
import type { InboundVerifierOptions } from '../../src/inbound/verifier.js'
import { InboundVerifier } from './inbound-verifier.js'
import { fakeClock } from './issuer.js'

export const region = 'eu-west-1'
export const service = 'calendar-agent'
export const host = 'agent.example.com'
export const accessKeyId = 'AKIAEXAMPLEKEY000001'
export const secretAccessKey = 'not/a/real/secret+key+for+tests+only/000'
export const clock = fakeClock()

export interface Unsigned {
  readonly method?: string
  /** As on the wire: encoded, with the query. */
  readonly target?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly presign?: boolean
  readonly sessionToken?: string
  readonly s3?: boolean
  readonly service?: string
  readonly region?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly atMs?: number
  readonly expiresSeconds?: number
}

/** `@smithy/signature-v4` wants a hash of its own making. */
export class NodeSha256 {
  readonly #hash
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac(
            'sha256',
            typeof secret === 'string' ? secret : Buffer.from(secret as Uint8Array),
          )
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

const bytesOf = (body: Unsigned['body']): Uint8Array | undefined =>
  typeof body === 'string' ? new TextEncoder().encode(body) : body

/** Name and values of each parameter, decoded. */
function parameters(target: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(target.split('?')[1] ?? '')) {
    const before = query[name]
    query[name] = before === undefined ? value : [before, value].flat()
  }
  return query
}

const escapeUri = (text: string) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )

function targetOf(path: string, query: Record<string, string | string[]>): string {
  const pieces = Object.entries(query).flatMap(([name, values]) =>
    [values].flat().map((value) => `${escapeUri(name)}=${escapeUri(value)}`),
  )
  return pieces.length > 0 ? `${path}?${pieces.join('&')}` : path
}

interface SmithyRequest {
  readonly path: string
  readonly query: Record<string, string | string[]>
  readonly headers: Record<string, string>
}

/** By the signer of the AWS SDK. */
export async function smithy(call: Unsigned = {}): Promise<RawRequest> {
  const { method = 'GET', target = '/', body, presign = false, atMs = clock() } = call
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: call.accessKeyId ?? accessKeyId,
      secretAccessKey: call.secretAccessKey ?? secretAccessKey,
      ...(call.sessionToken ? { sessionToken: call.sessionToken } : {}),
    },
    region: call.region ?? region,
    service: call.service ?? service,
    sha256: NodeSha256,
    uriEscapePath: call.s3 !== true,
  })
  const request = {
    method,
    protocol: 'https:',
    hostname: host,
    path: target.split('?')[0]!,
    query: parameters(target),
    headers: { host, ...call.headers },
    body: bytesOf(body),
  }
  const signingDate = new Date(atMs)
  const signed = (
    presign
      ? await signer.presign(request as never, {
          signingDate,
          expiresIn: call.expiresSeconds ?? 300,
        })
      : await signer.sign(request as never, { signingDate })
  ) as SmithyRequest
  return raw(method, targetOf(signed.path, signed.query), signed.headers, body)
}

/** By `aws4`. It cannot be told the lifetime of a presigned URL but in the query. */
export function viaAws4(call: Unsigned = {}): RawRequest {
  const { method = 'GET', target = '/', body, presign = false, atMs = clock() } = call
  const date = new Date(atMs).toISOString().replace(/[:-]|\.\d{3}/g, '')
  const lifetime = `X-Amz-Expires=${call.expiresSeconds ?? 300}&X-Amz-Date=${date}`
  const request = {
    method,
    host,
    path: presign ? `${target}${target.includes('?') ? '&' : '?'}${lifetime}` : target,
    service: call.s3 ? 's3' : (call.service ?? service),
    region: call.region ?? region,
    signQuery: presign,
    headers: { Host: host, ...(presign ? {} : { 'X-Amz-Date': date }), ...call.headers },
    ...(body === undefined ? {} : { body: Buffer.from(bytesOf(body)!) }),
  }
  const signed = aws4.sign(request, {
    accessKeyId: call.accessKeyId ?? accessKeyId,
    secretAccessKey: call.secretAccessKey ?? secretAccessKey,
    ...(call.sessionToken ? { sessionToken: call.sessionToken } : {}),
  })
  return raw(method, signed.path!, signed.headers, body)
}

/** By `aws4fetch`. It does not sign the content type unless told so. */
export async function viaAws4fetch(call: Unsigned = {}): Promise<RawRequest> {
  const { method = 'GET', target = '/', body, presign = false, atMs = clock() } = call
  const lifetime = `X-Amz-Expires=${call.expiresSeconds ?? 300}`
  const signer = new AwsV4Signer({
    method,
    url: `https://${host}${presign ? `${target}${target.includes('?') ? '&' : '?'}${lifetime}` : target}`,
    headers: { ...call.headers },
    ...(body === undefined ? {} : { body: bytesOf(body)! as Uint8Array<ArrayBuffer> }),
    accessKeyId: call.accessKeyId ?? accessKeyId,
    secretAccessKey: call.secretAccessKey ?? secretAccessKey,
    ...(call.sessionToken ? { sessionToken: call.sessionToken } : {}),
    service: call.s3 ? 's3' : (call.service ?? service),
    region: call.region ?? region,
    datetime: new Date(atMs).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    signQuery: presign,
    allHeaders: true,
  })
  const signed = await signer.sign()
  return raw(
    method,
    signed.url.pathname + signed.url.search,
    { Host: host, ...Object.fromEntries(signed.headers) },
    body,
  )
}

function raw(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  body: Unsigned['body'],
): RawRequest {
  const bytes = bytesOf(body)
  return {
    method,
    target,
    // Sent as UTF-8, and read by servers as one character a byte.
    headers: Object.entries(headers).map(
      ([name, value]) => [name, Buffer.from(String(value)).toString('latin1')] as const,
    ),
    ...(bytes === undefined ? {} : { body: bytes }),
  }
}

/** A verifier that knows the one key. */
export function verifierOf(
  options: Partial<SigV4Options> = {},
  more: Partial<InboundVerifierOptions> = {},
): InboundVerifier {
  const authenticator = sigv4({
    region,
    service,
    credentials: async (id) => (id === accessKeyId ? { secretAccessKey } : undefined),
    ...options,
  })
  return new InboundVerifier({ authenticators: [authenticator], clock, ...more }, () => smithy())
}

/** `request` with a header changed, taken away (`undefined`), or added. */
export function withHeader(
  request: RawRequest,
  name: string,
  value: string | undefined,
): RawRequest {
  const rest = request.headers.filter(([spelled]) => spelled.toLowerCase() !== name.toLowerCase())
  return { ...request, headers: value === undefined ? rest : [...rest, [name, value]] }
}

export function headerOf(request: RawRequest, name: string): string {
  return (
    request.headers.find(([spelled]) => spelled.toLowerCase() === name.toLowerCase())?.[1] ?? ''
  )
}
