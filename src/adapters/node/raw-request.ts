import type { IncomingMessage as NodeMessage } from 'node:http'
import type { RawRequest } from '../../inbound/authenticator.js'
import { behindPrefix, checkPathPrefix } from '../../inbound/path-prefix.js'
import { checkOptionNames, kindOf } from '../../option-names.js'
import { clientCertificateThumbprint } from './client-certificate.js'

export type { NodeMessage }

/** How {@link rawRequest} reads a request. */
export interface RawRequestOptions {
  /** What a proxy in front cuts off the path, such as `/api`. Default: nothing. */
  readonly pathPrefix?: string | undefined
}

/**
 * The request as it stood on the wire: the target as it was sent, the header pairs in their order and spelling, and the
 * thumbprint of the client certificate, where the server asked for one (`requestCert`).
 * The body is read only when somebody reads it, and only once: an application that wants it too reads it first.
 *
 * @param body The body, where the application has read it already.
 * @throws `TypeError`
 */
export function rawRequest(
  message: NodeMessage,
  body?: Uint8Array,
  options: RawRequestOptions = {},
): RawRequest {
  checkOptionNames(options, 'rawRequest()', { pathPrefix: true })
  if (!Array.isArray((message as NodeMessage | null)?.rawHeaders)) {
    throw new TypeError(
      `rawRequest() takes the request of node:http, which has rawHeaders; got ${kindOf(message)}.`,
    )
  }
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    const name = message.rawHeaders[at]!
    // HTTP/2 says the host in a pseudo-header (RFC 9113 §8.3.1).
    if (name === ':authority') headers.push(['host', message.rawHeaders[at + 1]!])
    else if (!name.startsWith(':')) headers.push([name, message.rawHeaders[at + 1]!])
  }
  const raw = {
    method: message.method ?? 'GET',
    target: message.url ?? '/',
    headers,
    body: body ?? message,
    clientCertificateThumbprint: clientCertificateThumbprint(message),
  }
  return behindPrefix(raw, checkPathPrefix(options.pathPrefix))
}
