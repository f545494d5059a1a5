import { abortable } from '../abortable.js'
import type { AccessToken } from '../access-token.js'
import type { AwsCredentials } from '../aws/aws-credentials.js'
import type {
  AwsCredentialsRequest,
  CredentialSource,
  TokenRequest,
} from '../context/credential-source.js'
import { runKept } from '../context/keep-in-scope.js'
import { isDeputizeError } from '../errors/base.js'
import type { AuthorizationRequiredError } from '../errors/consent.js'
import { checkOptionNames, checkWebRequest, kindOf } from '../option-names.js'
import type { UserRef } from '../principal.js'
import { checkResource, checkScopes } from '../providers/options.js'
import type { Provider } from '../providers/provider.js'
import type { Secret } from '../secret.js'
import type { Acting } from '../workload/acting.js'
import { apiKeyOf, awsCredentialsOf } from './agent-credentials.js'
import { type Assembly, assemble } from './assembly.js'
import { closeParts, type NotWritten } from './closing.js'
import type { Connection, Disconnected } from './connection-desk.js'
import { accountsAt, clientOf } from './connections.js'
import type { AuthorizationStatus } from './consents.js'
import { unionScopes } from './grant.js'
import type { OutboundCredentialProviderOptions } from './options.js'
import type { RegisteredOAuth2 } from './registry.js'
import type { Timing } from './timing.js'
import {
  checkAccount,
  checkActing,
  checkAsked,
  checkFn,
  known,
  requireUser,
} from './token-request.js'

/** One result of {@link OutboundCredentialProvider.getTokens}. */
export type TokenResult =
  | { readonly ok: true; readonly token: AccessToken }
  | { readonly ok: false; readonly error: unknown }

/** Gets the credential for the next service, keeps it in the vault, and renews it. */
export class OutboundCredentialProvider implements CredentialSource {
  readonly #parts: Assembly
  readonly #oauth2: (name: string) => RegisteredOAuth2

  /**
   * @param timing For tests and proofs.
   * @throws `TypeError` An option is wrong; it is named.
   */
  constructor(options: OutboundCredentialProviderOptions, timing: Partial<Timing> = {}) {
    const parts = assemble(options, timing)
    this.#parts = parts
    this.#oauth2 = (name) => parts.registry.oauth2(name)
  }

  provider(name: string): Provider {
    return this.#parts.registry.get(name)
  }

  /**
   * A token that has at least a minute to live (or half its life, if that is shorter) and every scope asked for.
   * Calls for the same token share one request.
   *
   * @throws {@link AuthorizationRequiredError} The user must consent first, and `onAuthorizationRequired` is `throw`.
   * @throws {@link ConsentDeniedError} {@link ConsentExpiredError} {@link ConsentWrongUserError}
   *   {@link ConsentFailedError} It was waited for a consent, and it ended so.
   * @throws {@link NoUserError} {@link AccountAmbiguousError} {@link ConfigurationError} The request cannot be met.
   * @throws {@link OAuthRefusedError} {@link ScopeNotGrantedError} {@link NetworkError} {@link ServerResponseError}
   *   The server did not give one.
   * @throws {@link VaultUnavailableError} The store failed; nothing was asked of the server or the user.
   */
  async getToken(acting: Acting, request: TokenRequest): Promise<AccessToken> {
    checkAsked(acting, request, 'getToken', known.getToken)
    const cached = this.#parts.desk.cached(acting, request, this.#oauth2)
    if (cached !== undefined) return cached
    return this.#parts.desk.get(acting, this.#oauth2(request.provider), request)
  }

  /** Several tokens at once. Never rejects; all missing consents come together in `authorizationRequired`. */
  async getTokens(
    acting: Acting,
    requests: readonly TokenRequest[],
  ): Promise<{
    readonly results: readonly TokenResult[]
    readonly authorizationRequired: readonly AuthorizationRequiredError[]
  }> {
    if (!Array.isArray(requests)) {
      throw new TypeError(`getTokens() takes a list of requests; got ${kindOf(requests)}.`)
    }
    const ask = (request: TokenRequest) =>
      this.getToken(acting, request).then(
        (token): TokenResult => ({ ok: true, token }),
        (error: unknown): TokenResult => ({ ok: false, error }),
      )
    const results = await Promise.all(requests.map(ask))
    const links = new Map<string, AuthorizationRequiredError>()
    for (const result of results) {
      if (result.ok || !isDeputizeError(result.error, 'ERR_AUTHORIZATION_REQUIRED')) continue
      const challenge = result.error as AuthorizationRequiredError
      links.set(challenge.sessionUri, challenge)
    }
    return { results, authorizationRequired: [...links.values()] }
  }

  /**
   * The key of an `apiKey()` provider.
   *
   * @throws {@link ConfigurationError} There is no such provider.
   * @throws `TypeError` Its function gave no key, or one that would break a header.
   */
  async getApiKey(acting: Acting, request: { readonly provider: string }): Promise<Secret> {
    checkAsked(acting, request, 'getApiKey', known.getApiKey)
    return apiKeyOf(this.#parts, acting, request.provider)
  }

  /**
   * Credentials of an `awsIam()` provider with at least five minutes to live, in the form that SDK clients take.
   *
   * @throws {@link ConfigurationError} There is no such provider, or an optional package is missing.
   * @throws {@link AwsCredentialsError} There are none to be had.
   */
  async getAwsCredentials(acting: Acting, request: AwsCredentialsRequest): Promise<AwsCredentials> {
    checkAsked(acting, request, 'getAwsCredentials', known.getAwsCredentials)
    return awsCredentialsOf(this.#parts, acting, request)
  }

  /** The same as a function, for the option `credentials` of an SDK client, which asks again when they expire. */
  awsCredentials(acting: Acting, request: AwsCredentialsRequest): () => Promise<AwsCredentials> {
    checkAsked(acting, request, 'awsCredentials', known.getAwsCredentials)
    this.#parts.registry.awsIam(request.provider)
    return () => this.getAwsCredentials(acting, request)
  }

  /**
   * Asks for the user's consent before any tool needs it, and again where there is one already.
   *
   * @throws {@link NoUserError} {@link ConfigurationError}
   */
  async beginAuthorization(
    acting: Acting,
    request: Pick<TokenRequest, 'provider' | 'scopes' | 'account' | 'resource' | 'returnUrl'>,
  ): Promise<AuthorizationRequiredError> {
    checkAsked(acting, request, 'beginAuthorization', known.beginAuthorization)
    checkAccount(request.account)
    const at = this.#oauth2(request.provider)
    const user = requireUser(acting, at.name)
    const scopes = checkScopes(request.scopes ?? [], 'scopes')
    const now = await this.#parts.index.readOrEmpty(user)
    const connected = accountsAt(now, clientOf(at)).map((one) => one.account)
    return this.#parts.start.begin(user, at, {
      scopes: unionScopes(at.provider.scopes, scopes),
      account: request.account,
      accountHint: connected.length === 1 ? connected[0] : undefined,
      resource: checkResource(request.resource, 'resource') ?? at.provider.resource,
      returnUrl: request.returnUrl,
      joins: false,
    })
  }

  /**
   * Receives the user who comes back from the provider; serve it at `<callbackUrl>/*`. Answers with a page or a redirect.
   *
   * @param options.user Who is in front of the browser, where the framework knows. Default: `identifyUser(request)`.
   *   It must be the user who was asked, or the link dies.
   */
  async handleCallback(
    request: Request,
    options: { readonly user?: UserRef | undefined } = {},
  ): Promise<Response> {
    checkWebRequest(request, 'handleCallback()')
    checkOptionNames(options, 'handleCallback()', known.handleCallback, 'a Request and { user }')
    return this.#parts.callback.handle(request, options.user)
  }

  /**
   * Finishes a consent in an application that gives `handleCallback()` no user: there the code was sealed into the
   * session, and the browser came to the return URL with `session=<sessionUri>`. Within 60 seconds, once.
   *
   * @param request.sessionUri As the browser brought it: it ends in a ticket that nobody else was given. The `sessionUri`
   *   of a challenge names the same session and does not finish it.
   * @param request.user Who is in front of the browser, from your own session.
   * @throws {@link ConsentSessionError} There is no such session, or nothing to finish.
   * @throws {@link ConsentWrongUserError} {@link ConsentDeniedError} {@link ConsentExpiredError} {@link ConsentFailedError}
   */
  async completeAuthorization(request: {
    readonly sessionUri: string
    readonly user: UserRef
  }): Promise<void> {
    const takes = '{ sessionUri, user }'
    checkOptionNames(request, 'completeAuthorization()', known.completeAuthorization, takes)
    const { sessionUri, user } = request
    if (typeof user?.issuer !== 'string' || typeof user.subject !== 'string') {
      throw new TypeError(
        'completeAuthorization: user must be a UserRef, { issuer, subject }, from your own session. Sign the user in first.',
      )
    }
    await this.#parts.callback.complete(sessionUri, user)
  }

  /** The challenge of a pending consent again; `undefined` once it is settled. @throws {@link ConsentSessionError} */
  async pendingAuthorization(acting: Acting, sessionUri: string) {
    checkActing(acting, 'pendingAuthorization')
    return this.#parts.consents.pending(acting, sessionUri)
  }

  /** @throws {@link ConsentSessionError} There is no such session of this workload and user. */
  async authorizationStatus(acting: Acting, sessionUri: string): Promise<AuthorizationStatus> {
    checkActing(acting, 'authorizationStatus')
    return this.#parts.consents.status(acting, sessionUri)
  }

  /**
   * Waits until the consent is done, in whichever process with the same store.
   *
   * @param options.timeoutMs Default: as long as the session lives.
   * @throws {@link ConsentDeniedError} {@link ConsentExpiredError} {@link ConsentWrongUserError} {@link ConsentFailedError}
   * @throws {@link ConsentSessionError} There is no such session of this workload and user.
   * @throws The reason of the signal, when it aborts; a `TimeoutError` after `timeoutMs`.
   */
  async waitForAuthorization(
    acting: Acting,
    sessionUri: string,
    options: {
      readonly signal?: AbortSignal | undefined
      readonly timeoutMs?: number | undefined
    } = {},
  ): Promise<void> {
    checkActing(acting, 'waitForAuthorization')
    checkOptionNames(options, 'waitForAuthorization()', known.waitForAuthorization)
    const { signal, timeoutMs } = options
    const signals = [signal, timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)]
    const ends = AbortSignal.any(signals.filter((one) => one !== undefined))
    await abortable(this.#parts.consents.wait(acting, sessionUri, ends), ends)
  }

  /**
   * Runs `fn` for `acting`: inside, `requireToken()` and `authenticatedFetch()` find both. A generator, an async iterable,
   * a stream or a lazy thenable that `fn` returns takes its later steps for `acting` too.
   */
  runAs<T>(acting: Acting, fn: () => T): T {
    checkActing(acting, 'runAs')
    checkFn(fn, 'runAs')
    return runKept({ acting, credentials: this }, fn)
  }

  /** `fn`, always run for `acting` as by {@link runAs}: for callbacks and emitters, which leave the scope. */
  bind<This, A extends unknown[], R>(
    acting: Acting,
    fn: (this: This, ...args: A) => R,
  ): (this: This, ...args: A) => R {
    checkActing(acting, 'bind')
    checkFn(fn, 'bind')
    const scope = { acting, credentials: this }
    return function (this: This, ...args: A): R {
      return runKept(scope, () => Reflect.apply(fn, this, args))
    }
  }

  /**
   * What the user connected at the configured providers, and how it does; never a token.
   *
   * @throws {@link VaultUnavailableError}
   */
  async connections(acting: Acting): Promise<readonly Connection[]> {
    checkActing(acting, 'connections')
    const { connections, kept, registry } = this.#parts
    if (!acting.user) return []
    const user = requireUser(acting, 'connections')
    await kept.catchUp(user)
    return connections.list(user, (name) => registry.findOAuth2(name))
  }

  /**
   * Ends a connection: here at once, whatever the provider says, and at the provider by revoking its token (RFC 7009).
   * Consents for it that are pending expire.
   *
   * @param request.account Default: the only one.
   * @throws {@link NoUserError} {@link ConfigurationError} {@link AccountAmbiguousError}
   * @throws {@link VaultUnavailableError} The store failed. Nothing was asked of the provider; call again.
   */
  async disconnect(
    acting: Acting,
    request: { readonly provider: string; readonly account?: string | undefined },
  ): Promise<Disconnected> {
    checkAsked(acting, request, 'disconnect', known.disconnect)
    checkAccount(request.account)
    const at = this.#oauth2(request.provider)
    const user = requireUser(acting, at.name)
    await this.#parts.kept.catchUp(user)
    return this.#parts.connections.disconnect(user, at, request.account)
  }

  /** Ends what waits, and writes what the store did not take before: in 15 s at most. Gives what could not be written. */
  close(): Promise<NotWritten> {
    return closeParts(this.#parts)
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close().then(() => {})
}
