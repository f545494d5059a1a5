import type { Audit } from '../audit.js'
import { equalBytes, randomId, utf8 } from '../bytes.js'
import { type Clock, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { ConsentSessionError } from '../errors/consent.js'
import { readAuthorizationResponse } from '../oauth/authorization-code.js'
import { sameUser, type UserRef } from '../principal.js'
import type { Held } from '../vault/token-vault.js'
import type { ConsentExchange } from './consent-exchange.js'
import { type ConsentPage, consentPage, type ReturnOutcome, returnTo } from './consent-page.js'
import {
  CODE_HELD_MS,
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  readSessionUri,
  referenceOf,
  sessionIdOf,
  sessionUri,
} from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import type { ConsentWaiters } from './consent-waiters.js'
import { refusalOf } from './consents.js'
import { cameBackTo } from './redirect-uri.js'
import type { ProviderRegistry, RegisteredOAuth2 } from './registry.js'

/** Who is in front of the browser: from the application's own session, never from the request's parameters. */
export type IdentifyUser =
  | ((request: Request) => UserRef | undefined | Promise<UserRef | undefined>)
  | 'unsafe-single-user'

/** A second visitor waits this long for the outcome of the first. */
const SECOND_VISIT_MS = 20 * SECOND_MS

interface Parts {
  readonly registry: ProviderRegistry
  readonly sessions: ConsentSessions
  readonly exchange: ConsentExchange
  readonly settler: ConsentSettler
  readonly waiters: ConsentWaiters
  readonly audit: Audit
  readonly clock: Clock
  readonly identifyUser: IdentifyUser | undefined
  /** Whether links are in this process's memory alone. */
  readonly isVolatile: boolean
}

/**
 * Receives the user who comes back from the provider. Nothing is exchanged before it is known that the user in front of
 * the browser is the one who was asked: PKCE and state do not stop a link that was forwarded.
 */
export class ConsentCallback {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Always answers with a page or a redirect; never rejects. */
  async handle(request: Request, known: UserRef | undefined): Promise<Response> {
    if (request.method !== 'GET') return consentPage('method')
    const state = stateOf(request)
    if (state === undefined) return consentPage('invalid')
    const id = await sessionIdOf(state)
    try {
      return await this.#handle(id, request, known)
    } catch (error) {
      // The vault or the application's own look-up failed before anything was spent: the page may be loaded again.
      const code = isDeputizeError(error) ? error.code : 'ERR_UNEXPECTED'
      const reason = isDeputizeError(error) ? (error.reason ?? code) : 'identifyUser threw'
      return this.#undecided('unavailable', id, { code, reason })
    }
  }

  async #handle(id: string, request: Request, known: UserRef | undefined): Promise<Response> {
    const held = await this.#parts.sessions.find(id)
    if (!held) return this.#unknown(id)
    const { identifyUser, settler } = this.#parts
    const session = held.value
    const url = new URL(request.url)
    const at = this.#server(session)
    if (session.phase === 'pending' && (!at || !cameBackTo(at.name, at.provider, url))) {
      const reason = at
        ? 'came back to the redirect URI of another provider'
        : 'the provider is no longer configured with the issuer and the client that were asked'
      return this.#answer((await settler.settle(held, 'failed', { reason })) ?? session, 'page')
    }
    const user =
      known ??
      (identifyUser === 'unsafe-single-user' ? session.user : await identifyUser?.(request))
    if (user && !sameUser(user, session.user)) {
      // Who comes with a link that is settled changes nothing.
      if (session.phase === 'pending') await this.#refuse(held, user, 'opened')
      return consentPage('wrong-user', referenceOf(id))
    }
    if (session.phase !== 'pending') return this.#again(held, user !== undefined, url.searchParams)
    if (user) {
      const settled = await this.#finish(held, at!, url.searchParams)
      return settled ? this.#answer(settled) : this.#again(held, true, url.searchParams)
    }
    if (identifyUser) return consentPage('sign-in', referenceOf(id))
    if (session.returnUrl !== undefined) return this.#hold(held, at!, url.searchParams)
    const reason =
      'nobody can finish this link: set identifyUser, pass { user } to handleCallback(), or ask with a returnUrl'
    return this.#undecided('sign-in', id, { code: 'ERR_CONFIGURATION', reason })
  }

  /** A second visitor goes where the first goes: a reload, a double click, or the visit that a prefetch preceded. */
  async #again(
    held: Held<ConsentSession>,
    isUser: boolean,
    parameters: URLSearchParams,
  ): Promise<Response> {
    const { sessions, settler, waiters } = this.#parts
    const { id } = held.value
    const patience = AbortSignal.timeout(SECOND_VISIT_MS)
    let now = (await sessions.find(id)) ?? held
    while (now.value.phase === 'exchanging' && !patience.aborted) {
      await waiters.next(id, patience).catch(() => {})
      now = (await sessions.find(id)) ?? now
    }
    await settler.settleIfLate(now)
    const { phase, returnUrl, code, ticket } = now.value
    if (phase === 'code-held' && returnUrl !== undefined) {
      // The ticket is for the browser that has the code, and this one has it too.
      if (!sameSecret(code, keptAnswer(parameters))) return consentPage('expired', referenceOf(id))
      return returnTo(returnUrl, sessionUri(id, ticket))
    }
    return this.#answer(now.value, isUser ? undefined : 'page')
  }

  /** The page, or the return URL where there is one. */
  #answer({ id, phase, returnUrl }: ConsentSession, only?: 'page'): Response {
    if (returnUrl === undefined || only === 'page' || phase === 'wrong-user') {
      return consentPage(pageOf(phase), phase === 'done' ? undefined : referenceOf(id))
    }
    return returnTo(returnUrl, sessionUri(id), outcomes[pageOf(phase)] ?? 'failed')
  }

  #unknown(id: string): Response {
    const { isVolatile } = this.#parts
    const code = 'ERR_CONSENT_SESSION'
    const reason = isVolatile
      ? 'no such session in this vault, which is in the memory of one OutboundCredentialProvider: several of them, or several processes, need one vault with a store'
      : 'no such session: it was never made, or was settled and forgotten'
    return this.#undecided(isVolatile ? 'unknown-here' : 'unknown', id, { code, reason })
  }

  /** Nothing was decided: the audit trail says why, and the page how to find it there. */
  #undecided(
    page: ConsentPage,
    id: string,
    why: { readonly code: string; readonly reason: string },
  ): Response {
    const reference = referenceOf(id)
    this.#parts.audit.emit({
      type: 'callback_failed',
      ...why,
      reference,
      sessionUri: sessionUri(id),
    })
    return consentPage(page, reference)
  }

  async #refuse(held: Held<ConsentSession>, user: UserRef, how: string): Promise<string> {
    const isSameSubject = user.subject === held.value.user.subject
    const hint = isSameSubject
      ? ': the subject is the same and the issuer is not. A user is the pair of both; see identifyUser'
      : ''
    const reason = `${how} by another user${hint}`
    await this.#parts.settler.settle(held, 'wrong-user', { reason, cameAs: user })
    return reason
  }

  /**
   * Finishes a consent whose code was held because the callback could not know the user.
   *
   * @throws {@link ConsentSessionError} There is no such session, or it holds no code.
   * @throws {@link ConsentWrongUserError} {@link ConsentExpiredError} {@link ConsentDeniedError} {@link ConsentFailedError}
   */
  async complete(uri: string, user: UserRef): Promise<void> {
    const named = readSessionUri(uri)
    const held = named && (await this.#parts.sessions.find(named.id))
    if (!held || held.value.phase === 'pending' || held.value.phase === 'exchanging') {
      throw new ConsentSessionError()
    }
    const session = held.value
    // Whoever was shown the link knows the session's name, and may have sent the link to another. The ticket says that
    // this is the browser which the code came with; without it nothing is told, and nothing changes.
    if (session.phase === 'code-held' && !sameSecret(session.ticket, named?.ticket)) {
      throw new ConsentSessionError()
    }
    if (!sameUser(user, session.user)) {
      if (session.phase !== 'code-held') throw new ConsentSessionError()
      const reason = await this.#refuse(held, user, 'completed')
      throw refusalOf({ ...session, phase: 'wrong-user', reason })
    }
    if (session.phase !== 'code-held') {
      await this.#parts.settler.settleIfLate(held)
      if (session.phase === 'done') throw new ConsentSessionError()
      throw refusalOf(session)
    }
    const at = this.#server(session)
    const settled = at && (await this.#finish(held, at, new URLSearchParams(session.code)))
    if (!settled) throw new ConsentSessionError()
    if (settled.phase !== 'done') throw refusalOf(settled)
  }

  /** The server that the session was started at, if it is still configured as it was. */
  #server(session: ConsentSession): RegisteredOAuth2 | undefined {
    try {
      const at = this.#parts.registry.oauth2(session.provider)
      const same =
        at.provider.issuer === session.issuer && at.provider.clientId === session.clientId
      return same ? at : undefined
    } catch {
      return undefined
    }
  }

  /** Keeps what came back, sealed, for {@link complete}; the browser learns the session's name and its ticket only. */
  async #hold(
    held: Held<ConsentSession>,
    at: RegisteredOAuth2,
    parameters: URLSearchParams,
  ): Promise<Response> {
    const { settler, sessions, clock } = this.#parts
    const answer = await readAuthorizationResponse(at.server, parameters)
    if (answer.kind === 'invalid') {
      const { reason } = answer
      return this.#answer((await settler.settle(held, 'failed', { reason })) ?? held.value, 'page')
    }
    const ticket = randomId()
    const moved = await sessions.move(held, {
      phase: 'code-held',
      ticket,
      code: keptAnswer(parameters),
      codeHeldUntilMs: clock() + CODE_HELD_MS,
    })
    if (!moved) return this.#again(held, false, parameters)
    return returnTo(held.value.returnUrl!, sessionUri(held.value.id, ticket))
  }

  /** @returns The settled session; `undefined` when another callback was first. */
  async #finish(
    held: Held<ConsentSession>,
    at: RegisteredOAuth2,
    parameters: URLSearchParams,
  ): Promise<ConsentSession | undefined> {
    const { settler, exchange } = this.#parts
    const answer = await readAuthorizationResponse(at.server, parameters)
    if (answer.kind === 'invalid') return settler.settle(held, 'failed', { reason: answer.reason })
    if (answer.kind === 'error') {
      const phase = answer.error === 'access_denied' ? 'denied' : 'failed'
      return settler.settle(held, phase, { reason: answer.error })
    }
    return exchange.run(held, at, answer.code)
  }
}

const outcomes: Partial<Record<ConsentPage, ReturnOutcome>> = {
  done: 'connected',
  denied: 'denied',
  expired: 'expired',
}

function stateOf(request: Request): string | undefined {
  const [state, ...more] = new URL(request.url).searchParams.getAll('state')
  const isOne = state !== undefined && more.length === 0 && /^[A-Za-z0-9_-]{43}$/.test(state)
  return isOne ? state : undefined
}

/** What of the answer is kept until the application says who is there. */
function keptAnswer(parameters: URLSearchParams): string {
  const kept = new URLSearchParams()
  for (const name of ['code', 'iss', 'error']) {
    const value = parameters.get(name)
    if (value !== null) kept.set(name, value)
  }
  return kept.toString()
}

function sameSecret(given: string | undefined, presented: string | undefined): boolean {
  if (given === undefined || presented === undefined) return false
  return equalBytes(utf8(given), utf8(presented))
}

function pageOf(phase: ConsentPhase): ConsentPage {
  switch (phase) {
    case 'done':
    case 'denied':
    case 'failed':
    case 'wrong-user':
      return phase
    default:
      return 'expired'
  }
}
