import type { Clock } from '../clock.js'
import { VaultUnavailableError } from '../errors/vault.js'
import type { RedeemedCode } from '../oauth/authorization-code.js'
import type { TokenVault } from '../vault/token-vault.js'
import type { ConnectionsIndex } from './connections.js'
import type { ConsentSession } from './consent-session.js'
import { emptyGrant, type Grant, grantKey, storedToken, withToken } from './grant.js'

/** The label of an account whose provider does not say who it is, and that the application did not name. */
const UNNAMED = 'default'
const CAS_TRIES = 20

/** Puts what a consent gave into the vault, and lists the account. */
export class GrantKeeper {
  readonly #vault: TokenVault
  readonly #index: ConnectionsIndex
  readonly #clock: Clock

  constructor(vault: TokenVault, index: ConnectionsIndex, clock: Clock) {
    this.#vault = vault
    this.#index = index
    this.#clock = clock
  }

  /**
   * Writes the grant over whatever was there: what the user just consented to is the newest truth.
   *
   * @returns The account's label, or `undefined` when the label names another account already; nothing is written then.
   * @throws {@link VaultUnavailableError}
   */
  async keep(session: ConsentSession, redeemed: RedeemedCode): Promise<string | undefined> {
    const account = session.account ?? (await this.#label(session, redeemed))
    const key = grantKey(session, 'USER_FEDERATION', session.provider, session, account)
    for (let attempt = 0; attempt < CAS_TRIES; attempt++) {
      const held = await this.#vault.read<Grant>(key)
      const before = held?.value
      const subject = redeemed.account?.subject
      if (before?.accountSubject && subject && before.accountSubject !== subject) return undefined
      const grant = this.#grant(session, redeemed, before)
      const wrote = await this.#vault.write(key, grant, { replaces: held?.version ?? 0 })
      if (wrote === undefined) continue
      await this.#list(session, account)
      return account
    }
    throw new VaultUnavailableError({
      operation: 'put',
      reason: 'the row changes faster than it can be written',
    })
  }

  /**
   * The label where the caller named none: the one in use if it is the same account, or if nobody can tell; else the
   * account's own name, so that consenting with another account makes a second connection.
   */
  async #label(session: ConsentSession, redeemed: RedeemedCode): Promise<string> {
    const { accountHint: hint, provider } = session
    const { account } = redeemed
    if (hint === undefined || !account) return hint ?? account?.label ?? UNNAMED
    const key = grantKey(session, 'USER_FEDERATION', provider, session, hint)
    const known = (await this.#vault.read<Grant>(key))?.value.accountSubject
    return known === undefined || known === account.subject ? hint : account.label
  }

  #grant(session: ConsentSession, redeemed: RedeemedCode, before: Grant | undefined): Grant {
    // Some servers give a refresh token at the first consent only; the one in hand stays good then.
    const refreshToken = redeemed.refreshToken ?? before?.refreshToken
    const accountSubject = redeemed.account?.subject ?? before?.accountSubject
    return withToken(
      {
        ...emptyGrant,
        scopes: redeemed.scopes,
        requested: session.scopes,
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(accountSubject === undefined ? {} : { accountSubject }),
      },
      storedToken(redeemed, session.resource, this.#clock()),
    )
  }

  async #list(session: ConsentSession, account: string): Promise<void> {
    const { provider, issuer, clientId } = session
    await this.#index.change(session, (now) => {
      const listed = now.accounts.some(
        (one) =>
          one.provider === provider &&
          one.issuer === issuer &&
          one.clientId === clientId &&
          one.account === account,
      )
      if (listed) return undefined
      return { ...now, accounts: [...now.accounts, { provider, issuer, clientId, account }] }
    })
  }
}
