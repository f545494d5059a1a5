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

  async #discover(): Promise<oauth.AuthorizationServer> {
    const { issuer, fetch, allowInsecureLoopback, timeoutMs } = this.options
    const found = await findMetadata(
      documentReader({ fetch, allowInsecureLoopback, timeoutMs, followWithinOrigin: true }),
      { urls: metadataUrls(issuer), issuers: [issuer], member: 'token_endpoint' },
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

async function errorMember(answer: Response): Promise<unknown> {
  try {
    return ((await answer.json()) as { error?: unknown } | null)?.error
  } catch {
    return undefined
  }
}
