import type { IncomingMessage } from 'node:http'
import type { RawRequest } from '../../inbound/authenticator.js'
import { clientCertificateThumbprint } from './client-certificate.js'

/**
 * The request as it stood on the wire: the target as it was sent, the header pairs in their order and spelling, and the
 * thumbprint of the client certificate, where the server asked for one (`requestCert`).
 * The body is read only when somebody reads it, and only once: an application that wants it too reads it first.
 *
 * @param body The body, where the application has read it already.
 */
export function rawRequest(message: IncomingMessage, body?: Uint8Array): RawRequest {
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    headers.push([message.rawHeaders[at]!, message.rawHeaders[at + 1]!])
  }
  return {
    method: message.method ?? 'GET',
    target: message.url ?? '/',
    headers,
    body: body ?? message,
    clientCertificateThumbprint: clientCertificateThumbprint(message),
  }
}
