import type { IncomingMessage as NodeMessage } from 'node:http'
import type { RawRequest } from '../../inbound/authenticator.js'
import { kindOf } from '../../option-names.js'
import { clientCertificateThumbprint } from './client-certificate.js'

export type { NodeMessage }

/**
 * The request as it stood on the wire: the target as it was sent, the header pairs in their order and spelling, and the
 * thumbprint of the client certificate, where the server asked for one (`requestCert`).
 * The body is read only when somebody reads it, and only once: an application that wants it too reads it first.
 *
 * @param body The body, where the application has read it already.
 */
export function rawRequest(message: NodeMessage, body?: Uint8Array): RawRequest {
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
  return {
    method: message.method ?? 'GET',
    target: message.url ?? '/',
    headers,
    body: body ?? message,
    clientCertificateThumbprint: clientCertificateThumbprint(message),
  }
}
