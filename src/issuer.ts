import { checkUrl, describeAddress } from './address.js'
import { printable } from './errors/base.js'

const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'
/** Either, appended or inserted: people and servers mix the two. */
const wellKnown = /\/\.well-known\/(openid-configuration|oauth-authorization-server)(\/?$|(?=\/))/

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
 * Refuses the address of an issuer's metadata, which is what people have at hand, where the issuer itself belongs: no token
 * and no metadata would ever name it.
 *
 * @throws `TypeError` naming the option and the issuer.
 */
export function refuseMetadataUrl(value: unknown, option: string): void {
  if (typeof value !== 'string' || !URL.canParse(value)) return
  const { protocol, host, pathname } = new URL(value)
  const path = pathname.replace(wellKnown, '')
  if (path === pathname) return
  const issuer = printable(`${protocol}//${host}${path}`, 200)
  throw new TypeError(
    `${option} ${describeAddress(value)} is the address of the issuer's metadata. Give the issuer itself: ${issuer}, with a slash at the end if the metadata spells it so.`,
  )
}

/**
 * Checks an issuer whose metadata can be looked up.
 *
 * @throws `TypeError` naming the option.
 * @see {@link https://www.rfc-editor.org/rfc/rfc8414#section-2}
 */
export function checkIssuerUrl(
  value: unknown,
  option: string,
  allowInsecureLoopback: boolean,
): string {
  const issuer = checkUrl(value, option, allowInsecureLoopback)
  refuseMetadataUrl(issuer, option)
  if (issuer.includes('?')) {
    throw new TypeError(`${option} ${describeAddress(issuer)} must have no query (RFC 8414 §2).`)
  }
  return issuer
}
