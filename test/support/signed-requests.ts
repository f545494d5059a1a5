/** An authenticator that stands for signatures: it asks for what they cover, and keeps what it was given. */

import { InboundAuthError } from '../../src/errors/inbound.js'
import type { Authenticator, InboundRequest, RawHeaders } from '../../src/inbound/authenticator.js'
import { makePrincipal, type Principal } from '../../src/principal.js'

export interface SeenSignature {
  readonly raw: boolean
  readonly method: string
  readonly target: string
  readonly headers: RawHeaders
  /** `undefined`: the request has none, or nobody asked. */
  readonly body: Buffer | undefined
}

/**
 * Recognises the header `X-Signed`: `body` asks for the body, `head` does not, `away` cannot be judged now, and `broken`
 * is a mistake of the authenticator.
 */
export function signedRequests(): Authenticator & { readonly seen: SeenSignature[] } {
  const seen: SeenSignature[] = []
  return {
    name: 'sigv4',
    seen,
    recognise(request) {
      const covers = request.headers.find(([name]) => name.toLowerCase() === 'x-signed')?.[1]
      if (covers === undefined) return { kind: 'absent' }
      return { kind: 'mine', authenticate: () => judge(request, covers, seen) }
    },
  }
}

async function judge(
  request: InboundRequest,
  covers: string,
  seen: SeenSignature[],
): Promise<Principal> {
  if (covers === 'broken') throw new Error('canary-in-a-mistake')
  if (covers === 'away') {
    throw new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason: 'canary-reason' })
  }
  const { raw, method, target, headers } = request
  const body = covers === 'body' ? await bytesOf(request.body) : undefined
  seen.push({ raw, method, target, headers, body })
  return makePrincipal({
    method: 'sigv4',
    issuer: 'urn:test',
    subject: 'signer',
    scopes: [],
    audience: [],
    claims: {},
  })
}

async function bytesOf(body: InboundRequest['body']): Promise<Buffer | undefined> {
  if (body === undefined) return undefined
  const content = typeof body === 'function' ? await body() : body
  if (content instanceof Uint8Array) return Buffer.from(content)
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}
