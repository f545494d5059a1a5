import { DeputizeError, printable } from './base.js'

/** A name that only the call knew is not configured, or an optional package is missing. */
export class ConfigurationError extends DeputizeError {
  override readonly name = 'ConfigurationError'
  readonly code = 'ERR_CONFIGURATION'
}

/** Why a server could not be talked to. */
export type NetworkErrorReason =
  | 'unreachable'
  | 'timeout'
  | 'redirected'
  | 'too_large'
  | 'address_not_allowed'
  | 'aborted'

/** A server of the identity provider could not be reached, was too slow, redirected, or sent too much. */
export class NetworkError extends DeputizeError {
  override readonly name = 'NetworkError'
  readonly code = 'ERR_NETWORK'
  declare readonly reason: NetworkErrorReason
  /** Where to: origin and path, without query. */
  readonly url: string
  /** The HTTP status of an answer that began and was not read to its end. */
  declare readonly status?: number

  constructor(init: {
    url: string
    reason: NetworkErrorReason
    detail: string
    status?: number | undefined
    cause?: unknown
  }) {
    super(`${init.url}: ${init.detail}`, {
      reason: init.reason,
      cause: init.cause,
      retryable: init.reason === 'unreachable' || init.reason === 'timeout',
    })
    this.url = init.url
    if (init.status !== undefined) this.status = init.status
  }
}

/** A server answered, but not in the protocol: HTML, wrong JSON, another issuer, a token with a line break. */
export class ServerResponseError extends DeputizeError {
  override readonly name = 'ServerResponseError'
  readonly code = 'ERR_SERVER_RESPONSE'
  declare readonly status?: number
  /** Milliseconds that the server asked us to wait (`Retry-After`), if it did. */
  declare readonly retryAfterMs?: number

  constructor(init: {
    what: string
    detail: string
    reason: string
    status?: number
    retryAfterMs?: number
    /** Default: as `status` says. */
    retryable?: boolean
  }) {
    super(`${init.what}: ${init.detail}`, {
      reason: init.reason,
      retryable: init.retryable ?? ((init.status ?? 0) >= 500 || init.status === 429),
    })
    if (init.status !== undefined) this.status = init.status
    if (init.retryAfterMs !== undefined) this.retryAfterMs = init.retryAfterMs
  }
}

/** The authorization server answered with an OAuth error (RFC 6749 §5.2). */
export class OAuthRefusedError extends DeputizeError {
  override readonly name = 'OAuthRefusedError'
  readonly code = 'ERR_OAUTH_REFUSED'
  /** The server's own `error` value, such as `invalid_grant`; `unknown` when it is none of RFC 6749's alphabet. */
  readonly oauthError: string
  readonly status: number
  readonly provider: string
  /** Milliseconds that the server asked us to wait (`Retry-After`), if it did. */
  declare readonly retryAfterMs?: number
  /** What the server wants to know of the user besides, as it sent it: the next consent asks for it. */
  declare readonly claims?: string

  constructor(init: {
    provider: string
    oauthError: string
    status: number
    /** Default: `oauthError`. */
    reason?: string
    retryAfterMs?: number
    claims?: string
  }) {
    super(
      `Authorization server of provider "${init.provider}" refused the request: ${printable(init.oauthError, 60)} (HTTP ${init.status}). ${adviceFor(init)}`,
      {
        reason: init.reason ?? init.oauthError,
        retryable: comesBack(init.oauthError, init.status),
      },
    )
    this.provider = init.provider
    this.oauthError = init.oauthError
    this.status = init.status
    if (init.retryAfterMs !== undefined) this.retryAfterMs = init.retryAfterMs
    if (init.claims !== undefined) this.claims = init.claims
  }
}

function comesBack(oauthError: string, status: number): boolean {
  return (
    status === 408 || status === 429 || status >= 500 || oauthError === 'temporarily_unavailable'
  )
}

function adviceFor(init: {
  readonly oauthError: string
  readonly status: number
  readonly retryAfterMs?: number
}): string {
  const { oauthError, status, retryAfterMs } = init
  return comesBack(oauthError, status) ? whenToRetry(retryAfterMs) : adviceForCode(oauthError)
}

/** What to do about a server that may answer later, with what its `Retry-After` said. */
export function whenToRetry(retryAfterMs: number | undefined): string {
  return retryAfterMs ? `Try again in ${Math.ceil(retryAfterMs / 1000)} s.` : 'Try again later.'
}

function adviceForCode(oauthError: string): string {
  switch (oauthError) {
    case 'invalid_client':
      return 'Check clientId, clientSecret and clientAuth; the server does not accept them.'
    case 'invalid_grant':
      return 'The grant is spent or revoked; the user must consent again.'
    case 'invalid_scope':
      return 'Ask for fewer scopes, or have the owner of the server allow these for the client.'
    case 'unauthorized_client':
      return 'Have the owner of the server allow this grant type for the client.'
    case 'invalid_target':
      return 'The server does not know the resource; check the option resource.'
    case 'server_error':
      return 'Try again later.'
    default:
      return "See the server's documentation for this code."
  }
}

/** The authorization server failed a moment ago, for everybody or for this grant, and is left alone; nothing was sent. */
export class ServerUnavailableError extends DeputizeError {
  override readonly name = 'ServerUnavailableError'
  readonly code = 'ERR_SERVER_UNAVAILABLE'
  readonly provider: string
  /** Milliseconds after which it is worth while to try again. */
  readonly retryAfterMs: number

  /** @param init.grant It failed for one grant only. */
  constructor(init: {
    provider: string
    reason: string
    retryAfterMs: number
    grant?: boolean | undefined
  }) {
    const who = `The authorization server of provider "${init.provider}"`
    const failed = init.grant
      ? `did not renew this grant (${init.reason}) and is not asked for it again yet`
      : `failed several times in a row (${init.reason}) and is left alone for a moment`
    super(`${who} ${failed}. Try again in ${init.retryAfterMs} ms.`, {
      reason: init.reason,
      retryable: true,
    })
    this.provider = init.provider
    this.retryAfterMs = init.retryAfterMs
  }
}

/**
 * The token does not cover a scope that the server was asked for. Asking the user once more would change nothing: for that,
 * begin a new consent with `beginAuthorization()`.
 */
export class ScopeNotGrantedError extends DeputizeError {
  override readonly name = 'ScopeNotGrantedError'
  readonly code = 'ERR_SCOPE_NOT_GRANTED'
  readonly provider: string
  readonly missingScopes: readonly string[]
  /** What the server was asked for. */
  readonly askedScopes: readonly string[]
  /** What it granted. */
  readonly grantedScopes: readonly string[]

  constructor(init: {
    provider: string
    missingScopes: readonly string[]
    askedScopes: readonly string[]
    grantedScopes: readonly string[]
  }) {
    const [missing, asked, granted] = [
      init.missingScopes,
      init.askedScopes,
      init.grantedScopes,
    ].map((scopes) => printable(scopes.join(' ')) || 'nothing')
    super(
      `Provider "${init.provider}" did not grant: ${missing}. It was asked for ${asked}, and granted ${granted}. Ask for what it grants, or have its owner allow these scopes for the client. If the server spells scopes in another way, set scopeSeparator or scopeAliases.`,
    )
    this.provider = init.provider
    this.missingScopes = init.missingScopes
    this.askedScopes = init.askedScopes
    this.grantedScopes = init.grantedScopes
  }
}

/** The agent may not send this provider's credential there. */
export class OriginNotAllowedError extends DeputizeError {
  override readonly name = 'OriginNotAllowedError'
  readonly code = 'ERR_ORIGIN_NOT_ALLOWED'
  readonly origin: string

  constructor(init: {
    provider: string
    origin: string
    allowed: readonly string[]
    reason: string
  }) {
    super(
      `The credential of provider "${init.provider}" does not go to ${printable(init.origin)} (${init.reason}). Allowed: ${init.allowed.join(', ') || 'none'}. Add the origin to the provider's option origins if it is right.`,
      { reason: init.reason },
    )
    this.origin = init.origin
  }
}

/** The user has several accounts at the provider, and the call did not say which. */
export class AccountAmbiguousError extends DeputizeError {
  override readonly name = 'AccountAmbiguousError'
  readonly code = 'ERR_ACCOUNT_AMBIGUOUS'
  readonly provider: string
  readonly accounts: readonly string[]

  constructor(init: { provider: string; accounts: readonly string[] }) {
    super(
      `The user has ${init.accounts.length} accounts at provider "${init.provider}": ${init.accounts.map((label) => printable(label, 60)).join(', ')}. Pass the option account.`,
    )
    this.provider = init.provider
    this.accounts = init.accounts
  }
}
