import { findMetadata } from '../discovery.js'
import type { ReadDocument } from '../document.js'
import { InboundAuthError } from '../errors/inbound.js'

/** What the metadata of an issuer says that a verifier needs. */
export interface IssuerMetadata {
  readonly issuer: string
  readonly jwksUri: string
  readonly freshMs: number
}

/**
 * Reads the metadata of an issuer from the first of `urls` that has any.
 *
 * @param issuers The document must name one of these, letter by letter
 *   ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
 * @throws `InboundAuthError` `ERR_KEYS_UNAVAILABLE`, which names each address and what it answered.
 */
export async function discover(
  read: ReadDocument,
  urls: readonly string[],
  issuers: readonly string[],
): Promise<IssuerMetadata> {
  const found = await findMetadata(read, { urls, issuers, member: 'jwks_uri' })
  if (found.ok) return { issuer: found.issuer, jwksUri: found.value, freshMs: found.freshMs }
  const { detail, attempts } = found
  throw unavailable(`the issuer's metadata cannot be had: ${detail}`, attempts[0]?.error)
}

/** The error for keys that cannot be had now. */
export function unavailable(reason: string, cause?: unknown): InboundAuthError {
  return new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason, cause })
}
