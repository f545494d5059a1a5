import { Audit, type AuditSink } from '../audit.js'
import { type Clock, systemClock } from '../clock.js'
import { isDeputizeError, printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import { JwsParser } from '../jwt/strict-parse.js'
import type { Principal, TokenVerifier } from '../principal.js'
import type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  RawRequest,
  Recognition,
} from './authenticator.js'
import { challenge } from './challenge.js'
import { bearerCredentials, bearerRequest, inboundRequest } from './request.js'

/** How an {@link InboundVerifier} tells who calls. */
export interface InboundVerifierOptions {
  /** At least one. A request must carry a credential for exactly one of them. */
  readonly authenticators: readonly Authenticator[]
  /**
   * The https URL of this service as clients know it. With it, challenges point at
   * `/.well-known/oauth-protected-resource`, which the application then serves
   * ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)).
   */
  readonly resource?: string | undefined
  /** Gets one event for every caller that is verified or refused. */
  readonly audit?: AuditSink | undefined
  /** Milliseconds since the epoch; for tests. */
  readonly clock?: Clock | undefined
}

/** The authenticator that recognised a request, and what it said. */
interface Mine {
  readonly name: Principal['method']
  readonly seen: Extract<Recognition, { kind: 'mine' }>
}

/** Tells who calls: turns a request into a {@link Principal}, or refuses it. */
export class InboundVerifier implements TokenVerifier {
  readonly #authenticators: readonly Authenticator[]
  readonly #resourceMetadata: string | undefined
  readonly #audit: Audit
  readonly #context: AuthenticatorContext
  readonly #parser = new JwsParser()
  /** Whether a bearer token is all that these authenticators look at; no two of them accept the same one. */
  readonly #bearerOnly: boolean

  /** @throws `TypeError` An option is wrong, or two authenticators stand for one issuer. */
  constructor(options: InboundVerifierOptions) {
    const { authenticators, resource, audit, clock = systemClock } = options
    this.#authenticators = checkAuthenticators(authenticators)
    this.#resourceMetadata = resource === undefined ? undefined : resourceMetadataUrl(resource)
    this.#audit = new Audit(audit, clock)
    this.#context = Object.freeze({ clock })
    this.#bearerOnly = this.#authenticators.every(({ recall, issuers }) => recall && issuers)
  }

  /**
   * The caller of `request`, which is neither changed nor read.
   *
   * @throws {@link InboundAuthError} The caller is refused; `code` and `reason` say why, for the operator.
   */
  verify(request: Request | RawRequest): Promise<Principal> {
    return (
      this.#recall(bearerCredentials(request)) ??
      this.#decide(() => inboundRequest(request, this.#parser))
    )
  }

  /**
   * The caller who presented a bare access token, for code that holds no request.
   *
   * @throws {@link InboundAuthError}
   */
  verifyToken(token: string): Promise<Principal> {
    return (
      this.#recall(token) ??
      this.#decide(() => {
        if (typeof token === 'string' && token !== '') return bearerRequest(token, this.#parser)
        throw new InboundAuthError('ERR_MALFORMED_TOKEN', { reason: 'the token is not a string' })
      })
    )
  }

  /**
   * The caller of `request`, or the response to send back: 401 or 403 with `WWW-Authenticate`, or 503 when keys cannot
   * be had. Tell them apart with `outcome instanceof Response`.
   */
  async authenticate(request: Request | RawRequest): Promise<Principal | Response> {
    try {
      return await this.verify(request)
    } catch (error) {
      if (!(error instanceof InboundAuthError)) throw error
      return challenge(error, { resourceMetadata: this.#resourceMetadata })
    }
  }

  /** The caller whose token was verified a moment ago. */
  #recall(token: unknown): Promise<Principal> | undefined {
    if (!this.#bearerOnly || typeof token !== 'string') return undefined
    try {
      for (let at = 0; at < this.#authenticators.length; at++) {
        const principal = this.#authenticators[at]!.recall?.(token, this.#context)
        if (!principal) continue
        this.#tellVerified(principal)
        return Promise.resolve(principal)
      }
    } catch {
      // Whatever is wrong, the long way says so properly.
    }
    return undefined
  }

  async #decide(read: () => InboundRequest): Promise<Principal> {
    let mine: Mine | undefined
    try {
      mine = this.#recognise(read())
      const outcome = mine.seen.authenticate(this.#context)
      const principal = outcome instanceof Promise ? await outcome : outcome
      this.#tellVerified(principal)
      return principal
    } catch (error) {
      if (isDeputizeError(error)) {
        this.#audit.emit({
          type: 'caller_refused',
          code: error.code,
          reason: error.reason ?? error.name,
          ...(mine ? { method: mine.name } : {}),
          ...(mine?.seen.issuer === undefined ? {} : { issuer: mine.seen.issuer }),
        })
      }
      throw error
    }
  }

  #tellVerified({ method, issuer, subject, clientId }: Principal): void {
    if (!this.#audit.isHeard) return
    this.#audit.emit({
      type: 'caller_verified',
      method,
      issuer,
      subject,
      ...(clientId === undefined ? {} : { clientId }),
    })
  }

  /** The one authenticator whose credential the request carries. */
  #recognise(request: InboundRequest): Mine {
    let only: Mine | undefined
    let another = false
    let foreign: InboundAuthError | undefined
    for (const authenticator of this.#authenticators) {
      const seen = authenticator.recognise(request)
      if (seen.kind === 'foreign') foreign ??= seen.error
      if (seen.kind !== 'mine') continue
      another ||= only !== undefined
      only = { name: authenticator.name, seen }
    }
    void request.bearerToken // one that is malformed is refused, whoever recognised what beside it
    if (another) {
      throw new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', {
        reason: 'the request carries credentials for more than one authenticator',
      })
    }
    if (only) return only
    throw (
      foreign ??
      new InboundAuthError('ERR_NO_CREDENTIALS', {
        reason: 'no configured authenticator recognises a credential in the request',
      })
    )
  }
}

function checkAuthenticators(authenticators: unknown): readonly Authenticator[] {
  if (!Array.isArray(authenticators) || authenticators.length === 0) {
    throw new TypeError('authenticators must be a list of at least one, such as jwtBearer({ … }).')
  }
  const issuers = new Set<string>()
  for (const [place, authenticator] of authenticators.entries()) {
    if (typeof authenticator?.recognise !== 'function') {
      throw new TypeError(`authenticators[${place}] is not an authenticator.`)
    }
    for (const issuer of (authenticator as Authenticator).issuers ?? []) {
      if (issuers.has(issuer)) {
        throw new TypeError(
          `Two authenticators stand for issuer "${printable(issuer)}". Merge them: lists in options are any-of.`,
        )
      }
      issuers.add(issuer)
    }
  }
  return Object.freeze([...authenticators])
}

/** RFC 9728 §3.1: the well-known part stands between host and path. */
function resourceMetadataUrl(resource: string): string {
  const url = URL.canParse(resource) ? new URL(resource) : undefined
  if (!url || !['https:', 'http:'].includes(url.protocol) || url.hash !== '' || url.username) {
    throw new TypeError(
      `resource must be the URL of this service, without a fragment; got "${printable(resource)}".`,
    )
  }
  const path = url.pathname === '/' ? '' : url.pathname
  return `${url.origin}/.well-known/oauth-protected-resource${path}${url.search}`
}
