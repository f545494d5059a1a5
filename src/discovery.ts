const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

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
