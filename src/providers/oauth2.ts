import { checkUrl, refuseMetadataUrl } from '../address.js'
import { printable } from '../errors/base.js'
import type { Fetch } from '../http.js'
import { isReservedParameter } from '../oauth/authorization-code.js'
import { type ClientAuthMethod, checkClient } from '../oauth/client-auth.js'
import { TENANT } from '../oauth/id-token.js'
import { isScope } from '../oauth/scopes.js'
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
  /** More parameters of every token request, such as Auth0's `audience`; none that the protocol sets. */
  readonly tokenParameters?: Readonly<Record<string, string>>
  /**
   * Where the provider sends the user back to, for a URI that is registered already. It may have a query. Serve
   * `handleCallback()` there. Default: `<callbackUrl>/<name of the provider>`.
   */
  readonly redirectUri?: string
  /**
   * The issuer of a server with many tenants, as its metadata and ID tokens spell it, such as
   * `https://login.microsoftonline.com/{tenantid}/v2.0`. `{tenantid}` stands for the tenant: an ID token names it in `tid`, and
   * must be from that tenant's issuer. `issuer` says where the metadata is.
   */
  readonly issuerTemplate?: string
  /** What stands between two scopes in requests and answers, such as `','`. Default: a space (RFC 6749 §3.3). */
  readonly scopeSeparator?: string
  /** What the server calls a scope in its answers, and what it was asked as: `{ 'https://api.example/read': 'read' }`. */
  readonly scopeAliases?: Readonly<Record<string, string>>
  /** Whether a refresh names the scopes of the grant, for a server that wants it. Default: false (RFC 6749 §6). */
  readonly refreshWithScope?: boolean
  /**
   * `false` for a server whose ID tokens repeat no nonce: none is sent, and PKCE alone ties the code to the request.
   * Default: true.
   */
  readonly idTokenNonce?: boolean
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
  tokenParameters: true,
  redirectUri: true,
  issuerTemplate: true,
  scopeSeparator: true,
  scopeAliases: true,
  refreshWithScope: true,
  idTokenNonce: true,
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
    revocation,
    authorizationParameters: checkParameters(options, 'authorizationParameters'),
    tokenParameters: checkParameters(options, 'tokenParameters'),
    redirectUri: checkRedirectUri(options.redirectUri, insecure),
    issuerTemplate: checkIssuerTemplate(options, insecure),
    scopeSeparator: checkSeparator(options.scopeSeparator),
    scopeAliases: checkAliases(options.scopeAliases),
    refreshWithScope: checkFlag(options.refreshWithScope, 'refreshWithScope'),
    idTokenNonce:
      options.idTokenNonce === undefined || checkFlag(options.idTokenNonce, 'idTokenNonce'),
    allowInsecureLoopback: insecure,
    timeoutMs,
    fetch: options.fetch,
  })
}

function checkParameters(
  options: OAuth2Options,
  option: 'authorizationParameters' | 'tokenParameters',
): Readonly<Record<string, string>> {
  const out: Record<string, string> = Object.create(null)
  for (const [name, value] of entriesOf(options[option], option)) {
    if (isReservedParameter(name)) {
      throw new TypeError(
        `${option} may not set ${printable(name)}: the protocol sets it. Use the option of that meaning, if there is one.`,
      )
    }
    out[name] = value
  }
  return Object.freeze(out)
}

function entriesOf(value: unknown, option: string): [string, string][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${option} must be an object of strings.`)
  }
  for (const [name, one] of Object.entries(value)) {
    if (typeof one !== 'string') {
      throw new TypeError(`${option}.${printable(name)} must be a string.`)
    }
  }
  return Object.entries(value)
}

/** Parameters with which a provider answers, and the registered URI can have none of. */
const answering = ['code', 'state', 'iss', 'error', 'response', 'id_token', 'access_token', 'token']

function checkRedirectUri(uri: string | undefined, insecure: boolean): string | undefined {
  if (uri === undefined) return undefined
  checkUrl(uri, 'redirectUri', insecure)
  const taken = answering.find((name) => new URL(uri).searchParams.has(name))
  if (taken !== undefined) {
    throw new TypeError(
      `redirectUri must have none of the parameters with which a provider answers; got ${taken}.`,
    )
  }
  return uri
}

function checkIssuerTemplate(
  { issuer, issuerTemplate: template }: OAuth2Options,
  insecure: boolean,
): string | undefined {
  if (template === undefined) return undefined
  if (typeof template !== 'string' || template.split(TENANT).length !== 2) {
    throw new TypeError(`issuerTemplate must be a URL that holds ${TENANT} once.`)
  }
  const filled = template.replace(TENANT, 'tenant')
  checkUrl(filled, 'issuerTemplate', insecure)
  if (
    new URL(filled).origin !== new URL(issuer).origin ||
    !template.startsWith(new URL(issuer).origin)
  ) {
    throw new TypeError(
      `issuerTemplate must be of the origin of issuer, with ${TENANT} in its path.`,
    )
  }
  return template
}

function checkSeparator(separator: string | undefined): string | undefined {
  if (separator === undefined || (typeof separator === 'string' && /^[ ,;|+]$/.test(separator))) {
    return separator
  }
  throw new TypeError(
    `scopeSeparator must be one character of " ", ",", ";", "|" and "+"; got ${printable(separator)}.`,
  )
}

function checkAliases(
  aliases: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (aliases === undefined) return undefined
  const entries = entriesOf(aliases, 'scopeAliases')
  const bad = entries.flat().find((scope) => !isScope(scope))
  if (bad !== undefined) {
    throw new TypeError(`scopeAliases takes scopes (RFC 6749 §3.3); got ${printable(bad)}.`)
  }
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(entries)))
}
