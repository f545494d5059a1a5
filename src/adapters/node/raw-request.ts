import type { IncomingMessage } from 'node:http'
import type { RawRequest } from '../../inbound/authenticator.js'
import { clientCertificateThumbprint } from './client-certificate.js'

/**
 * The request as it stood on the wire: the target as it was sent, the header pairs in their order and spelling, and the
 * thumbprint of the client certificate, where the server asked for one (`requestCert`).
 * The body is read only when somebody reads it.
 */
export function rawRequest(message: IncomingMessage): RawRequest {
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    headers.push([message.rawHeaders[at]!, message.rawHeaders[at + 1]!])
  }
  return {
    method: message.method ?? 'GET',
    target: message.url ?? '/',
    headers,
    body: message,
    clientCertificateThumbprint: clientCertificateThumbprint(message),
  }
}
