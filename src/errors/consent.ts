import { DeputizeError, isDeputizeError } from './base.js'

/** What an {@link AuthorizationRequiredError} carries, also after it was serialised. */
export interface AuthorizationRequired {
  readonly code: 'ERR_AUTHORIZATION_REQUIRED'
  readonly provider: string
  readonly account?: string
  /** Every scope that the user will be asked for. */
  readonly scopes: readonly string[]
  /** Send the user who is asked here, and nobody else: another user who opens it is refused. */
  readonly authorizationUrl: string
  /** Names the pending session; not a secret. Give it to `waitForAuthorization()` or `authorizationStatus()`. */
  readonly sessionUri: string
  /** Milliseconds since the epoch after which the link is dead. */
  readonly expiresAtMs: number
}

/**
 * The user has to consent first; the function that needed the token has not run. Serialisable, and found again in
 * whatever a framework made of it by {@link findAuthorizationRequired}.
 */
export class AuthorizationRequiredError extends DeputizeError implements AuthorizationRequired {
  override readonly name = 'AuthorizationRequiredError'
  readonly code = 'ERR_AUTHORIZATION_REQUIRED'
  readonly provider: string
  declare readonly account?: string
  readonly scopes: readonly string[]
  readonly authorizationUrl: string
  readonly sessionUri: string
  readonly expiresAtMs: number

  constructor(
    init: Omit<AuthorizationRequired, 'code' | 'account'> & { account?: string | undefined },
  ) {
    super(`The user must connect ${init.provider} first; the application shows the link.`)
    this.provider = init.provider
    if (init.account !== undefined) this.account = init.account
    this.scopes = init.scopes
    this.authorizationUrl = init.authorizationUrl
    this.sessionUri = init.sessionUri
    this.expiresAtMs = init.expiresAtMs
  }

  toJSON(): AuthorizationRequired & { readonly name: string; readonly message: string } {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      provider: this.provider,
      ...(this.account === undefined ? {} : { account: this.account }),
      scopes: this.scopes,
      authorizationUrl: this.authorizationUrl,
      sessionUri: this.sessionUri,
      expiresAtMs: this.expiresAtMs,
    }
  }
}

/**
 * The consent that `error` asks for, if it asks for one: through `cause` and `error` chains and `AggregateError`s, and also
 * when the error was serialised and parsed. At most 16 steps deep.
 */
export function findAuthorizationRequired(error: unknown): AuthorizationRequired | undefined {
  let level: unknown[] = [error]
  for (let depth = 0; depth < 16 && level.length > 0; depth++) {
    const next: unknown[] = []
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue
      try {
        if (isAuthorizationRequired(value)) return value
        const { cause, error, errors } = value as Record<string, unknown>
        next.push(cause, error)
        if (Array.isArray(errors)) next.push(...errors.slice(0, 16))
      } catch {
        // A getter threw: there is no consent to find there.
      }
    }
    level = next.slice(0, 64)
  }
  return undefined
}

function isAuthorizationRequired(value: object): value is AuthorizationRequired {
  if (isDeputizeError(value, 'ERR_AUTHORIZATION_REQUIRED')) return true
  const plain = value as Partial<Record<keyof AuthorizationRequired, unknown>>
  return (
    plain.code === 'ERR_AUTHORIZATION_REQUIRED' &&
    typeof plain.provider === 'string' &&
    typeof plain.authorizationUrl === 'string' &&
    /^https?:\/\//.test(plain.authorizationUrl) && // parsed from elsewhere, and about to become a link
    typeof plain.sessionUri === 'string' &&
    typeof plain.expiresAtMs === 'number' &&
    Array.isArray(plain.scopes)
  )
}

interface SettledInit {
  readonly provider: string
  readonly sessionUri: string
  readonly reason?: string | undefined
}

abstract class ConsentError extends DeputizeError {
  readonly provider: string
  readonly sessionUri: string

  constructor(message: string, init: SettledInit) {
    super(message, { reason: init.reason })
    this.provider = init.provider
    this.sessionUri = init.sessionUri
  }
}

/** The user, or the server, said no. */
export class ConsentDeniedError extends ConsentError {
  override readonly name = 'ConsentDeniedError'
  readonly code = 'ERR_CONSENT_DENIED'

  constructor(init: SettledInit) {
    super(
      `The user did not consent to provider "${init.provider}". Ask again only when the user wants it.`,
      init,
    )
  }
}

/** Nobody finished the consent in time. */
export class ConsentExpiredError extends ConsentError {
  override readonly name = 'ConsentExpiredError'
  readonly code = 'ERR_CONSENT_EXPIRED'

  constructor(init: SettledInit) {
    super(
      `The consent for provider "${init.provider}" was not finished in time. Call again for a new link.`,
      init,
    )
  }
}

/** Somebody else than the user who was asked opened the link. Nothing was exchanged and nothing is stored. */
export class ConsentWrongUserError extends ConsentError {
  override readonly name = 'ConsentWrongUserError'
  readonly code = 'ERR_CONSENT_WRONG_USER'

  constructor(init: SettledInit) {
    super(
      `The consent for provider "${init.provider}" was opened by another user than the one who was asked; the link is dead and nothing is stored. Somebody may have forwarded it: call again for a new link.`,
      init,
    )
  }
}

/** The consent came back, but not in order: another server answered, the code did not redeem, or the account is another. */
export class ConsentFailedError extends ConsentError {
  override readonly name = 'ConsentFailedError'
  readonly code = 'ERR_CONSENT_FAILED'

  constructor(init: SettledInit) {
    super(
      `The consent for provider "${init.provider}" could not be completed (${init.reason ?? 'unknown'}). Call again for a new link.`,
      init,
    )
  }
}

/** There is no such session, or it is another's. The two are not told apart. */
export class ConsentSessionError extends DeputizeError {
  override readonly name = 'ConsentSessionError'
  readonly code = 'ERR_CONSENT_SESSION'

  constructor() {
    super(
      'There is no such consent session for this workload and user, or it was settled and forgotten. Call again for a new link.',
    )
  }
}
