import type { Clock } from './clock.js'
import { isPromise } from './maybe-promise.js'
import type { Actor, UserRef } from './principal.js'

/** Who acts, and how the user behind it is known. */
export interface AuditActing {
  readonly workload: string
  readonly workloadIssuer?: string
  readonly user?: UserRef
  /** `verified`: by a token that a verifier accepted. `asserted`: the application said so. */
  readonly userKnown?: 'verified' | 'asserted'
  readonly actor?: Actor
}

interface Inbound {
  readonly method?: string
  readonly issuer?: string
  readonly subject?: string
  readonly clientId?: string
}

interface Outbound extends AuditActing {
  readonly provider: string
  readonly flow?: string
  readonly account?: string
  readonly scopes?: readonly string[]
}

interface Consent extends Outbound {
  readonly sessionUri: string
  /** What the page showed to the user. */
  readonly reference: string
}

interface EndedConsent extends Consent {
  /**
   * What became of tokens that nothing uses any more: those of a consent that was not kept, or the refresh token that it
   * replaced. `dropped`: the provider still honours them.
   */
  readonly tokens?: 'revoked' | 'dropped'
}

/** Every decision, as one event; a closed union on `type`. No event holds a secret. */
export type AuditEvent = { readonly atMs: number } & (
  | ({ readonly type: 'caller_verified' } & Inbound)
  | ({ readonly type: 'caller_refused'; readonly code: string; readonly reason: string } & Inbound)
  /** The caller named a user in a header beside its token: the token alone says who the user is. */
  | ({ readonly type: 'asserted_user_ignored' } & Inbound)
  | ({ readonly type: 'acting_started' } & AuditActing)
  | ({ readonly type: 'workload_token_issued'; readonly audience: string } & AuditActing)
  | ({ readonly type: 'token_issued' } & Outbound)
  | ({ readonly type: 'token_served' } & Outbound)
  | ({ readonly type: 'token_refreshed'; readonly rotated: boolean } & Outbound)
  | ({ readonly type: 'token_refused'; readonly code: string; readonly reason: string } & Outbound)
  | ({ readonly type: 'grant_lost'; readonly reason: string } & Outbound)
  /**
   * A new refresh token is in no row, and the old one is spent. `superseded`: another process wrote the row first;
   * `not_written`: the store did not take it until the process was closed.
   */
  | ({
      readonly type: 'grant_at_risk'
      readonly reason: 'superseded' | 'not_written'
    } & Outbound)
  /** A token is dated more than five minutes ahead: a clock is wrong here, or on the machine that wrote it. */
  | ({ readonly type: 'clock_differs'; readonly aheadMs: number } & Outbound)
  /** A row of the vault did not open; a consent or a disconnect has replaced it. What it held is lost. */
  | ({
      readonly type: 'corrupt_row_replaced'
      readonly row: 'grant' | 'connections'
    } & AuditActing & {
        readonly provider?: string
        readonly account?: string
      })
  | ({
      readonly type: 'disconnected'
      readonly revoked: boolean
      readonly reason?: string
    } & Outbound)
  | ({ readonly type: 'api_key_served' } & Outbound)
  | ({ readonly type: 'aws_credentials_served'; readonly roleArn?: string } & Outbound)
  | ({ readonly type: 'consent_started' } & Consent)
  | ({ readonly type: 'consent_completed' } & EndedConsent)
  | ({
      readonly type: 'consent_refused'
      readonly reason: string
      /** Who came instead of the user who was asked. */
      readonly cameAs?: UserRef
    } & EndedConsent)
  /** Somebody came to the callback, and nothing could be decided: the page says to come again, or that the link is unknown. */
  | {
      readonly type: 'callback_failed'
      readonly code: string
      readonly reason: string
      readonly reference: string
      readonly sessionUri?: string
    }
)

/** Where events go. It is called synchronously; what it throws, or a promise of it rejects with, is dropped. */
export type AuditSink = (event: AuditEvent) => void

/** An event before it is stamped. */
export type AuditFacts = AuditEvent extends infer E
  ? E extends AuditEvent
    ? Omit<E, 'atMs'>
    : never
  : never

/** Emits audit events. A sink that fails never breaks the decision it was told about. */
export class Audit {
  readonly #sink: AuditSink | undefined
  readonly #clock: Clock

  constructor(sink: AuditSink | undefined, clock: Clock) {
    this.#sink = sink
    this.#clock = clock
  }

  /** Whether there is a sink, for callers that would make an event for nothing. */
  get isHeard(): boolean {
    return this.#sink !== undefined
  }

  emit(facts: AuditFacts): void {
    if (!this.#sink) return
    try {
      const returned: unknown = this.#sink({ atMs: this.#clock(), ...facts } as AuditEvent)
      if (isPromise(returned)) Promise.resolve(returned).catch(() => {})
    } catch {
      // The library never logs; a sink that throws is the application's to find.
    }
  }
}
