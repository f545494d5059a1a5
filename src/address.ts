import { printable } from './errors/base.js'

/**
 * Origin and path, fit for a message: no query, no user info. The same of what may be no URL: an address in an option can
 * hold a password, and its error is printed.
 */
export function describeAddress(address: unknown): string {
  if (typeof address !== 'string') return printable(address)
  if (!URL.canParse(address)) return printable(address.replace(/^.*@|[?#].*$/gs, '…'))
  const { protocol, host, pathname } = new URL(address)
  return printable(`${protocol}//${host}${pathname}`, 200)
}

/** Why `url` may not be talked to; `undefined` when it may. */
export function refuseUrl(url: URL, allowInsecureLoopback: boolean): string | undefined {
  if (url.username !== '' || url.password !== '') return 'carries user info; remove it.'
  const loopback = isLoopback(url.hostname)
  if (loopback && !allowInsecureLoopback) {
    return 'is a loopback address. Set allowInsecureLoopback: true for tests on this machine.'
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    return 'is not https. Tokens and secrets travel over https only.'
  }
  if (!loopback && isSpecialAddress(url.hostname)) {
    return 'is a private, link-local or otherwise special address; name the server by its host name.'
  }
  return undefined
}

/**
 * Checks an option that is a URL which may be talked to. A fragment is never sent, so that it is a mistake.
 *
 * @throws `TypeError` naming the option.
 */
export function checkUrl(value: unknown, option: string, allowInsecureLoopback: boolean): string {
  const shown = describeAddress(value)
  if (typeof value !== 'string' || !URL.canParse(value)) {
    throw new TypeError(`${option} must be an absolute URL; got ${shown}.`)
  }
  const refusal = refuseUrl(new URL(value), allowInsecureLoopback)
  if (refusal) throw new TypeError(`${option} ${shown} ${refusal}`)
  if (value.includes('#')) throw new TypeError(`${option} ${shown} has a fragment; remove it.`)
  return value
}

/** The part of an address that makes it the address of an issuer's metadata, appended or inserted: people and servers mix the two. */
const metadataPart =
  /\/\.well-known\/(openid-configuration|oauth-authorization-server)(\/?$|(?=\/))/

/**
 * Refuses the address of an issuer's metadata, which is what people have at hand, where the issuer itself belongs: no token
 * and no metadata would ever name it.
 *
 * @throws `TypeError` naming the option and the issuer.
 */
export function refuseMetadataUrl(value: unknown, option: string): void {
  if (typeof value !== 'string' || !URL.canParse(value)) return
  const { protocol, host, pathname } = new URL(value)
  const path = pathname.replace(metadataPart, '')
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

/** Whether a URL's `hostname` is this machine by its very name. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/**
 * Whether a URL's `hostname`, as the URL parser normalised it, is an address literal outside the public Internet
 * (IANA special-purpose registries). Names are not resolved here.
 */
export function isSpecialAddress(hostname: string): boolean {
  if (hostname.startsWith('[')) return isSpecialV6(hostname.slice(1, -1))
  if (/^\d+(\.\d+){3}$/.test(hostname)) return isSpecialV4(hostname.split('.').map(Number))
  const name = hostname.replace(/\.$/, '')
  return name === '' || /(^|\.)localhost$/.test(name) || metadataHosts.has(name)
}

/** Where clouds tell a machine its own credentials, under addresses and names that look public. */
const metadataHosts: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
])

function isSpecialV4([a = 0, b = 0, c = 0, d = 0]: number[]): boolean {
  return (
    (a === 168 && b === 63 && c === 129 && d === 16) || // Azure's metadata, on a public address
    a === 0 ||
    a === 10 ||
    a === 127 ||
    a >= 224 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113)
  )
}

function isSpecialV6(text: string): boolean {
  const [head = '', tail] = text.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail ? tail.split(':') : []
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right]
  const words = groups.map((group) => Number.parseInt(group, 16))
  const [w0 = 0, w1 = 0] = words
  const [w6 = 0, w7 = 0] = words.slice(6)
  const embedded = [w6 >> 8, w6 & 255, w7 >> 8, w7 & 255]
  if (words.slice(0, 5).every((word) => word === 0)) {
    // ::, ::1, IPv4-compatible and IPv4-mapped
    return words[5] === 0xffff ? isSpecialV4(embedded) : true
  }
  if (w0 === 0x64 && w1 === 0xff9b) return true // NAT64
  if (w0 === 0x2002) return true // 6to4
  if (w0 === 0x3fff && w1 < 0x1000) return true // documentation
  return (w0 & 0xe000) !== 0x2000 || (w0 === 0x2001 && (w1 < 0x200 || w1 === 0xdb8)) // outside 2000::/3
}
