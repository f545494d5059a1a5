import type * as oauth from 'oauth4webapi'
import { describeAddress, refuseUrl } from '../address.js'
import { type Clock, HOUR_MS } from '../clock.js'
import { ConfigurationError, ServerResponseError, whenToRetry } from '../errors/outbound.js'
import { type Fetch, safeFetch } from '../http.js'
import { SingleFlight } from '../single-flight.js'
import { type ClientIdentity, clientAuthenticator } from './client-auth.js'
import { retryAfter, toTypedError } from './refusal.js'
import { type HealthOptions, ServerHealth } from './server-health.js'

/** Endpoints of a server that publishes no metadata, or whose metadata is not to be used. */
export interface ServerEndpoints {
  readonly authorization?: string | undefined
  readonly token: string
  /** Where a token is given back (RFC 7009). */
  readonly revocation?: string | undefined
}

/** What is known of an authorization server, and of this client at it. */
export interface AuthorizationServerOptions extends ClientIdentity {
  /** The provider's name, for messages. */
  readonly name: string
  readonly issuer: string
  readonly endpoints?: ServerEndpoints | undefined
  readonly allowInsecureLoopback?: boolean | undefined
  readonly timeoutMs?: number | undefined
  readonly fetch?: Fetch | undefined
  readonly clock: Clock
  readonly health?: HealthOptions | undefined
}

/** How {@link AuthorizationServer.call} makes its request. */
export interface CallOptions {
  /** Not sent while the server is left alone (see {@link ServerHealth}). */
  readonly guarded?: boolean | undefined
  /** Runs in the last moment before the request goes out; what it throws comes out as it is, and nothing is sent. */
  readonly beforeSend?: (() => void) | undefined
}

/** What one request to the server is made of. */
export interface ServerCall {
  readonly lib: typeof oauth
  readonly as: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly auth: oauth.ClientAuth
  readonly options: oauth.TokenEndpointRequestOptions
}

const METADATA_MAX_AGE_MS = HOUR_MS

/** One client at one authorization server: finds the metadata once, and speaks the protocol. */
export class AuthorizationServer {
  readonly options: AuthorizationServerOptions
  readonly health: ServerHealth
  readonly #discovery = new SingleFlight<oauth.AuthorizationServer>()
  #found: { readonly as: oauth.AuthorizationServer; readonly atMs: number } | undefined

  constructor(options: AuthorizationServerOptions) {
    this.options = options
    this.health = new ServerHealth(options.name, options.health)
  }

  /**
   * The server's metadata: the configured endpoints, or discovered (OIDC Discovery, then RFC 8414) and kept for an hour.
   *
   * @throws {@link NetworkError} The server cannot be reached, redirects, or is too slow.
   * @throws {@link ServerResponseError} What it answers is no metadata, or another issuer's.
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
   * @param what How a message names the request, such as `token request`.
   * @throws {@link OAuthRefusedError} The server said no.
   * @throws {@link NetworkError} It could not be asked.
   * @throws {@link ServerResponseError} Its answer is not in the protocol.
   * @throws {@link ServerUnavailableError} It is left alone for a moment, and the call is guarded.
   */
  async call<T>(
    what: string,
    run: (call: ServerCall) => Promise<T>,
    how: CallOptions = {},
  ): Promise<T> {
    const request = () => this.#call(what, run, how.beforeSend)
    return how.guarded ? this.health.run(request) : request()
  }

  async #call<T>(
    what: string,
    run: (call: ServerCall) => Promise<T>,
    beforeSend: CallOptions['beforeSend'],
  ): Promise<T> {
    const as = await this.metadata()
    const lib = await import('oauth4webapi')
    const auth = await this.#clientAuth()
    let answer: Response | undefined
    let copy: Response | undefined
    let stopped = false
    const options = {
      [lib.customFetch]: async (url: string, init: object): Promise<Response> => {
        stopped = true
        beforeSend?.()
        stopped = false
        answer = await this.#fetch()(url, init as RequestInit)
        // The body of an error says more than a challenge does, and oauth4webapi would stop at the challenge.
        answer.headers.delete('www-authenticate')
        copy = answer.clone()
        return answer
      },
      [lib.allowInsecureRequests]: this.options.allowInsecureLoopback ?? false,
    }
    try {
      return await run({ lib, as, client: this.#client(lib), auth, options })
    } catch (error) {
      if (stopped) throw error
      throw toTypedError(error, {
        provider: this.options.name,
        what,
        answer,
        errorMember: copy?.status === 200 ? await errorMember(copy) : undefined,
        clock: this.options.clock,
      })
    }
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

  /** The metadata cannot be had now: no word of OAuth, whose endpoints were not asked. */
  #away(address: string, { status, headers }: Response): ServerResponseError {
    const wait = retryAfter(headers, this.options.clock)
    return new ServerResponseError({
      what: `Metadata of provider "${this.options.name}"`,
      detail: `${describeAddress(address)} answered HTTP ${status}. ${whenToRetry(wait.retryAfterMs)}`,
      reason: 'metadata_unavailable',
      status,
      ...wait,
    })
  }

  async #discover(): Promise<oauth.AuthorizationServer> {
    const { issuer, name } = this.options
    const lib = await import('oauth4webapi')
    let last: Response | undefined
    let address = issuer
    for (const algorithm of ['oidc', 'oauth2'] as const) {
      const response = await lib.discoveryRequest(new URL(issuer), {
        algorithm,
        [lib.customFetch]: (url: string, init: object) => {
          address = url
          return this.#fetch()(url, init as RequestInit)
        },
        [lib.allowInsecureRequests]: this.options.allowInsecureLoopback ?? false,
      })
      last = response
      if (response.status === 429 || response.status >= 500) throw this.#away(address, response)
      if (response.status >= 400 && response.status < 500) continue
      try {
        const as = await lib.processDiscoveryResponse(new URL(issuer), response)
        if (as.issuer === issuer) return as
      } catch (error) {
        if ((error as { code?: unknown }).code !== lib.JSON_ATTRIBUTE_COMPARISON) {
          throw toTypedError(error, {
            provider: name,
            what: 'metadata request',
            answer: response,
            clock: this.options.clock,
          })
        }
      }
      throw new ServerResponseError({
        what: `Metadata of provider "${name}"`,
        detail: `the document names another issuer than ${issuer}. Set issuer to exactly what the document says, a trailing slash included, if that is the server you mean.`,
        reason: 'issuer_mismatch',
      })
    }
    throw new ServerResponseError({
      what: `Metadata of provider "${name}"`,
      detail: `${issuer} publishes neither OpenID Connect nor RFC 8414 metadata (HTTP ${last?.status}). Check issuer, or set endpoints.`,
      reason: 'no_metadata',
    })
  }
}

async function errorMember(answer: Response): Promise<unknown> {
  try {
    return ((await answer.json()) as { error?: unknown } | null)?.error
  } catch {
    return undefined
  }
}
