import { describeAddress } from './address.js'
import type { IssuerDocument, NoDocument, ReadDocument } from './document.js'
import { printable } from './errors/base.js'
import type { NetworkError } from './errors/outbound.js'
import type { JsonObject } from './strict-json.js'

const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

/** Addresses that may hang before the rest is left out: an issuer that is down costs its timeout twice, and not more. */
const MAX_TIMEOUTS = 2

/**
 * Where an issuer's metadata may be, in the order in which it is asked for: OpenID Connect Discovery §4 appends its suffix
 * to the issuer, [RFC 8414 §3.1](https://www.rfc-editor.org/rfc/rfc8414#section-3.1) inserts its own before the path, and
 * the Model Context Protocol knows the suffix of OpenID Connect inserted, too.
 */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname, search } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [`${path}${OIDC}`, `${OAUTH}${path}`, `${OIDC}${path}`]
  return [...new Set(places)].map((place) => `${origin}${place}${search}`)
}

/**
 * The issuers that a metadata URL can stand for: the same one without and with a trailing slash, which the URL cannot
 * tell apart. Empty when the URL is not a well-known one.
 */
export function issuersOf(discoveryUrl: string): readonly string[] {
  const { origin, pathname, search } = new URL(discoveryUrl)
  if (search !== '') return []
  const path = pathWithout(pathname)
  if (path === undefined) return []
  const issuer = `${origin}${path.replace(/\/$/, '')}`
  return [issuer, `${issuer}/`]
}

function pathWithout(pathname: string): string | undefined {
  if (pathname.endsWith(OIDC)) return pathname.slice(0, -OIDC.length)
  const inserted = [OAUTH, OIDC].find((one) => `${pathname}/`.startsWith(`${one}/`))
  return inserted === undefined ? undefined : pathname.slice(inserted.length)
}

/** What is looked for, and where. */
export interface MetadataSearch {
  readonly urls: readonly string[]
  /** The document must name one of these, letter by letter. */
  readonly issuers: readonly string[]
  /** A member without which the document is of no use, such as `jwks_uri`. */
  readonly member: string
}

/** Metadata that names the right issuer and has the member that was asked for, as a string. */
export interface Metadata {
  readonly ok: true
  readonly issuer: string
  /** The value of the member. */
  readonly value: string
  readonly fields: JsonObject
  readonly freshMs: number
}

/** Why there is none. `unavailable`: an address may have it later. */
export interface NoMetadata {
  readonly ok: false
  readonly reason: 'unavailable' | 'issuer_mismatch' | 'not_found'
  /** Each address that was asked, and what came back, for a message. */
  readonly detail: string
  readonly attempts: readonly NoDocument[]
}

/**
 * Reads an issuer's metadata from the first of the addresses that has it
 * ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)). Whatever else an address answers, the next one is
 * asked; what it says is accepted only if it names the issuer that was asked for
 * ([§3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
 *
 * @param read A reader that may follow redirects within the origin: nothing secret is sent.
 */
export async function findMetadata(
  read: ReadDocument,
  search: MetadataSearch,
): Promise<Metadata | NoMetadata> {
  const attempts: NoDocument[] = []
  const said: string[] = []
  let mismatch = false
  for (const url of search.urls) {
    if (attempts.filter(isTimeout).length >= MAX_TIMEOUTS) {
      said.push(`${describeAddress(url)}: not asked`)
      continue
    }
    const document = await read(url)
    const found = document.ok ? judge(document, search) : document
    if (found.ok) return found
    attempts.push(found)
    said.push(`${describeAddress(url)}: ${found.what}`)
    mismatch ||= 'mismatch' in found
  }
  const retryable = attempts.some((attempt) => attempt.retryable)
  return {
    ok: false,
    reason: retryable ? 'unavailable' : mismatch ? 'issuer_mismatch' : 'not_found',
    detail: said.join('; '),
    attempts,
  }
}

const isTimeout = ({ error }: { readonly error?: NetworkError }) => error?.reason === 'timeout'

interface Unfit extends NoDocument {
  readonly mismatch?: true
}

function judge({ fields, freshMs }: IssuerDocument, search: MetadataSearch): Metadata | Unfit {
  const { issuer, [search.member]: value } = fields
  if (typeof issuer !== 'string' || !search.issuers.includes(issuer)) {
    const named =
      typeof issuer === 'string' ? `the issuer "${printable(issuer, 200)}"` : 'no issuer'
    const wanted = printable(search.issuers[0], 200)
    return { ...unfit, what: `names ${named} instead of "${wanted}"`, mismatch: true }
  }
  if (typeof value !== 'string') return { ...unfit, what: `names no ${search.member}` }
  return { ok: true, issuer, value, fields, freshMs }
}

const unfit = { ok: false, retryable: false } as const
