import { describeAddress } from '../address.js'
import { type ReadDocument, unavailable } from '../document.js'

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
 * @throws `InboundAuthError` `ERR_KEYS_UNAVAILABLE`.
 */
export async function discover(
  read: ReadDocument,
  urls: readonly string[],
  issuers: readonly string[],
): Promise<IssuerMetadata> {
  let failure = ''
  for (const url of urls) {
    const document = await read(url)
    if (typeof document === 'number') {
      failure = `discovery answered HTTP ${document} at ${describeAddress(url)}`
      if (document >= 400 && document < 500 && document !== 429) continue // not here; perhaps at the other place
      break
    }
    const { issuer, jwks_uri: jwksUri } = document.fields
    if (typeof issuer !== 'string' || !issuers.includes(issuer)) {
      throw unavailable('the discovery document names another issuer')
    }
    if (typeof jwksUri !== 'string') throw unavailable('the discovery document has no jwks_uri')
    return { issuer, jwksUri, freshMs: document.freshMs }
  }
  throw unavailable(failure)
}
