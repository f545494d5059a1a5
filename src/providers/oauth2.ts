import { checkUrl, refuseMetadataUrl } from '../address.js'
import { printable } from '../errors/base.js'
import type { Fetch } from '../http.js'
import { isReservedParameter } from '../oauth/authorization-code.js'
import { type ClientAuthMethod, checkClient } from '../oauth/client-auth.js'
import type { ServerEndpoints } from '../oauth/server.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import type { SecretInput } from '../secret.js'
import { checkFlag, checkOrigins, checkResource, checkScopes } from './options.js'
import type { Flow, OAuth2Provider } from './provider.js'

/** What {@link oauth2} takes. */
export interface OAuth2Options {
  /** The server's issuer identifier, exactly as its metadata spells it. Part of every stored grant's key. */
  readonly issuer: string
  /** Where to ask, for a server without metadata. Given: no discovery is made. */
  readonly endpoints?: ServerEndpoints
  readonly clientId: string
  /** Absent for a public client. */
  readonly clientSecret?: SecretInput
  /** Default: `client_secret_basic` with a secret, `none` without. */
  readonly clientAuth?: ClientAuthMethod
  /** Scopes that every consent, and every token in the agent's own name, asks for besides those of the call. */
  readonly scopes?: readonly string[]
  /** Where the token may go: `authenticatedFetch()` sends it to these origins only. */
  readonly origins?: readonly string[]
  /** The default resource indicator (RFC 8707). */
  readonly resource?: string
  /** Default: `M2M` for `actAsSelf()`, `USER_FEDERATION` for all others. */
  readonly defaultFlow?: Flow
  /** More parameters of the authorization request, such as `prompt` or `access_type`; none that the protocol sets. */
  readonly authorizationParameters?: Readonly<Record<string, string>>
  /**
   * What the server ends when one token is revoked: that token and what came of it, or every token that the user gave to
   * this client, as Google does. With `'token'`, a refresh token that a newer consent replaces is revoked; with `'grant'`
   * it is dropped, since revoking it would end the newer one too. `disconnect()` revokes either way. Default `'grant'`.
   */
  readonly revocation?: 'token' | 'grant'
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean
  /** Milliseconds for one request to the server. Default 10,000; 100 to 60,000. */
  readonly timeoutMs?: number
  /** A `fetch` of your own, for a proxy or a private certificate authority. */
  readonly fetch?: Fetch
}

const known: KnownOptions<OAuth2Options> = {
  issuer: true,
  endpoints: true,
  clientId: true,
  clientSecret: true,
  clientAuth: true,
  scopes: true,
  origins: true,
  resource: true,
  defaultFlow: true,
  authorizationParameters: true,
  revocation: true,
  allowInsecureLoopback: true,
  timeoutMs: true,
  fetch: true,
}

const knownEndpoints: KnownOptions<ServerEndpoints> = {
  token: true,
  authorization: true,
  revocation: true,
}

/**
 * A provider of OAuth 2 tokens, for the agent itself (`M2M`) and on behalf of users (`USER_FEDERATION`).
 *
 * @throws `TypeError` An option is wrong; it is named.
 */
export function oauth2(options: OAuth2Options): OAuth2Provider {
  checkOptionNames(options, 'oauth2()', known)
  const insecure = checkFlag(options.allowInsecureLoopback, 'allowInsecureLoopback')
  checkUrl(options.issuer, 'issuer', insecure)
  refuseMetadataUrl(options.issuer, 'issuer')
  if (options.endpoints !== undefined) {
    checkOptionNames(options.endpoints, 'endpoints', knownEndpoints)
    checkUrl(options.endpoints.token, 'endpoints.token', insecure)
    const { authorization, revocation } = options.endpoints
    if (authorization !== undefined) {
      checkUrl(authorization, 'endpoints.authorization', insecure)
    }
    if (revocation !== undefined) checkUrl(revocation, 'endpoints.revocation', insecure)
  }
  const client = checkClient(options)
  const { defaultFlow, timeoutMs } = options
  if (defaultFlow !== undefined && defaultFlow !== 'M2M' && defaultFlow !== 'USER_FEDERATION') {
    throw new TypeError(
      `defaultFlow must be "M2M" or "USER_FEDERATION"; got ${printable(defaultFlow)}.`,
    )
  }
  if (
    timeoutMs !== undefined &&
    !(typeof timeoutMs === 'number' && timeoutMs >= 100 && timeoutMs <= 60_000)
  ) {
    throw new TypeError(`timeoutMs must be from 100 to 60000; got ${printable(timeoutMs)}.`)
  }
  if (options.fetch !== undefined && typeof options.fetch !== 'function') {
    throw new TypeError(
      `fetch must be a function with the type of fetch; got ${typeof options.fetch}.`,
    )
  }
  const { revocation = 'grant' } = options
  if (revocation !== 'token' && revocation !== 'grant') {
    throw new TypeError(`revocation must be "token" or "grant"; got ${printable(revocation)}.`)
  }
  return Object.freeze({
    kind: 'oauth2',
    issuer: options.issuer,
    endpoints: options.endpoints && Object.freeze({ ...options.endpoints }),
    ...client,
    scopes: checkScopes(options.scopes ?? [], 'scopes'),
    origins: checkOrigins(options.origins, insecure),
    resource: checkResource(options.resource, 'resource'),
    defaultFlow,
    authorizationParameters: checkParameters(options.authorizationParameters),
    revocation,
    allowInsecureLoopback: insecure,
    timeoutMs,
    fetch: options.fetch,
  })
}

function checkParameters(
  parameters: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  if (parameters !== undefined && (typeof parameters !== 'object' || Array.isArray(parameters))) {
    throw new TypeError('authorizationParameters must be an object of strings.')
  }
  const out: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (isReservedParameter(name)) {
      throw new TypeError(
        `authorizationParameters may not set ${printable(name)}: the protocol sets it. Use the option of that meaning, if there is one.`,
      )
    }
    if (typeof value !== 'string') {
      throw new TypeError(`authorizationParameters.${printable(name)} must be a string.`)
    }
    out[name] = value
  }
  return Object.freeze(out)
}
