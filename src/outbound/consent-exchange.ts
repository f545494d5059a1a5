import { isDeputizeError } from '../errors/base.js'
import { type RedeemedCode, redeemCode } from '../oauth/authorization-code.js'
import { revokeToken } from '../oauth/revoke.js'
import type { Held } from '../vault/token-vault.js'
import type { ConsentSession, ConsentSessions } from './consent-session.js'
import type { ConsentSettler, DroppedTokens } from './consent-settler.js'
import { DISCONNECTED } from './grant.js'
import type { GrantKeeper, Kept } from './grant-keeper.js'
import { insist } from './grant-writer.js'
import type { KeptConsents } from './kept-consents.js'
import type { RegisteredOAuth2 } from './registry.js'

const NOT_PENDING = 'no longer pending: the user ended the connection, or began too many others'
const reasons = {
  'other-account': 'another account than the one named was connected',
  superseded: 'superseded by a newer consent',
  over: 'the vault did not take it within an hour',
} as const

interface Parts {
  readonly sessions: ConsentSessions
  readonly keeper: GrantKeeper
  readonly kept: KeptConsents
  readonly settler: ConsentSettler
}

/** Exchanges the code of one consent, once, and keeps what it gives. */
export class ConsentExchange {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * @returns The settled session; `undefined` when another callback was first.
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} Before the code was sent: it can be sent later. After
   *   that the grant is in memory, the session stays open, and is settled when the grant is written.
   */
  async run(
    held: Held<ConsentSession>,
    at: RegisteredOAuth2,
    code: string,
  ): Promise<ConsentSession | undefined> {
    const { keeper, kept, settler } = this.#parts
    const isOver = kept.deadline()
    const order = await keeper.reserve(held.value)
    if (order === undefined) return settler.settle(held, 'expired', { reason: NOT_PENDING })
    // One winner: a second callback, a reload or a prefetch finds the session taken, and the code is sent once.
    const taken = await this.#take(held, order)
    if (!taken) return undefined
    let redeemed: RedeemedCode
    try {
      redeemed = await redeemCode(at.server, { ...held.value, code })
    } catch (error) {
      const reason = isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error'
      return settler.settle(taken, 'failed', { reason })
    }
    let settled: ConsentSession | undefined
    const consent = { session: { ...taken.value, order }, redeemed, isOver }
    await kept.keep(consent, async (outcome) => {
      settled = await this.#settle(taken, outcome, await this.#drop(at, redeemed, outcome))
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

  async #settle(
    taken: Held<ConsentSession>,
    kept: Kept,
    tokens: DroppedTokens | undefined,
  ): Promise<ConsentSession | undefined> {
    const { sessions, settler } = this.#parts
    if (kept.how === 'ended') {
      return settler.settle(taken, 'expired', { reason: DISCONNECTED, tokens })
    }
    if (kept.how !== 'written') {
      return settler.settle(taken, 'failed', { reason: reasons[kept.how], tokens })
    }
    const { account } = kept
    const settled = await settler.settle(taken, 'done', { account, tokens })
    if (settled) return settled
    // Written at last, it is done, also where somebody has taken it for too late meanwhile.
    const now = await sessions.find(taken.value.id)
    if (now?.value.phase !== 'expired' || now.value.reason === DISCONNECTED) return undefined
    return settler.settle(now, 'done', { account, tokens })
  }

  /**
   * Gives back the tokens that nothing here will use. Where the user ended the connection, that is what was wanted. Else
   * another grant of the same account stays, and at most providers revoking any one token ends them all.
   *
   * @returns `undefined` where there are none.
   */
  async #drop(
    at: RegisteredOAuth2,
    redeemed: RedeemedCode,
    kept: Kept,
  ): Promise<DroppedTokens | undefined> {
    const refreshToken = kept.how === 'written' ? kept.replaced : redeemed.refreshToken
    if (kept.how === 'written' && refreshToken === undefined) return undefined
    if (kept.how !== 'ended' && at.provider.revocation !== 'token') return 'dropped'
    const token =
      refreshToken === undefined
        ? ({ token: redeemed.accessToken, kind: 'access_token' } as const)
        : ({ token: refreshToken, kind: 'refresh_token' } as const)
    return revokeToken(at.server, token).then(
      () => 'revoked',
      () => 'dropped',
    )
  }
}
