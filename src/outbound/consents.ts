import type { Audit } from '../audit.js'
import type { Clock } from '../clock.js'
import { printable } from '../errors/base.js'
import {
  AuthorizationRequiredError,
  ConsentDeniedError,
  ConsentExpiredError,
  ConsentFailedError,
  ConsentSessionError,
  ConsentWrongUserError,
} from '../errors/consent.js'
import { ConfigurationError } from '../errors/outbound.js'
import { startAuthorization } from '../oauth/authorization-code.js'
import { sameUser, type UserRef } from '../principal.js'
import { SingleFlight } from '../single-flight.js'
import type { Held } from '../vault/token-vault.js'
import { type Acting, allowedReturnUrls, auditActing } from '../workload/acting.js'
import type { ConnectionsIndex } from './connections.js'
import {
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  parseSessionUri,
  SESSION_LIFETIME_MS,
  sessionIdOf,
  sessionUri,
} from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import type { ConsentWaiters } from './consent-waiters.js'
import type { RegisteredOAuth2 } from './registry.js'

/** Consents that a (workload, user) may have pending; the oldest gives way. */
export const MAX_PENDING = 10

/** An {@link Acting} that is known to have a user. */
export type ActingForUser = Acting & { readonly user: UserRef }

/** What is asked of the user. */
export interface ConsentRequest {
  readonly scopes: readonly string[]
  /** The label that the caller named. */
  readonly account?: string | undefined
  /** The account that is connected now, where the caller named none. */
  readonly accountHint?: string | undefined
  readonly resource?: string | undefined
  readonly returnUrl?: string | undefined
  /** What the server wants to know of the user besides (OpenID Connect Core §5.5). */
  readonly claims?: string | undefined
}

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
  readonly index: ConnectionsIndex
  readonly waiters: ConsentWaiters
  readonly settler: ConsentSettler
  readonly audit: Audit
  readonly clock: Clock
  readonly callbackUrl: string | undefined
}

/** Starts consents, tells how they stand, and waits for them. */
export class Consents {
  readonly #parts: Parts
  readonly #starting = new SingleFlight<ConsentSession>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The challenge to throw: of the pending session where the same was asked before, else of a new one.
   *
   * @throws {@link ConfigurationError} `callbackUrl` is missing, or `returnUrl` is not registered.
   */
  async begin(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: ConsentRequest,
  ): Promise<AuthorizationRequiredError> {
    const fingerprint = JSON.stringify([
      at.name,
      at.provider.issuer,
      at.provider.clientId,
      request.account ?? null,
      [...request.scopes].sort(),
      request.resource ?? null,
      request.returnUrl ?? null,
      request.claims ?? null,
    ])
    const { workload, user } = acting
    const owner = [workload.issuer ?? null, workload.name, user.issuer, user.subject]
    const session = await this.#starting.run(JSON.stringify([owner, fingerprint]), async () => {
      const { session, settled } = await this.#pending(acting, fingerprint)
      return session ?? this.#start(acting, at, request, { fingerprint, settled })
    })
    return challengeOf(session)
  }

  /** The pending session where the same was asked; else the ids of those that are settled and still hold a place. */
  async #pending(
    acting: ActingForUser,
    fingerprint: string,
  ): Promise<{ readonly session?: ConsentSession; readonly settled: readonly string[] }> {
    const { pending } = await this.#parts.index.read(acting)
    const settled: string[] = []
    for (const one of pending) {
      const same = one.fingerprint === fingerprint
      // The others matter only when places are short.
      if (!same && pending.length < MAX_PENDING) continue
      const held = await this.#parts.sessions.find(one.sessionId)
      const open = held !== undefined && statusOf(held.value.phase) === 'pending'
      if (same && held?.value.phase === 'pending') return { session: held.value, settled }
      if (same || !open) settled.push(one.sessionId)
    }
    return { settled }
  }

  async #start(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: ConsentRequest,
    slot: { readonly fingerprint: string; readonly settled: readonly string[] },
  ): Promise<ConsentSession> {
    const { fingerprint, settled } = slot
    const { callbackUrl, sessions, index, clock, audit } = this.#parts
    if (callbackUrl === undefined) {
      throw new ConfigurationError(
        `Provider "${at.name}" needs the user's consent, but there is no callbackUrl. Set the option callbackUrl, register ${'<callbackUrl>'}/${at.name} at the provider, and serve credentials.handleCallback() there.`,
      )
    }
    const { returnUrl } = request
    if (returnUrl !== undefined && !allowedReturnUrls(acting).includes(returnUrl)) {
      throw new ConfigurationError(
        `returnUrl ${printable(returnUrl)} is not registered. Add it, exactly as it is, to allowedReturnUrls of WorkloadIdentity "${acting.workload.name}".`,
      )
    }
    const redirectUri = `${callbackUrl}/${at.name}`
    const started = await startAuthorization(at.server, {
      scopes: request.scopes,
      redirectUri,
      resource: request.resource,
      claims: request.claims,
      parameters: at.provider.authorizationParameters,
    })
    const session: ConsentSession = {
      id: await sessionIdOf(started.state),
      workload: acting.workload,
      user: acting.user,
      userKnown: acting.userKnown ?? 'asserted',
      provider: at.name,
      issuer: at.provider.issuer,
      clientId: at.provider.clientId,
      account: request.account,
      accountHint: request.accountHint,
      scopes: request.scopes,
      resource: request.resource,
      codeVerifier: started.codeVerifier,
      nonce: started.nonce,
      redirectUri,
      returnUrl,
      authorizationUrl: started.url,
      expiresAtMs: clock() + SESSION_LIFETIME_MS,
      phase: 'pending',
    }
    await sessions.create(session)
    let theirs: string | undefined
    let evicted: string[] = []
    await index.change(acting, (now) => {
      const others = now.pending.filter((one) => !settled.includes(one.sessionId))
      // Another process may have started the same a moment ago: then theirs is the one to show.
      theirs = others.find((one) => one.fingerprint === fingerprint)?.sessionId
      if (theirs !== undefined) return undefined
      const mine = { sessionId: session.id, fingerprint, expiresAtMs: session.expiresAtMs }
      const pending = [...others, mine]
      evicted = pending.slice(0, -MAX_PENDING).map((one) => one.sessionId)
      return { ...now, pending: pending.slice(-MAX_PENDING) }
    })
    if (theirs !== undefined) {
      const other = (await sessions.find(theirs))?.value
      if (other) return other
    }
    for (const id of evicted) await this.#expire(id)
    audit.emit({
      type: 'consent_started',
      ...auditActing(acting),
      provider: at.name,
      flow: 'USER_FEDERATION',
      ...(request.account === undefined ? {} : { account: request.account }),
      scopes: request.scopes,
      sessionUri: sessionUri(session.id),
    })
    return session
  }

  async #expire(id: string): Promise<void> {
    const held = await this.#parts.sessions.find(id)
    if (held?.value.phase !== 'pending') return
    await this.#parts.settler.settle(held, 'expired', 'too many pending')
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

function challengeOf(session: ConsentSession): AuthorizationRequiredError {
  return new AuthorizationRequiredError({
    provider: session.provider,
    account: session.account,
    scopes: session.scopes,
    authorizationUrl: session.authorizationUrl,
    sessionUri: sessionUri(session.id),
    expiresAtMs: session.expiresAtMs,
  })
}

function statusOf(phase: ConsentPhase): AuthorizationStatus {
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
