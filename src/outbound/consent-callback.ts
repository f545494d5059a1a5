import { equalBytes, randomId, utf8 } from '../bytes.js'
import type { Clock } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { ConsentSessionError } from '../errors/consent.js'
import {
  type RedeemedCode,
  readAuthorizationResponse,
  redeemCode,
} from '../oauth/authorization-code.js'
import { giveBack } from '../oauth/revoke.js'
import { sameUser, type UserRef } from '../principal.js'
import type { Held } from '../vault/token-vault.js'
import { type ConsentPage, consentPage, returnTo } from './consent-page.js'
import {
  CODE_HELD_MS,
  type ConsentPhase,
  type ConsentSession,
  type ConsentSessions,
  readSessionUri,
  sessionIdOf,
  sessionUri,
} from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import { refusalOf } from './consents.js'
import { DISCONNECTED } from './grant.js'
import type { GrantKeeper } from './grant-keeper.js'
import type { ProviderRegistry, RegisteredOAuth2 } from './registry.js'

/** Who is in front of the browser: from the application's own session, never from the request's parameters. */
export type IdentifyUser =
  | ((request: Request) => UserRef | undefined | Promise<UserRef | undefined>)
  | 'unsafe-single-user'

const OTHER_ACCOUNT = 'another account than the one named was connected'

interface Parts {
  readonly registry: ProviderRegistry
  readonly sessions: ConsentSessions
  readonly keeper: GrantKeeper
  readonly settler: ConsentSettler
  readonly clock: Clock
  readonly identifyUser: IdentifyUser | undefined
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
    try {
      return await this.#handle(request, known)
    } catch {
      // The store or the application's own look-up failed before anything was spent: the page may be loaded again.
      return consentPage('unavailable')
    }
  }

  async #handle(request: Request, known: UserRef | undefined): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const [state, ...more] = searchParams.getAll('state')
    if (state === undefined || more.length > 0 || !/^[A-Za-z0-9_-]{43}$/.test(state)) {
      return consentPage('invalid')
    }
    const held = await this.#parts.sessions.find(await sessionIdOf(state))
    if (!held) return consentPage('unknown')
    const session = held.value
    if (session.phase !== 'pending') {
      await this.#parts.settler.settleIfLate(held)
      return consentPage(pageOf(session.phase))
    }

    const at = this.#server(session)
    if (!at || pathname.split('/').at(-1) !== session.provider) {
      await this.#parts.settler.settle(
        held,
        'failed',
        'came back to the redirect URI of another provider',
      )
      return consentPage('failed')
    }

    const { identifyUser } = this.#parts
    const user =
      known ??
      (identifyUser === 'unsafe-single-user' ? session.user : await identifyUser?.(request))
    if (!user) {
      if (identifyUser || session.returnUrl === undefined) return consentPage('sign-in')
      return this.#hold(held, at, searchParams)
    }
    if (!sameUser(user, session.user)) {
      await this.#parts.settler.settle(held, 'wrong-user', 'opened by another user')
      return consentPage('wrong-user')
    }
    const settled = await this.#finish(held, at, searchParams)
    if (!settled) return consentPage('expired')
    return session.returnUrl === undefined
      ? consentPage(pageOf(settled.phase))
      : returnTo(session.returnUrl, sessionUri(session.id))
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
    if (session.phase === 'code-held' && !sameTicket(session.ticket, named?.ticket)) {
      throw new ConsentSessionError()
    }
    if (!sameUser(user, session.user)) {
      if (session.phase !== 'code-held') throw new ConsentSessionError()
      await this.#parts.settler.settle(held, 'wrong-user', 'completed by another user')
      throw refusalOf({ ...session, phase: 'wrong-user', reason: 'completed by another user' })
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
    const answer = await readAuthorizationResponse(at.server, parameters)
    if (answer.kind === 'invalid') {
      await this.#parts.settler.settle(held, 'failed', answer.reason)
      return consentPage('failed')
    }
    const kept = new URLSearchParams()
    for (const name of ['code', 'iss', 'error']) {
      const value = parameters.get(name)
      if (value !== null) kept.set(name, value)
    }
    const ticket = randomId()
    const moved = await this.#parts.sessions.move(held, {
      phase: 'code-held',
      ticket,
      code: kept.toString(),
      codeHeldUntilMs: this.#parts.clock() + CODE_HELD_MS,
    })
    if (!moved) return consentPage('expired')
    return returnTo(held.value.returnUrl!, sessionUri(held.value.id, ticket))
  }

  /** @returns The settled session; `undefined` when another callback was first. */
  async #finish(
    held: Held<ConsentSession>,
    at: RegisteredOAuth2,
    parameters: URLSearchParams,
  ): Promise<ConsentSession | undefined> {
    const session = held.value
    const answer = await readAuthorizationResponse(at.server, parameters)
    if (answer.kind === 'invalid') return this.#parts.settler.settle(held, 'failed', answer.reason)
    if (answer.kind === 'error') {
      const phase = answer.error === 'access_denied' ? 'denied' : 'failed'
      return this.#parts.settler.settle(held, phase, answer.error)
    }
    // One winner: a second callback, a reload or a prefetch finds the session taken, and the code is sent once.
    const taken = await this.#parts.sessions.move(held, { phase: 'exchanging' })
    if (!taken) return undefined
    let redeemed: RedeemedCode
    try {
      redeemed = await redeemCode(at.server, { ...session, code: answer.code })
    } catch (error) {
      const reason = isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error'
      return this.#parts.settler.settle(taken, 'failed', reason)
    }
    let settled: ConsentSession | undefined
    // When the store fails now, the session stays open, and is settled when the grant is written.
    await this.#parts.keeper.keep(session, redeemed, {
      hasEnded: async () =>
        (await this.#parts.sessions.find(session.id))?.value.reason === DISCONNECTED,
      onEnded: () => giveBack(at.server, redeemed),
      onKept: async (account) => {
        settled =
          account === undefined
            ? await this.#parts.settler.settle(taken, 'failed', OTHER_ACCOUNT)
            : await this.#parts.settler.settle(taken, 'done', undefined, account)
      },
    })
    return settled
  }
}

function sameTicket(given: string | undefined, presented: string | undefined): boolean {
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
