import type { Audit } from '../audit.js'
import type { UserRef } from '../principal.js'
import type { Held } from '../vault/token-vault.js'
import { auditActing } from '../workload/acting.js'
import {
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  referenceOf,
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
  /** Why it did not end in `done`; for operators, not for the user. */
  readonly reason?: string
  /** What the page shows, for the user to tell: the same is in the audit event. */
  readonly reference: string
  readonly tokens?: DroppedTokens
}

/**
 * What became of tokens that nothing uses any more: those of a consent that was not kept, or the refresh token that it
 * replaced. `dropped`: they are forgotten here, and the provider still honours them (option `revocation` of `oauth2()`).
 */
export type DroppedTokens = 'revoked' | 'dropped'

/** What there is to say of an end. */
interface Ending {
  readonly reason?: string | undefined
  /** Default: the one that was named. */
  readonly account?: string | undefined
  readonly tokens?: DroppedTokens | undefined
  /** Who came instead of the user who was asked. */
  readonly cameAs?: UserRef | undefined
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
    ending: Ending,
  ): Promise<ConsentSession | undefined> {
    const { sessions, audit, waiters, onSettled } = this.#parts
    const { reason, account = held.value.account, tokens, cameAs } = ending
    const moved =
      (await sessions.move(held, { phase, reason, account })) ?? (await this.#mine(held, phase))
    if (!moved) return undefined
    const { id, workload, user, userKnown, provider, scopes } = held.value
    const told = {
      sessionUri: sessionUri(id),
      reference: referenceOf(id),
      user,
      provider,
      ...(account === undefined ? {} : { account }),
      ...(tokens === undefined ? {} : { tokens }),
    }
    const facts = {
      ...auditActing({ workload, user, userKnown }),
      ...told,
      flow: 'USER_FEDERATION',
      scopes,
    } as const
    const came = cameAs && { cameAs: { issuer: cameAs.issuer, subject: cameAs.subject } }
    audit.emit(
      phase === 'done'
        ? { type: 'consent_completed', ...facts }
        : { type: 'consent_refused', reason: reason ?? phase, ...facts, ...came },
    )
    waiters.wake(id)
    const withReason = reason === undefined ? {} : { reason }
    // The consent stands whatever the application's own listener does, and nobody waits for it.
    void (async () => onSettled?.({ outcome: phase, ...told, ...withReason }))().catch(() => {})
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
    if (phase === 'expired' && reason === undefined) {
      await this.settle(held, 'expired', { reason: 'too late' })
    }
  }
}
