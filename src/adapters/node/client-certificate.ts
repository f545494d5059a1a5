import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { base64url } from '../../bytes.js'

/**
 * SHA-256 of the client certificate of the connection as base64url; `undefined` without one. A certificate that the
 * server did not verify counts, too: RFC 8705 §2.2 allows self-signed ones, and the token says which one it is.
 */
export function clientCertificateThumbprint(message: IncomingMessage): string | undefined {
  const socket = message.socket as Partial<TLSSocket> | undefined
  if (typeof socket?.getPeerCertificate !== 'function') return undefined
  // In a TLS handshake the client proves that it holds the key, whoever signed the certificate.
  const { fingerprint256 } = socket.getPeerCertificate() ?? {}
  if (fingerprint256 === undefined) return undefined
  return base64url(Uint8Array.from(fingerprint256.split(':'), (byte) => Number.parseInt(byte, 16)))
}
