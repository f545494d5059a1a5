import type { Audit } from '../audit.js'
import type { Clock } from '../clock.js'
import type { RedeemedCode } from '../oauth/authorization-code.js'
import type { RowState } from '../vault/change-row.js'
import type { TokenVault } from '../vault/token-vault.js'
import { auditActing } from '../workload/acting.js'
import {
  accountNamed,
  accountsAt,
  type ConnectedAccount,
  type Connections,
  type ConnectionsIndex,
  type ConnectionsOwner,
  hasEnded,
  isSameClient,
} from './connections.js'
import type { ConsentSession } from './consent-session.js'
import {
  DISCONNECTED,
  emptyGrant,
  type Grant,
  grantKey,
  missingScopes,
  storedToken,
  withToken,
} from './grant.js'
import { insist } from './grant-writer.js'

/** The label of an account whose provider does not say who it is, and that the application did not name. */
const UNNAMED = 'default'

/** A consent that the provider has given. */
export interface GivenConsent {
  /** With its number: see {@link Connections.order}. */
  readonly session: ConsentSession & { readonly order: number }
  readonly redeemed: RedeemedCode
  /** Whether it is too old to be written: a disconnect that it must give way to may be forgotten. */
  isOver(): boolean
  /** The refresh token that it replaces, once that was read; a second try finds its own. */
  replaced?: string | undefined
}

/** What became of it. */
export type Kept =
  | {
      readonly how: 'written'
      readonly account: string
      /** The refresh token that it replaced. */
      readonly replaced: string | undefined
    }
  /** The label names another account already. */
  | { readonly how: 'other-account' }
  /** The user ended the connection after the consent had its number. */
  | { readonly how: 'ended' }
  /** A consent with a higher number is in the row. */
  | { readonly how: 'superseded' }
  | { readonly how: 'over' }

interface Parts {
  readonly vault: TokenVault
  readonly index: ConnectionsIndex
  readonly audit: Audit
  readonly clock: Clock
  readonly onChanged: (owner: ConnectionsOwner) => void
}

/** Puts what a consent gave into the vault, and lists the account. */
export class GrantKeeper {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Gives a pending consent its number. Called before the code is sent: the row that it will replace was read then, and the
   * store has taken a write, so neither is found out when the code is spent.
   *
   * @returns `undefined` when the consent is no longer pending: the user ended the connection, or began too many others.
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} The code can still be sent later.
   */
  async reserve(session: ConsentSession): Promise<number | undefined> {
    return insist(async () => {
      const { index } = this.#parts
      let order: number | undefined
      await index.change(session, async (now) => {
        order = undefined
        if (!now.pending.some((one) => one.sessionId === session.id)) return undefined
        const label = session.account ?? session.accountHint ?? UNNAMED
        const account = accountNamed(accountsAt(now, session), label)?.account ?? label
        const row = await this.#parts.vault.look<Grant>(keyOf(session, account))
        // The row counts as well: the connections row may have been lost and made anew.
        order = Math.max(now.order, row.value?.order ?? 0) + 1
        return { ...now, order }
      })
      return order
    })
  }

  /**
   * Writes the grant over whatever has a lower number. Doing it again changes nothing, so a write whose reply was lost does
   * not put back what was renewed since.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} It may be written all the same: call again.
   */
  async keep(consent: GivenConsent): Promise<Kept> {
    const { session } = consent
    // Listed first: a process that dies between the two leaves a name without a grant, and not a grant that nobody finds.
    const listed = await this.#list(consent)
    if ('how' in listed) return listed
    const { account, isNew } = listed
    const kept = await this.#write(consent, account)
    if (kept.how === 'written') this.#parts.onChanged(session)
    else if (isNew && kept.how !== 'superseded') await this.#unlist(session, account)
    if (kept.how === 'superseded' || kept.how === 'ended') await this.#raise(session, account)
    return kept
  }

  async #list({
    session,
    redeemed,
    isOver,
  }: GivenConsent): Promise<Kept | { readonly account: string; readonly isNew: boolean }> {
    let outcome!: Kept | { readonly account: string; readonly isNew: boolean }
    await this.#parts.index.change(session, (now) => {
      const found = accountOf(now, session, redeemed)
      if (
        found === undefined ||
        isOver() ||
        hasEnded(now, session, [found.account, session.account])
      ) {
        outcome = { how: found === undefined ? 'other-account' : isOver() ? 'over' : 'ended' }
        return undefined
      }
      const { account } = found
      const mine = (one: ConnectedAccount) => isSameClient(one, session) && one.account === account
      const before = now.accounts.find(mine)
      outcome = { account, isNew: before === undefined }
      const next: ConnectedAccount = {
        ...found,
        order: Math.max(before?.order ?? 0, session.order),
      }
      return {
        ...now,
        accounts: before
          ? now.accounts.map((one) => (one === before ? next : one))
          : [...now.accounts, next],
        pending: now.pending.filter((one) => one.sessionId !== session.id),
      }
    })
    return outcome
  }

  async #write(consent: GivenConsent, account: string): Promise<Kept> {
    const { session, redeemed, isOver } = consent
    const { vault, audit } = this.#parts
    let kept!: Kept
    let wasCorrupt = false
    await vault.change<Grant>(keyOf(session, account), (row) => {
      const before = row.value
      const refusal = isOver() ? 'over' : refusalOf(row, session.order, redeemed)
      kept = refusal ? { how: refusal } : { how: 'written', account, replaced: consent.replaced }
      // Of our own number: it was written before, and whatever came since stays.
      if (refusal || before?.order === session.order) return undefined
      wasCorrupt = row.corrupt !== undefined
      const grant = this.#grant(session, redeemed, before)
      consent.replaced =
        before?.refreshToken === grant.refreshToken ? undefined : before?.refreshToken
      kept = { how: 'written', account, replaced: consent.replaced }
      return { value: grant }
    })
    if (wasCorrupt) {
      const { provider } = session
      const facts = { ...auditActing(session), provider, account }
      audit.emit({ type: 'corrupt_row_replaced', row: 'grant', ...facts })
    }
    return kept
  }

  #grant(
    session: GivenConsent['session'],
    redeemed: RedeemedCode,
    before: Grant | undefined,
  ): Grant {
    const { clock } = this.#parts
    // Some servers give a refresh token at the first consent only. The one in hand stays good then, but only of the same
    // account: where nobody says who consented now, it may be another's.
    const subject = redeemed.account?.subject
    const same = subject !== undefined && subject === before?.accountSubject
    const kept = redeemed.refreshToken === undefined && same ? before : undefined
    const refreshToken = redeemed.refreshToken ?? kept?.refreshToken
    const notGranted = missingScopes(session.scopes, redeemed.scopes)
    return withToken(
      {
        ...emptyGrant,
        order: session.order,
        scopes: redeemed.scopes,
        requested: session.scopes,
        ...(notGranted.length === 0 ? {} : { notGranted }),
        connectedAtMs: clock(),
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(subject === undefined ? {} : { accountSubject: subject }),
      },
      storedToken(redeemed, session.resource, clock()),
    )
  }

  /** Takes back a listing of this consent. */
  async #unlist(session: GivenConsent['session'], account: string): Promise<void> {
    const mine = (one: ConnectedAccount) =>
      isSameClient(one, session) && one.account === account && one.order === session.order
    await this.#parts.index.change(session, (now) =>
      now.accounts.some(mine)
        ? { ...now, accounts: now.accounts.filter((one) => !mine(one)) }
        : undefined,
    )
  }

  /** Where the connections row was lost, numbers began anew: the next consent must get a higher one than the row has. */
  async #raise(session: ConsentSession, account: string): Promise<void> {
    const { value } = await this.#parts.vault.look<Grant>(keyOf(session, account))
    const order = value?.order ?? 0
    await this.#parts.index.change(session, (now) =>
      now.order < order ? { ...now, order } : undefined,
    )
  }
}

/** Why the row is not written over. */
function refusalOf(
  { value: before }: RowState<Grant>,
  order: number,
  redeemed: RedeemedCode,
): Exclude<Kept['how'], 'written'> | undefined {
  if ((before?.order ?? 0) > order) return before?.reason === DISCONNECTED ? 'ended' : 'superseded'
  const subject = redeemed.account?.subject
  const other = before?.accountSubject && subject && before.accountSubject !== subject
  return other ? 'other-account' : undefined
}

/**
 * The account that a consent is of. One account of a provider is one connection, whatever it is called: where the provider
 * says that it is one which is connected already, that one is meant, and a new label becomes one more name of it. Where
 * the caller named none and the provider does not say who it is, it is taken for the one that was connected.
 *
 * @returns `undefined` when the label names another account already.
 */
function accountOf(
  now: Connections,
  session: ConsentSession,
  redeemed: RedeemedCode,
): Omit<ConnectedAccount, 'order'> | undefined {
  const { provider, issuer, clientId, account: named, accountHint: hint } = session
  const subject = redeemed.account?.subject
  const mine = accountsAt(now, session)
  const isOther = (one: ConnectedAccount) =>
    one.subject !== undefined && subject !== undefined && one.subject !== subject
  const same = mine.find((one) => one.subject !== undefined && one.subject === subject)
  const hinted = hint === undefined ? undefined : mine.find((one) => one.account === hint)
  const own = redeemed.account?.label ?? hint ?? UNNAMED
  const found =
    named !== undefined
      ? (accountNamed(mine, named) ?? same)
      : (same ?? (hinted && !isOther(hinted) ? hinted : accountNamed(mine, own)))
  if (found && isOther(found)) return undefined
  const account = found?.account ?? named ?? own
  const names = named === undefined || named === account ? [] : [named]
  const all = [...new Set([...(found?.names ?? []), ...names])]
  const known = subject ?? found?.subject
  return {
    provider,
    issuer,
    clientId,
    account,
    ...(all.length === 0 ? {} : { names: all }),
    ...(known === undefined ? {} : { subject: known }),
  }
}

function keyOf(session: ConsentSession, account: string) {
  return grantKey(session, 'USER_FEDERATION', session.provider, session, account)
}
