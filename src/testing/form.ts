import type { IncomingMessage, ServerResponse } from 'node:http'
import { GrantRefusal } from './grants.js'

const MAX_BODY_BYTES = 65_536

/** The body of a form post; a parameter sent twice is refused (RFC 6749 §3.2). */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') {
    throw new GrantRefusal('invalid_request', 'the body must be a form')
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new GrantRefusal('invalid_request', 'the body is too large')
    chunks.push(chunk)
  }
  const form = new URLSearchParams(Buffer.concat(chunks).toString())
  if (new Set(form.keys()).size !== [...form.keys()].length) {
    throw new GrantRefusal('invalid_request', 'a parameter was sent twice')
  }
  return form
}

/** A parameter that must be there. */
export function required(form: URLSearchParams, name: string): string {
  const value = form.get(name)
  if (!value) throw new GrantRefusal('invalid_request', `${name} is missing`)
  return value
}

/** Client id and secret, by `client_secret_basic` or `client_secret_post`, but not by both (RFC 6749 §2.3). */
export function clientOf(
  request: IncomingMessage,
  form: URLSearchParams,
): readonly [id: string | null, secret: string | null] {
  const basic = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (basic === undefined) return [form.get('client_id'), form.get('client_secret')]
  if (form.has('client_secret')) {
    throw new GrantRefusal('invalid_request', 'the client authenticated in two ways')
  }
  const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString().split(/:(.*)/s)
  return [formDecoded(id), formDecoded(secret)]
}

/** RFC 6749 appendix B. */
function formDecoded(text: string): string | null {
  return new URLSearchParams(`v=${text.replaceAll('&', '%26')}`).get('v')
}

/** The words of a `scope` parameter. */
export function words(text: string | null): readonly string[] {
  return (text ?? '').split(' ').filter((word) => word !== '')
}

/** What the server is about to answer. */
export interface ClientAnswer {
  readonly status: number
  /** An object is sent as JSON, a text as it is. */
  readonly body: object | string
  readonly headers?: Readonly<Record<string, string>>
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...headers,
    })
    .end(typeof body === 'string' ? body : JSON.stringify(body))
}
