import type { IncomingMessage } from 'node:http'

/** Whether a body follows the headers of `message`. */
export function hasBody(message: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = message.headers
  if (encoding !== undefined) return true
  if (length !== undefined) return Number(length) !== 0
  if (message.httpVersionMajor < 2) return false
  // In HTTP/2 a body need not announce itself; the stream knows whether there can be one.
  const { stream } = message as { stream?: { readonly endAfterHeaders?: boolean } }
  return stream?.endAfterHeaders !== true
}
