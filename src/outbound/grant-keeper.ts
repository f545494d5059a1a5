import { type Clock, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { VaultUnavailableError } from '../errors/vault.js'
import type { RedeemedCode } from '../oauth/authorization-code.js'
import type { TokenVault } from '../vault/token-vault.js'
import { type Acting, ownerKey } from '../workload/acting.js'
import type { ConnectionsIndex } from './connections.js'
import type { ConsentSession } from './consent-session.js'
import { emptyGrant, type Grant, grantKey, storedToken, withToken } from './grant.js'
import { insist } from './grant-writer.js'

/** The label of an account whose provider does not say who it is, and that the application did not name. */
const UNNAMED = 'default'
const CAS_TRIES = 20
const RETRY_MS = SECOND_MS
const MAX_UNSAVED = 1_000

/** A consent that the provider has given and the vault has not got yet. */
interface Unsaved {
  readonly session: ConsentSession
  readonly redeemed: RedeemedCode
  readonly events: KeepEvents
}

/** What the keeper asks and tells about one consent. */
export interface KeepEvents {
  /** Whether the user has ended the connection since the code was sent. */
  hasEnded(): Promise<boolean>
  /** Nothing was written, since it has. */
  onEnded(): Promise<unknown>
  /** Told the account's label, or `undefined` when the label names another account already: nothing is written then. */
  onKept(account: string | undefined): Promise<unknown>
}

/** Stands for the account of a consent whose connection has ended. */
const ENDED = Symbol('ended')

/** Puts what a consent gave into the vault, and lists the account. */
export class GrantKeeper {
  readonly #vault: TokenVault
  readonly #index: ConnectionsIndex
  readonly #clock: Clock
  readonly #onChanged: (owner: Pick<Acting, 'workload' | 'user'>) => void
  readonly #unsaved = new Map<string, Unsaved>()
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(
    vault: TokenVault,
    index: ConnectionsIndex,
    clock: Clock,
    onChanged: (owner: Pick<Acting, 'workload' | 'user'>) => void = () => {},
  ) {
    this.#vault = vault
    this.#index = index
    this.#clock = clock
    this.#onChanged = onChanged
  }

  /**
   * Writes the grant over whatever was there: what the user just consented to is the newest truth.
   *
   * @param events May be told long after this call failed.
   * @throws {@link VaultUnavailableError} The store failed for about a second. The grant is in memory, and written as
   *   soon as the store takes it.
   */
  async keep(session: ConsentSession, redeemed: RedeemedCode, events: KeepEvents): Promise<void> {
    let account: string | undefined | typeof ENDED
    try {
      account = await insist(() => this.#keep(session, redeemed, events))
    } catch (error) {
      if (isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE') && this.#unsaved.size < MAX_UNSAVED) {
        this.#unsaved.set(session.id, { session, redeemed, events })
        this.#timer ??= setInterval(() => void this.#retry(), RETRY_MS)
        ;(this.#timer as { unref?: () => void }).unref?.()
      }
      throw error
    }
    await insist(() => tell(events, account))
  }

  /**
   * Writes what is left of this user's consents before the vault is asked about them.
   *
   * @throws {@link VaultUnavailableError}
   */
  async catchUp(owner: Pick<Acting, 'workload' | 'user'>): Promise<void> {
    if (this.#unsaved.size === 0) return
    const key = ownerKey(owner)
    for (const unsaved of this.#unsaved.values()) {
      if (ownerKey(unsaved.session) === key) await this.#save(unsaved)
    }
  }

  /** Forgets what could not be written. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#unsaved.clear()
  }

  async #retry(): Promise<void> {
    for (const unsaved of this.#unsaved.values()) await this.#save(unsaved).catch(() => {})
    if (this.#unsaved.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #save({ session, redeemed, events }: Unsaved): Promise<void> {
    const account = await this.#keep(session, redeemed, events)
    if (this.#unsaved.delete(session.id)) await tell(events, account)
  }

  async #keep(
    session: ConsentSession,
    redeemed: RedeemedCode,
    events: KeepEvents,
  ): Promise<string | undefined | typeof ENDED> {
    const account = session.account ?? (await this.#label(session, redeemed))
    const key = grantKey(session, 'USER_FEDERATION', session.provider, session, account)
    for (let attempt = 0; attempt < CAS_TRIES; attempt++) {
      const held = await this.#vault.read<Grant>(key)
      // After the row was read: a disconnect ends the session first and buries the row then, so one of the two is seen.
      if (await events.hasEnded()) return ENDED
      const before = held?.value
      const subject = redeemed.account?.subject
      if (before?.accountSubject && subject && before.accountSubject !== subject) return undefined
      // Listed first: a process that dies between the two leaves a name without a grant, and not a grant that nobody finds.
      if (attempt === 0) await this.#list(session, account)
      const grant = this.#grant(session, redeemed, before)
      const wrote = await this.#vault.write(key, grant, { replaces: held?.version ?? 0 })
      if (wrote === undefined) continue
      this.#onChanged(session)
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
    // Some servers give a refresh token at the first consent only. The one in hand stays good then, but only of the same
    // account: where nobody says who consented now, it may be another's.
    const subject = redeemed.account?.subject
    const same = subject !== undefined && subject === before?.accountSubject
    const kept = redeemed.refreshToken === undefined && same ? before : undefined
    const refreshToken = redeemed.refreshToken ?? kept?.refreshToken
    return withToken(
      {
        ...emptyGrant,
        scopes: redeemed.scopes,
        requested: session.scopes,
        connectedAtMs: this.#clock(),
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(subject === undefined ? {} : { accountSubject: subject }),
        // Whoever renews with it right now still has the row.
        ...(kept?.refreshToken === undefined || !kept.lease ? {} : { lease: kept.lease }),
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

function tell(events: KeepEvents, account: string | undefined | typeof ENDED): Promise<unknown> {
  return account === ENDED ? events.onEnded() : events.onKept(account)
}
