import { Audit, type AuditSink } from '../audit.js'
import { type Clock, readClock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { JwsParser } from '../jwt/strict-parse.js'
import { checkFunction, checkOptionNames, type KnownOptions, kindOf } from '../option-names.js'
import type { Principal, TokenVerifier } from '../principal.js'
import { USER_ID_HEADER } from './asserted-user.js'
import {
  type Authenticator,
  type AuthenticatorContext,
  checkAuthenticators,
  type InboundRequest,
  type RawRequest,
} from './authenticator.js'
import { CallerTrail, type RefusedCaller } from './caller-trail.js'
import { challenge, type ErrorBody } from './challenge.js'
import { schemeOf, schemesOf } from './challenge-scheme.js'
import { FairTurns } from './fair-turns.js'
import { checkScopes, wrong } from './option-checks.js'
import { type Listed, type Recognised, recognise } from './recognise.js'
import { bearerCredentials, bearerRequest, inboundRequest } from './request.js'
import {
  advertise,
  checkScopeMapping,
  type ResourceFacts,
  resourceMetadataUrl,
  scopesOffered,
  serveResourceMetadata,
} from './resource-metadata.js'
import type { Verdict } from './token-authenticator.js'
import { TokenMemory } from './token-memory.js'

/** How an {@link InboundVerifier} tells who calls. */
export interface InboundVerifierOptions {
  /** At least one. A request must carry a credential for exactly one of them. */
  readonly authenticators: readonly Authenticator[]
  /**
   * The https URL of this service as clients know it. With it, challenges point at
   * `/.well-known/oauth-protected-resource`, where the application serves {@link InboundVerifier.metadataHandler}
   * ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)). DPoP proofs are checked against its origin.
   */
  readonly resource?: string | undefined
  /** Scopes that guards ask for, to be published beside `allowedScopes`. */
  readonly scopesSupported?: readonly string[] | undefined
  /**
   * Scopes that a caller without credentials is told to ask for: the least that it needs. Default: all that
   * authenticators and `scopesSupported` name.
   */
  readonly challengeScopes?: readonly string[] | undefined
  /**
   * Scopes by the name under which clients ask for them, where that is another one, such as
   * `{ invoke: 'api://agent/invoke' }`. For metadata and challenges only; tokens are judged by the names on the left.
   */
  readonly advertisedScopeMapping?: Readonly<Record<string, string>> | undefined
  /** How a refusal's body is written. Default: `json`. */
  readonly errorBody?: ErrorBody | undefined
  /** Gets one event for every caller that is verified or refused. */
  readonly audit?: AuditSink | undefined
  /** Milliseconds since the epoch; for tests. */
  readonly clock?: Clock | undefined
}

const known: KnownOptions<InboundVerifierOptions> = {
  authenticators: true,
  resource: true,
  scopesSupported: true,
  challengeScopes: true,
  advertisedScopeMapping: true,
  errorBody: true,
  audit: true,
  clock: true,
}

/** Tells who calls: turns a request into a {@link Principal}, or refuses it. */
export class InboundVerifier implements TokenVerifier {
  readonly #listed: readonly Listed[]
  readonly #facts: ResourceFacts
  readonly #errorBody: ErrorBody | undefined
  readonly #challengeScopes: readonly string[] | undefined
  readonly #trail: CallerTrail
  readonly #context: AuthenticatorContext
  readonly #parser = new JwsParser()
  readonly #turns = new FairTurns()
  /** Whether a bearer token is all that these authenticators look at; no two of them accept the same one. */
  readonly #bearerOnly: boolean
  readonly #takesTokens: boolean

  /** @throws `TypeError` An option is wrong, or two authenticators stand for one issuer. */
  constructor(options: InboundVerifierOptions) {
    checkOptionNames(options, 'InboundVerifier', known)
    const { authenticators, resource, scopesSupported, errorBody } = options
    const { audit } = options
    const clock = readClock(options.clock)
    checkFunction(audit, 'audit')
    const all = checkAuthenticators(authenticators, resource)
    this.#listed = all.map((one) => ({ authenticator: one, memory: TokenMemory.of(one) }))
    if (resource !== undefined) resourceMetadataUrl(resource)
    if (errorBody !== undefined && errorBody !== 'json' && errorBody !== 'json-rpc') {
      throw wrong('errorBody', errorBody, 'must be json or json-rpc')
    }
    this.#errorBody = errorBody
    this.#challengeScopes =
      options.challengeScopes && checkScopes('challengeScopes', options.challengeScopes)
    this.#facts = {
      resource,
      authenticators: all,
      scopes: scopesSupported === undefined ? [] : checkScopes('scopesSupported', scopesSupported),
      advertised: checkScopeMapping(options.advertisedScopeMapping),
    }
    this.#context = Object.freeze({ clock, resource })
    this.#bearerOnly = this.#listed.every(({ memory }) => memory)
    this.#takesTokens = all.some(({ advertise }) => advertise)
    const userIdHeaders = new Set([
      USER_ID_HEADER.toLowerCase(),
      ...all.flatMap(({ userIdHeader }) => userIdHeader ?? []),
    ])
    this.#trail = new CallerTrail(new Audit(audit, clock), userIdHeaders)
  }

  /**
   * The caller of `request`, which is neither changed nor read.
   *
   * @throws {@link InboundAuthError} The caller is refused; `code` and `reason` say why, for the operator.
   */
  verify(request: Request | RawRequest): Promise<Principal> {
    const read = () => inboundRequest(request, this.#parser)
    const token = this.#takesTokens ? bearerCredentials(request) : undefined
    // What is no token may want the body at once: the application may be about to read it.
    if (!this.#bearerOnly && token === undefined) return this.#decide(read)
    return this.#recall(token, request) ?? this.#inTurn(read)
  }

  /**
   * The caller who presented a bare access token, for code that holds no request.
   *
   * @throws {@link InboundAuthError}
   */
  verifyToken(token: string): Promise<Principal> {
    return (
      this.#recall(token) ??
      this.#inTurn(() => {
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
      return this.challenge(error, request)
    }
  }

  /**
   * The response for a refusal: of {@link verify}, or of a guard inside a tool. The latter gets its audit event here.
   *
   * @param request Whose scheme the challenge answers to. Default: the first that is accepted.
   * @param caller Whom the guard refused, for the audit event.
   */
  challenge(
    error: InboundAuthError,
    request?: Request | RawRequest,
    caller?: Principal | undefined,
  ): Response {
    const { resource, advertised, authenticators } = this.#facts
    if (typeof (error as InboundAuthError | undefined)?.refusal !== 'string') {
      throw new TypeError(
        `challenge() takes an InboundAuthError; got ${kindOf(error)}. Throw errors that are none again.`,
      )
    }
    this.#trail.answered(error, caller)
    const { requiredScopes, refusal } = error
    const least = refusal === 'no_credentials' ? this.#challengeScopes : undefined
    return challenge(error, {
      schemes: schemesOf(authenticators),
      used: request && schemeOf(request),
      body: this.#errorBody,
      ...(resource === undefined ? {} : { resourceMetadata: resourceMetadataUrl(resource) }),
      scopes: advertise(requiredScopes ?? least ?? scopesOffered(this.#facts), advertised),
    })
  }

  /**
   * Serves what clients must know to get a token ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)), without
   * authentication, at `/.well-known/oauth-protected-resource` and the path of `resource`; 404 for all else.
   */
  readonly metadataHandler = (request: Request): Response =>
    serveResourceMetadata(request, this.#facts)

  /** The caller who was let in with this token a moment ago. */
  #recall(token: unknown, from?: Request | RawRequest): Promise<Principal> | undefined {
    if (!this.#bearerOnly || typeof token !== 'string') return undefined
    try {
      for (let at = 0; at < this.#listed.length; at++) {
        const principal = this.#listed[at]!.memory?.recall(token, this.#context.clock)
        if (!principal) continue
        this.#trail.verified(principal, from?.headers)
        return Promise.resolve(principal)
      }
    } catch {
      // Whatever is wrong, the long way says so properly.
    }
    return undefined
  }

  /**
   * In the turn of the event loop that has room for it. The request is not looked at before, so that nobody who waits
   * holds more than it: what many hold for long makes V8's next collections long.
   */
  #inTurn(read: () => InboundRequest): Promise<Principal> {
    return this.#turns.run(() => this.#decide(read))
  }

  /** One promise and no turn of the microtask queue, where the answer is there at once. */
  #decide(read: () => InboundRequest): Promise<Principal> {
    let mine: Recognised | undefined
    try {
      const request = read()
      mine = recognise(this.#listed, request, this.#context)
      const verdict = mine.judge()
      if ('then' in verdict) return this.#later(verdict, request, mine)
      return Promise.resolve(this.#letIn(verdict, request, mine))
    } catch (error) {
      this.#trail.refused(error, claimed(mine))
      return Promise.reject(error)
    }
  }

  async #later(verdict: Promise<Verdict>, request: InboundRequest, mine: Recognised) {
    try {
      return this.#letIn(await verdict, request, mine)
    } catch (error) {
      this.#trail.refused(error, claimed(mine))
      throw error
    }
  }

  /** Every rule has passed: only now is the caller remembered. */
  #letIn(verdict: Verdict, request: InboundRequest, { memory }: Recognised): Principal {
    memory?.remember(verdict)
    this.#trail.verified(verdict.principal, request.headers)
    return verdict.principal
  }
}

/** Before it is verified, a credential tells of itself which method it is for, and which issuer. */
function claimed(mine: Recognised | undefined): RefusedCaller {
  if (!mine) return {}
  const { name, issuer } = mine
  return { method: name, ...(issuer === undefined ? {} : { issuer }) }
}
