import { base64url, fromBase64url, sha256, utf8 } from '../bytes.js'
import { type Clock, HOUR_MS, MINUTE_MS } from '../clock.js'
import type { UserRef } from '../principal.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import type { WorkloadRef } from '../workload/acting.js'

/** A consent link is good this long, and once. */
export const SESSION_LIFETIME_MS = 10 * MINUTE_MS
/** A code that waits for the application to say who is there is kept this long. */
export const CODE_HELD_MS = MINUTE_MS
/** An exchange that was begun in the last moment may take this long. */
const EXCHANGE_MS = MINUTE_MS
/** How long the outcome can be asked for. */
const REMEMBERED_MS = HOUR_MS
/** The same for a session that gave way to newer ones: long enough for those who wait, too short to fill a store. */
const CROWDED_OUT_MS = MINUTE_MS
/** Why a session ended that gave way to newer ones. */
export const CROWDED_OUT = 'too many pending'

/**
 * Where a session stands. `exchanging` is between the one winner's claim and its outcome; a process that died there
 * leaves it to expire.
 */
export type ConsentPhase =
  | 'pending'
  | 'code-held'
  | 'exchanging'
  | 'done'
  | 'denied'
  | 'expired'
  | 'wrong-user'
  | 'failed'

/** One consent that was asked for, as the vault holds it, sealed: `codeVerifier` and `code` are secrets. */
export interface ConsentSession {
  readonly id: string
  readonly workload: WorkloadRef
  readonly user: UserRef
  readonly userKnown: 'verified' | 'asserted'
  readonly provider: string
  readonly issuer: string
  readonly clientId: string
  /** The label that the caller named. */
  readonly account?: string | undefined
  /** The account that was connected, where the caller named none. */
  readonly accountHint?: string | undefined
  readonly scopes: readonly string[]
  readonly resource?: string | undefined
  readonly codeVerifier: string
  readonly nonce?: string | undefined
  readonly redirectUri: string
  readonly returnUrl?: string | undefined
  readonly authorizationUrl: string
  readonly expiresAtMs: number
  readonly phase: ConsentPhase
  /** The number of the consent, from the moment on that its code is exchanged. */
  readonly order?: number | undefined
  readonly code?: string | undefined
  readonly codeHeldUntilMs?: number | undefined
  /** What only the browser was given that brought the code which is held. A secret. */
  readonly ticket?: string | undefined
  readonly reason?: string | undefined
}

const prefix = 'urn:deputize:consent-session:'

/** The name of a session that may be shown: a hash of its state, so that it does not give the state away. */
export async function sessionIdOf(state: string): Promise<string> {
  return base64url(await sha256(utf8(state)))
}

/** `urn:deputize:consent-session:…`, and behind it the ticket that goes to one browser alone. */
export function sessionUri(id: string, ticket?: string): string {
  return ticket === undefined ? `${prefix}${id}` : `${prefix}${id}:${ticket}`
}

/** What a page shows of a session: enough to find it in the audit trail, and no name of it. */
export function referenceOf(id: string): string {
  return id.slice(0, 8)
}

/** The id in a session URI, and the ticket where there is one; `undefined` when it is none. */
export function readSessionUri(
  uri: unknown,
): { readonly id: string; readonly ticket: string | undefined } | undefined {
  if (typeof uri !== 'string' || !uri.startsWith(prefix)) return undefined
  const [id = '', ticket, ...more] = uri.slice(prefix.length).split(':')
  const good = (part: string) => fromBase64url(part)?.length === 32
  if (!good(id) || (ticket !== undefined && !good(ticket)) || more.length > 0) return undefined
  return { id, ticket }
}

/** The id in a session URI; `undefined` when it is none. */
export function parseSessionUri(uri: unknown): string | undefined {
  return readSessionUri(uri)?.id
}

/** Keeps consent sessions. Every change is a compare-and-set, so that of two callbacks one wins. */
export class ConsentSessions {
  readonly #vault: TokenVault
  readonly #clock: Clock

  constructor(vault: TokenVault, clock: Clock) {
    this.#vault = vault
    this.#clock = clock
  }

  /** @returns `false` when there is a session of that id already, which 256 random bits rule out. */
  async create(session: ConsentSession): Promise<boolean> {
    return (await this.#write(session, 0)) !== undefined
  }

  /** The session of that id; one that nobody finished in time reads as `expired`. */
  async find(id: string): Promise<Held<ConsentSession> | undefined> {
    const held = await this.#vault.read<ConsentSession>(rowKey(id))
    if (!held) return undefined
    const { value: session, version } = held
    const nowMs = this.#clock()
    const endsMs = {
      pending: session.expiresAtMs,
      exchanging: session.expiresAtMs + EXCHANGE_MS,
      'code-held': session.codeHeldUntilMs ?? 0,
    } as Partial<Record<ConsentPhase, number>>
    const late = nowMs >= (endsMs[session.phase] ?? Number.POSITIVE_INFINITY)
    return late
      ? { value: { ...session, code: undefined, ticket: undefined, phase: 'expired' }, version }
      : held
  }

  /**
   * Moves a session on, if nobody else did.
   *
   * @returns The session as it is now in the vault, or `undefined` when another was first.
   */
  async move(
    held: Held<ConsentSession>,
    to: Partial<
      Pick<ConsentSession, 'code' | 'codeHeldUntilMs' | 'ticket' | 'reason' | 'account' | 'order'>
    > & {
      readonly phase: ConsentPhase
    },
  ): Promise<Held<ConsentSession> | undefined> {
    const value: ConsentSession = { ...held.value, code: undefined, ticket: undefined, ...to }
    const version = await this.#write(value, held.version)
    return version === undefined ? undefined : { value, version }
  }

  #write(session: ConsentSession, replaces: number): Promise<number | undefined> {
    const keepUntilMs =
      session.reason === CROWDED_OUT
        ? this.#clock() + CROWDED_OUT_MS
        : session.expiresAtMs + REMEMBERED_MS
    return this.#vault.write(rowKey(session.id), session, { replaces, keepUntilMs })
  }
}

function rowKey(id: string) {
  return { kind: 'consent-session', owner: [id] } as const
}
