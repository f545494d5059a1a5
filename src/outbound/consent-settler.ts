import type { Audit } from '../audit.js'
import type { UserRef } from '../principal.js'
import type { Held } from '../vault/token-vault.js'
import {
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  sessionUri,
} from './consent-session.js'
import type { ConsentWaiters } from './consent-waiters.js'

/** How a consent ended. */
export interface AuthorizationSettled {
  readonly sessionUri: string
  readonly outcome: 'done' | 'denied' | 'expired' | 'wrong-user' | 'failed'
  /** The user who was asked. */
  readonly user: UserRef
  readonly provider: string
  readonly account?: string
}

interface Parts {
  readonly sessions: ConsentSessions
  readonly waiters: ConsentWaiters
  readonly audit: Audit
  readonly onSettled: ((event: AuthorizationSettled) => unknown) | undefined
}

/** Ends consents: the one place where an outcome is written and told. */
export class ConsentSettler {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Writes the outcome, tells the audit trail, wakes who waits, then tells the application.
   *
   * @returns The settled session; `undefined` when another was first.
   */
  async settle(
    held: Held<ConsentSession>,
    phase: Extract<ConsentPhase, AuthorizationSettled['outcome']>,
    reason: string | undefined,
    account = held.value.account,
  ): Promise<ConsentSession | undefined> {
    const { sessions, audit, waiters, onSettled } = this.#parts
    const moved =
      (await sessions.move(held, { phase, reason, account })) ?? (await this.#mine(held, phase))
    if (!moved) return undefined
    const { id, workload, user, userKnown, provider, scopes } = held.value
    const labelled = account === undefined ? {} : { account }
    const facts = {
      workload: workload.name,
      ...(workload.issuer === undefined ? {} : { workloadIssuer: workload.issuer }),
      user,
      userKnown,
      provider,
      flow: 'USER_FEDERATION',
      ...labelled,
      scopes,
      sessionUri: sessionUri(id),
    } as const
    audit.emit(
      phase === 'done'
        ? { type: 'consent_completed', ...facts }
        : { type: 'consent_refused', reason: reason ?? phase, ...facts },
    )
    waiters.wake(id)
    try {
      await onSettled?.({
        sessionUri: sessionUri(id),
        outcome: phase,
        user,
        provider,
        ...labelled,
      })
    } catch {
      // The consent stands whatever the application's own listener does.
    }
    return moved.value
  }

  /** The session where it is done by this very consent: the reply to the write was lost, and nobody has been told. */
  async #mine(held: Held<ConsentSession>, phase: ConsentPhase) {
    const { order, id } = held.value
    if (phase !== 'done' || order === undefined) return undefined
    const now = await this.#parts.sessions.find(id)
    const isMine = now?.value.phase === 'done' && now.value.order === order
    return isMine && now.version === held.version + 1 ? now : undefined
  }

  /** Settles a session that ran out of time, if nobody did yet: an expiry that was written has a reason. */
  async settleIfLate(held: Held<ConsentSession>): Promise<void> {
    const { phase, reason } = held.value
    if (phase === 'expired' && reason === undefined) await this.settle(held, 'expired', 'too late')
  }
}
