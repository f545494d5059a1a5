import type * as oauth from 'oauth4webapi'
import { refuseUrl } from '../address.js'
import { type Clock, HOUR_MS } from '../clock.js'
import { findMetadata, metadataUrls, type NoMetadata } from '../discovery.js'
import { documentReader } from '../document.js'
import {
  ConfigurationError,
  NetworkError,
  ServerResponseError,
  whenToRetry,
} from '../errors/outbound.js'
import { type Fetch, safeFetch } from '../http.js'
import { SharedWork } from '../shared-work.js'
import { type ClientIdentity, clientAuthenticator } from './client-auth.js'
import { retryAfter } from './retry-after.js'
import type { ScopeDialect } from './scopes.js'
import { readServerAnswer, type ServerAnswer } from './server-answer.js'
import { type HealthOptions, ServerHealth } from './server-health.js'

/** Endpoints of a server that publishes no metadata, or whose metadata is not to be used. */
export interface ServerEndpoints {
  readonly authorization?: string | undefined
  readonly token: string
  /** Where a token is given back (RFC 7009). */
  readonly revocation?: string | undefined
}

/** What is known of an authorization server, and of this client at it. */
export interface AuthorizationServerOptions extends ClientIdentity, ScopeDialect {
  /** The provider's name, for messages. */
  readonly name: string
  readonly issuer: string
  readonly endpoints?: ServerEndpoints | undefined
  /**
   * The issuer of a server with many tenants, as its metadata and ID tokens spell it: `{tenantid}` stands for the tenant,
   * which an ID token names in `tid`.
   */
  readonly issuerTemplate?: string | undefined
  /** Default: true. `false`: its ID tokens repeat no nonce, and none is sent. */
  readonly idTokenNonce?: boolean | undefined
  /** Whether a refresh names its scopes. */
  readonly refreshWithScope?: boolean | undefined
  /** More parameters of every token request. */
  readonly tokenParameters?: Readonly<Record<string, string>> | undefined
  readonly allowInsecureLoopback?: boolean | undefined
  readonly timeoutMs?: number | undefined
  readonly fetch?: Fetch | undefined
  readonly clock: Clock
  readonly health?: HealthOptions | undefined
}

/** How {@link AuthorizationServer.call} makes its request. */
export interface CallOptions {
  /** The row that it is for. Not sent while the server is left alone (see {@link ServerHealth}). */
  readonly guardedFor?: string | undefined
  /** Runs in the last moment before the request goes out; what it throws comes out as it is, and nothing is sent. */
  readonly beforeSend?: (() => void) | undefined
}

/** What one request to the server is made of. */
export interface ServerCall {
  readonly lib: typeof oauth
  readonly as: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly auth: oauth.ClientAuth
  readonly options: {
    readonly [oauth.customFetch]: (url: string, init: object) => Promise<Response>
    readonly [oauth.allowInsecureRequests]: true
  }
}

/** One request, and what is made of its answer. */
export interface ServerRequest<T> {
  /** How a message names it, such as `token request`. */
  readonly what: string
  send(call: ServerCall): Promise<Response>
  /** Gets every answer, also one that refuses. */
  read(answer: ServerAnswer, call: ServerCall): T | Promise<T>
}

const METADATA_MAX_AGE_MS = HOUR_MS

/** One client at one authorization server: finds the metadata once, and speaks the protocol. */
export class AuthorizationServer {
  readonly options: AuthorizationServerOptions
  readonly health: ServerHealth
  readonly #discovery = new SharedWork<oauth.AuthorizationServer>()
  #found: { readonly as: oauth.AuthorizationServer; readonly atMs: number } | undefined

  constructor(options: AuthorizationServerOptions) {
    this.options = options
    this.health = new ServerHealth(options.name, options.health)
  }

  /**
   * The server's metadata: the configured endpoints, or discovered (see {@link metadataUrls}) and kept for an hour.
   *
   * @throws {@link NetworkError} The server cannot be reached, or is too slow, at each address.
   * @throws {@link ServerResponseError} `metadata_unavailable`, `no_metadata` or `issuer_mismatch`; the message names each
   *   address and what it answered.
   * @see {@link https://www.rfc-editor.org/rfc/rfc8414#section-3.3}
   */
  async metadata(): Promise<oauth.AuthorizationServer> {
    const { issuer, endpoints, clock } = this.options
    if (endpoints) {
      return {
        issuer,
        token_endpoint: endpoints.token,
        // Without metadata nobody says how ID tokens are signed; theirs come straight from the token endpoint.
        id_token_signing_alg_values_supported:
          'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' '),
        ...(endpoints.authorization ? { authorization_endpoint: endpoints.authorization } : {}),
        ...(endpoints.revocation ? { revocation_endpoint: endpoints.revocation } : {}),
      }
    }
    if (this.#found && clock() - this.#found.atMs < METADATA_MAX_AGE_MS) return this.#found.as
    return this.#discovery.run('metadata', async () => {
      try {
        const as = await this.#discover()
        this.#found = { as, atMs: clock() }
        return as
      } catch (error) {
        // Endpoints seldom move: while the server is away, the last ones known are as good as none.
        if (this.#found && (error as { retryable?: boolean }).retryable) return this.#found.as
        throw error
      }
    })
  }

  /**
   * Makes one request and reads the answer.
   *
   * @throws {@link NetworkError} It could not be asked, or no whole answer came.
   * @throws {@link ServerResponseError} Its metadata cannot be had, or name no such endpoint.
   * @throws {@link ServerUnavailableError} It is left alone for a moment, and the call is guarded.
   * @throws What `read` throws.
   */
  async call<T>(request: ServerRequest<T>, how: CallOptions = {}): Promise<T> {
    const make = () => this.#call(request, how.beforeSend)
    return how.guardedFor === undefined ? make() : this.health.run(make, how.guardedFor)
  }

  async #call<T>(request: ServerRequest<T>, beforeSend: CallOptions['beforeSend']): Promise<T> {
    const { name, clock } = this.options
    const { what } = request
    const as = await this.metadata()
    const lib = await import('oauth4webapi')
    const options = {
      [lib.customFetch]: async (url: string, init: object): Promise<Response> => {
        beforeSend?.()
        return this.#fetch()(url, init as RequestInit)
      },
      // The address is checked where the request is made.
      [lib.allowInsecureRequests]: true as const,
    }
    const call = { lib, as, client: this.#client(lib), auth: await this.#clientAuth(), options }
    let response: Response
    try {
      response = await request.send(call)
    } catch (error) {
      const code = (error as { code?: unknown } | null)?.code
      if (code !== lib.MISSING_SERVER_METADATA && code !== lib.INVALID_SERVER_METADATA) throw error
      throw new ServerResponseError({
        what: `Metadata of provider "${name}"`,
        detail: `name no usable endpoint for the ${what}. Set endpoints.`,
        reason: 'no_endpoint',
      })
    }
    return request.read(await readServerAnswer(response, { provider: name, what, clock }), call)
  }

  /**
   * Where to send the user, without parameters.
   *
   * @throws {@link ConfigurationError} The server names no authorization endpoint, or one that is not https.
   */
  async authorizationEndpoint(): Promise<URL> {
    const endpoint = (await this.metadata()).authorization_endpoint
    const url = endpoint && URL.canParse(endpoint) ? new URL(endpoint) : undefined
    const refusal = url
      ? refuseUrl(url, this.options.allowInsecureLoopback ?? false)
      : 'is not given. Set endpoints.authorization, or check that the server supports the authorization code flow.'
    if (!url || refusal) {
      throw new ConfigurationError(
        `The authorization endpoint of provider "${this.options.name}" ${refusal}`,
      )
    }
    return url
  }

  #fetch(): Fetch {
    const { fetch, allowInsecureLoopback, timeoutMs } = this.options
    return safeFetch({ fetch, allowInsecureLoopback, timeoutMs })
  }

  #client(lib: typeof oauth): oauth.Client {
    return { client_id: this.options.clientId, [lib.clockTolerance]: 30 }
  }

  async #clientAuth(): Promise<oauth.ClientAuth> {
    const option = `clientSecret of provider "${this.options.name}"`
    const authenticate = await clientAuthenticator(this.options, option)
    return (_as, _client, body, headers) => authenticate({ body, headers })
  }

  async #discover(): Promise<oauth.AuthorizationServer> {
    const { issuer, issuerTemplate, fetch, allowInsecureLoopback, timeoutMs } = this.options
    const found = await findMetadata(
      documentReader({ fetch, allowInsecureLoopback, timeoutMs, followWithinOrigin: true }),
      {
        urls: metadataUrls(issuer),
        issuers: issuerTemplate === undefined ? [issuer] : [issuer, issuerTemplate],
        member: 'token_endpoint',
      },
    )
    if (!found.ok) throw this.#noMetadata(found)
    return found.fields as unknown as oauth.AuthorizationServer
  }

  #noMetadata({ reason, detail, attempts }: NoMetadata): Error {
    const what = `Metadata of provider "${this.options.name}"`
    switch (reason) {
      case 'unavailable': {
        const { status, headers, error } = attempts.find((one) => one.retryable)!
        if (error && attempts.every((one) => one.error)) {
          const { url, reason } = error
          return new NetworkError({ url, reason, detail: `${what}: ${detail}`, cause: error.cause })
        }
        const wait = retryAfter(headers, this.options.clock)
        return new ServerResponseError({
          what,
          detail: `${detail}. ${whenToRetry(wait.retryAfterMs)}`,
          reason: 'metadata_unavailable',
          retryable: true,
          ...(status === undefined ? {} : { status }),
          ...wait,
        })
      }
      case 'issuer_mismatch':
        return new ServerResponseError({
          what,
          detail: `${detail}. Set issuer to exactly what the document says, a trailing slash included, if that is the server you mean.`,
          reason,
        })
      case 'not_found':
        return new ServerResponseError({
          what,
          detail: `${detail}. Check issuer, or set endpoints.`,
          reason: 'no_metadata',
        })
    }
  }
}
