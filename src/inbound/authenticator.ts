import type { Clock } from '../clock.js'
import { printable } from '../errors/base.js'
import type { InboundAuthError } from '../errors/inbound.js'
import type { ParsedJws } from '../jwt/strict-parse.js'
import type { Principal } from '../principal.js'

/** Header fields as they came, in order. */
export type RawHeaders = readonly (readonly [name: string, value: string])[]

/** The body of a {@link RawRequest}: bytes, a stream of them, or a function that gives either. */
export type RawBody =
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | (() => Uint8Array | AsyncIterable<Uint8Array> | Promise<Uint8Array>)

/** A request as it stood on the wire, for servers that have it. A Web `Request` serves where bearer tokens are enough. */
export interface RawRequest {
  readonly method: string
  /** The request target ([RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)), such as `/a%20b?x=1`. */
  readonly target: string
  /** The host among them. */
  readonly headers: RawHeaders
  readonly body?: RawBody | undefined
  /**
   * SHA-256 of the client certificate of the TLS connection as base64url
   * ([RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1)). Only from the connection itself, or from a proxy
   * that removes what clients send in its place.
   */
  readonly clientCertificateThumbprint?: string | undefined
}

/** What an authenticator sees of a request. */
export interface InboundRequest {
  /** Whether method, target and headers are untouched: `false` for a Web `Request`, which merges and normalises. */
  readonly raw: boolean
  readonly method: string
  readonly target: string
  readonly headers: RawHeaders
  /** Gives the body without taking it from the application; `undefined` when there is none. */
  readonly body?: RawBody | undefined
  /** The one `Authorization` header: its scheme in lower case, and what follows it. */
  readonly authorization?: { readonly scheme: string; readonly credentials: string } | undefined
  /** The bearer token ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)). */
  readonly bearerToken?: string | undefined
  /** The token of the scheme DPoP ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)). */
  readonly dpopToken?: string | undefined
  readonly clientCertificateThumbprint?: string | undefined
  /**
   * The bearer or DPoP token as a JWS, or why it is none; parsed once for all authenticators. One that is longer than
   * `maxBytes` is not parsed.
   */
  readonly bearerJws: (maxBytes: number) => ParsedJws | InboundAuthError | undefined
}

/** What a verifier hands to its authenticators. */
export interface AuthenticatorContext {
  /** Milliseconds since the epoch. */
  readonly clock: Clock
  /** The URL of this service, as the verifier was told. */
  readonly resource?: string | undefined
}

/** What an authenticator adds to the metadata of the resource, and to its challenges. */
export interface Advertisement {
  /** Whose tokens it takes. */
  readonly authorizationServer?: string
  /** Scopes that a caller may ask for. */
  readonly scopes?: readonly string[]
  /** Whether tokens may, or must, be bound to a DPoP key. */
  readonly dpop?: 'accepted' | 'required'
}

/** What an authenticator makes of a request at first sight, without I/O. */
export type Recognition =
  /** No credential of this kind. */
  | { readonly kind: 'absent' }
  /** A credential of this kind that is not for this authenticator, and why. */
  | { readonly kind: 'foreign'; readonly error: InboundAuthError }
  /** A credential of this kind that nobody may accept; the request is refused, whatever else it carries. */
  | { readonly kind: 'refused'; readonly error: InboundAuthError }
  /** A credential for this authenticator; `authenticate` judges it. */
  | {
      readonly kind: 'mine'
      /** The configured issuer that it names. */
      readonly issuer?: string
      /** @throws `InboundAuthError` */
      readonly authenticate: (context: AuthenticatorContext) => Principal | Promise<Principal>
    }

/** One way to tell who calls; several of one kind may stand side by side. A verifier asks it about every request. */
export interface Authenticator {
  /** The method, as in `Principal.method`. */
  readonly name: Principal['method']
  /** The issuers it stands for. No two authenticators of a verifier share one. */
  readonly issuers?: readonly string[]
  /** The header, in lower case, in which its callers may name a user. Beside a token it is ignored, and audited. */
  readonly userIdHeader?: string
  recognise(request: InboundRequest): Recognition
  /** Left out by whatever takes no access tokens. */
  readonly advertise?: () => Advertisement
}

/** Kinds of which two would take the same credential, and every caller would be refused. */
const onlyOne: ReadonlyMap<Principal['method'], string> = new Map([
  ['introspection', 'an opaque token does not say whose it is'],
  ['sts', 'a signed AWS identity does not say which of them it is for'],
])

/**
 * A copy of the list.
 *
 * @param resource The URL of the service, if the verifier was told.
 * @throws `TypeError` It is empty or holds something else, or two of them would take the same token.
 */
export function checkAuthenticators(
  authenticators: unknown,
  resource: unknown,
): readonly Authenticator[] {
  if (!Array.isArray(authenticators) || authenticators.length === 0) {
    throw new TypeError('authenticators must be a list of at least one, such as jwtBearer({ … }).')
  }
  const issuers = new Set<string>()
  for (const [place, authenticator] of authenticators.entries()) {
    if (typeof authenticator?.recognise !== 'function') {
      throw new TypeError(`authenticators[${place}] is not an authenticator.`)
    }
    if (resource === undefined && (authenticator as Authenticator).advertise?.().dpop) {
      throw new TypeError(
        'resource is missing: DPoP proofs name the URL that was called, and authenticators take them.',
      )
    }
    for (const issuer of (authenticator as Authenticator).issuers ?? []) {
      if (issuers.has(issuer)) {
        throw new TypeError(
          `Two authenticators stand for issuer "${printable(issuer)}". Merge them: lists in options are any-of. introspection() with subjectClaim cannot stand beside another, since each would know the same user by another name.`,
        )
      }
      issuers.add(issuer)
    }
  }
  for (const [name, why] of onlyOne) {
    if (authenticators.filter((one: Authenticator) => one.name === name).length > 1) {
      throw new TypeError(`authenticators may hold one ${name}: ${why}.`)
    }
  }
  return Object.freeze([...authenticators])
}
