import { equalBytes, randomId, utf8 } from '../bytes.js'
import type { Clock } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { ConsentSessionError } from '../errors/consent.js'
import {
  type RedeemedCode,
  readAuthorizationResponse,
  redeemCode,
} from '../oauth/authorization-code.js'
import { giveBack, revokeToken } from '../oauth/revoke.js'
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
import type { GrantKeeper, Kept } from './grant-keeper.js'
import { insist } from './grant-writer.js'
import type { KeptConsents } from './kept-consents.js'
import { cameBackTo } from './redirect-uri.js'
import type { ProviderRegistry, RegisteredOAuth2 } from './registry.js'

/** Who is in front of the browser: from the application's own session, never from the request's parameters. */
export type IdentifyUser =
  | ((request: Request) => UserRef | undefined | Promise<UserRef | undefined>)
  | 'unsafe-single-user'

const NOT_PENDING = 'no longer pending: the user ended the connection, or began too many others'
const reasons = {
  'other-account': 'another account than the one named was connected',
  superseded: 'superseded by a newer consent',
  over: 'the vault did not take it within an hour',
} as const

interface Parts {
  readonly registry: ProviderRegistry
  readonly sessions: ConsentSessions
  readonly keeper: GrantKeeper
  readonly kept: KeptConsents
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
    const url = new URL(request.url)
    const { searchParams } = url
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
    if (!at || !cameBackTo(at.name, at.provider, url)) {
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
    const { keeper, kept, settler } = this.#parts
    const isOver = kept.deadline()
    const order = await keeper.reserve(session)
    if (order === undefined) return settler.settle(held, 'expired', NOT_PENDING)
    // One winner: a second callback, a reload or a prefetch finds the session taken, and the code is sent once.
    const taken = await this.#take(held, order)
    if (!taken) return undefined
    let redeemed: RedeemedCode
    try {
      redeemed = await redeemCode(at.server, { ...session, code: answer.code })
    } catch (error) {
      const reason = isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error'
      return settler.settle(taken, 'failed', reason)
    }
    let settled: ConsentSession | undefined
    // When the store fails now, the session stays open, and is settled when the grant is written.
    const consent = { session: { ...taken.value, order }, redeemed, isOver }
    await kept.keep(consent, async (outcome) => {
      settled = await this.#settleKept(taken, outcome)
      await this.#drop(at, redeemed, outcome)
    })
    return settled
  }

  /** Takes the session; where the reply to the write was lost, the number in it says whose it is. */
  #take(held: Held<ConsentSession>, order: number): Promise<Held<ConsentSession> | undefined> {
    const { sessions } = this.#parts
    return insist(async () => {
      const taken = await sessions.move(held, { phase: 'exchanging', order })
      if (taken) return taken
      const now = await sessions.find(held.value.id)
      return now?.value.phase === 'exchanging' && now.value.order === order ? now : undefined
    })
  }

  #settleKept(taken: Held<ConsentSession>, kept: Kept): Promise<ConsentSession | undefined> {
    const { settler } = this.#parts
    switch (kept.how) {
      case 'written':
        return this.#settleDone(taken, kept.account)
      case 'ended':
        return settler.settle(taken, 'expired', DISCONNECTED)
      default:
        return settler.settle(taken, 'failed', reasons[kept.how])
    }
  }

  /** Written at last, it is done, also where somebody has taken it for too late meanwhile. */
  async #settleDone(taken: Held<ConsentSession>, account: string) {
    const { sessions, settler } = this.#parts
    const settled = await settler.settle(taken, 'done', undefined, account)
    if (settled) return settled
    const now = await sessions.find(taken.value.id)
    if (now?.value.phase !== 'expired' || now.value.reason === DISCONNECTED) return undefined
    return settler.settle(now, 'done', undefined, account)
  }

  /**
   * Gives back the tokens that nothing here will use. Where the user ended the connection, that is what was wanted. Else
   * another grant of the same account stays, and at most providers revoking any one token ends them all.
   */
  async #drop(at: RegisteredOAuth2, redeemed: RedeemedCode, kept: Kept): Promise<void> {
    if (kept.how !== 'ended' && at.provider.revocation !== 'token') return
    if (kept.how !== 'written') return giveBack(at.server, redeemed)
    if (kept.replaced === undefined) return
    const token = { token: kept.replaced, kind: 'refresh_token' } as const
    await revokeToken(at.server, token).catch(() => {})
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
