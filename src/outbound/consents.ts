import {
  AuthorizationRequiredError,
  ConsentDeniedError,
  ConsentExpiredError,
  ConsentFailedError,
  ConsentSessionError,
  ConsentWrongUserError,
} from '../errors/consent.js'
import { sameUser } from '../principal.js'
import type { Held } from '../vault/token-vault.js'
import type { Acting } from '../workload/acting.js'
import {
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  parseSessionUri,
  sessionUri,
} from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import type { ConsentWaiters } from './consent-waiters.js'

/** Where a consent stands, as the application sees it. */
export type AuthorizationStatus =
  | 'pending'
  | 'done'
  | 'denied'
  | 'expired'
  | 'wrong-user'
  | 'failed'

interface Parts {
  readonly sessions: ConsentSessions
  readonly waiters: ConsentWaiters
  readonly settler: ConsentSettler
}

/** Tells how consents stand, and waits for them. */
export class Consents {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The session of that URI, if it is of this workload and user.
   *
   * @throws {@link ConsentSessionError} It is not, or there is none: the two look the same.
   */
  async #owned(acting: Acting, uri: string): Promise<Held<ConsentSession>> {
    const id = parseSessionUri(uri)
    const held = id === undefined ? undefined : await this.#parts.sessions.find(id)
    const session = held?.value
    const owned =
      session !== undefined &&
      acting.user !== undefined &&
      sameUser(session.user, acting.user) &&
      session.workload.name === acting.workload.name &&
      session.workload.issuer === acting.workload.issuer
    if (!owned) throw new ConsentSessionError()
    return held!
  }

  async status(acting: Acting, uri: string): Promise<AuthorizationStatus> {
    return statusOf((await this.#owned(acting, uri)).value.phase)
  }

  /** The challenge again, from the vault; `undefined` once it is settled. */
  async pending(acting: Acting, uri: string): Promise<AuthorizationRequiredError | undefined> {
    const { value: session } = await this.#owned(acting, uri)
    return session.phase === 'pending' ? challengeOf(session) : undefined
  }

  /**
   * Resolves when the consent is done, in whichever process; rejects as soon as it is refused, failed or expired, and
   * when `signal` aborts.
   */
  async wait(acting: Acting, uri: string, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      signal?.throwIfAborted()
      const held = await this.#owned(acting, uri)
      const session = held.value
      const status = statusOf(session.phase)
      if (status === 'done') return
      await this.#parts.settler.settleIfLate(held)
      if (status !== 'pending') throw refusalOf(session)
      await this.#parts.waiters.next(session.id, signal)
    }
  }
}

/** The error that asks for the consent of a session. */
export function challengeOf(session: ConsentSession): AuthorizationRequiredError {
  return new AuthorizationRequiredError({
    provider: session.provider,
    account: session.account,
    scopes: session.scopes,
    authorizationUrl: session.authorizationUrl,
    sessionUri: sessionUri(session.id),
    expiresAtMs: session.expiresAtMs,
  })
}

/** Where a session stands, as the application sees it. */
export function statusOf(phase: ConsentPhase): AuthorizationStatus {
  return phase === 'code-held' || phase === 'exchanging' ? 'pending' : phase
}

/** The error that says how a session ended. */
export function refusalOf(session: Pick<ConsentSession, 'id' | 'provider' | 'phase' | 'reason'>) {
  const init = {
    provider: session.provider,
    sessionUri: sessionUri(session.id),
    reason: session.reason,
  }
  switch (session.phase) {
    case 'denied':
      return new ConsentDeniedError(init)
    case 'wrong-user':
      return new ConsentWrongUserError(init)
    case 'expired':
      return new ConsentExpiredError(init)
    default:
      return new ConsentFailedError(init)
  }
}
