import { describeAddress } from '../http.js'
import { type ReadDocument, unavailable } from './key-document.js'

const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

/** What the metadata of an issuer says that a verifier needs. */
export interface IssuerMetadata {
  readonly issuer: string
  readonly jwksUri: string
  readonly freshMs: number
}

/**
 * Where an issuer's metadata may be: OpenID Connect Discovery §4 appends its suffix to the issuer,
 * [RFC 8414 §3.1](https://www.rfc-editor.org/rfc/rfc8414#section-3.1) inserts its own before the path.
 */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [`${origin}${path}${OIDC}`, `${origin}${OAUTH}${path}`]
}

/**
 * The issuers that a metadata URL can stand for: the same one without and with a trailing slash, which the URL cannot
 * tell apart. Empty when the URL is not a well-known one.
 */
export function issuersOf(discoveryUrl: string): readonly string[] {
  const { origin, pathname, search } = new URL(discoveryUrl)
  if (search !== '') return []
  let path: string | undefined
  if (pathname.endsWith(OIDC)) path = pathname.slice(0, -OIDC.length)
  else if (pathname === OAUTH || pathname.startsWith(`${OAUTH}/`))
    path = pathname.slice(OAUTH.length)
  if (path === undefined) return []
  const issuer = `${origin}${path.replace(/\/$/, '')}`
  return [issuer, `${issuer}/`]
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
