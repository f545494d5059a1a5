import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/**
 * SHA-256 of the client certificate of the connection as base64url; `undefined` without one. A certificate that the
 * server did not verify counts, too: RFC 8705 §2.2 allows self-signed ones, and the token says which one it is.
 */
export function clientCertificateThumbprint(message: IncomingMessage): string | undefined {
  const socket = message.socket as Partial<TLSSocket> | undefined
  if (typeof socket?.getPeerCertificate !== 'function') return undefined
  // In a TLS handshake the client proves that it holds the key, whoever signed the certificate.
  const { raw } = socket.getPeerCertificate() ?? {}
  return raw === undefined ? undefined : createHash('sha256').update(raw).digest('base64url')
}
