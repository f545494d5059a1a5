import type { Audit } from '../audit.js'
import type { Clock } from '../clock.js'
import type { RowKey } from '../vault/row-key.js'
import type { TokenVault } from '../vault/token-vault.js'
import { type Acting, auditActing } from '../workload/acting.js'
import type { RegisteredOAuth2 } from './registry.js'

/** A client of a server, under the name that the application gave it. */
export interface ProviderClient {
  readonly provider: string
  /** Issuer and client of the grant: a provider of another server under the same name has other accounts. */
  readonly issuer: string
  readonly clientId: string
}

/** One account that the user connected. */
export interface ConnectedAccount extends ProviderClient {
  /** The label that its grant lies under. */
  readonly account: string
  /** Other labels that the application named it by. */
  readonly names?: readonly string[]
  /** Who the provider says it is; absent where it does not say. */
  readonly subject?: string
  /** The number of the consent that listed it last. */
  readonly order: number
}

/** One consent that the user was asked for. */
export interface PendingConsent extends ProviderClient {
  readonly sessionId: string
  /** The account that it is for: named, or the one that was connected. */
  readonly account?: string
  /** What else was asked, besides the scopes: consents of one group can be asked for by one link. */
  readonly group: string
  readonly scopes: readonly string[]
  /** The last moment at which it can be completed. */
  readonly expiresAtMs: number
}

/** A connection that the user ended: no consent with a lower number completes any more. */
export interface EndedConnection extends ProviderClient {
  /** Absent: every account. */
  readonly account?: string
  readonly order: number
  readonly untilMs: number
}

/** What the vault knows of one user at one workload: the index row. */
export interface Connections {
  /**
   * Raised by each consent that is completed and each disconnect. Of two that are about one account the one with the higher
   * number counts, in whichever order they are written.
   */
  readonly order: number
  readonly accounts: readonly ConnectedAccount[]
  readonly pending: readonly PendingConsent[]
  readonly ended: readonly EndedConnection[]
}

/** Who the row is of. */
export type ConnectionsOwner = Pick<Acting, 'workload' | 'user'>

/** Gives the new row; `undefined` leaves it as it is. May run several times. */
export type ConnectionsChange = (
  now: Connections,
) => Connections | undefined | Promise<Connections | undefined>

/** The newest so many are kept. A user who ends more connections than that within a day has ended the older ones twice. */
const MAX_ENDED = 100

/** The index row of a (workload, user): which accounts are connected, and which consents are pending. */
export class ConnectionsIndex {
  readonly #vault: TokenVault
  readonly #clock: Clock
  readonly #audit: Audit

  constructor(vault: TokenVault, clock: Clock, audit: Audit) {
    this.#vault = vault
    this.#clock = clock
    this.#audit = audit
  }

  /** @throws {@link VaultUnavailableError} {@link KeyUnavailableError} {@link VaultCorruptError} */
  async read(owner: ConnectionsOwner): Promise<Connections> {
    const held = await this.#vault.read<Connections>(indexKey(owner))
    return this.#current(held?.value)
  }

  /**
   * The same, for a consent or a disconnect: where the row is corrupt it is taken for empty, as {@link change} will do.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  async readOrEmpty(owner: ConnectionsOwner): Promise<Connections> {
    const { value } = await this.#vault.look<Connections>(indexKey(owner))
    return this.#current(value)
  }

  /** The accounts that are connected at this client of this server. */
  async accounts(
    owner: ConnectionsOwner,
    client: ProviderClient,
  ): Promise<readonly ConnectedAccount[]> {
    return accountsAt(await this.read(owner), client)
  }

  /**
   * Changes the row. A row that is corrupt is replaced: it would keep the user from every provider for good.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  async change(owner: ConnectionsOwner, change: ConnectionsChange): Promise<void> {
    let replaced = false
    await this.#vault.change<Connections>(indexKey(owner), async ({ value, corrupt }) => {
      const next = await change(this.#current(value))
      replaced = next !== undefined && corrupt !== undefined
      return next && { value: next }
    })
    if (replaced) {
      this.#audit.emit({ type: 'corrupt_row_replaced', row: 'connections', ...auditActing(owner) })
    }
  }

  #current(value: Connections | undefined): Connections {
    const nowMs = this.#clock()
    return {
      order: value?.order ?? 0,
      accounts: value?.accounts ?? [],
      pending: (value?.pending ?? []).filter((one) => one.expiresAtMs > nowMs),
      ended: (value?.ended ?? []).filter((one) => one.untilMs > nowMs).slice(-MAX_ENDED),
    }
  }
}

/** Those of the accounts that are at this client of this server. */
export function accountsAt(
  { accounts }: Pick<Connections, 'accounts'>,
  client: ProviderClient,
): readonly ConnectedAccount[] {
  return accounts.filter((one) => isSameClient(one, client))
}

/** The account of that label, whichever of its names it is. */
export function accountNamed(
  accounts: readonly ConnectedAccount[],
  label: string,
): ConnectedAccount | undefined {
  return (
    accounts.find((one) => one.account === label) ??
    accounts.find((one) => one.names?.includes(label))
  )
}

/** The client that a provider is configured with. */
export function clientOf(at: RegisteredOAuth2): ProviderClient {
  const { issuer, clientId } = at.provider
  return { provider: at.name, issuer, clientId }
}

/** Whether two are about one client of one server. */
export function isSameClient(a: ProviderClient, b: ProviderClient): boolean {
  return a.provider === b.provider && a.issuer === b.issuer && a.clientId === b.clientId
}

/** Whether the user has ended the connection with a higher number than that of the consent. */
export function hasEnded(
  { ended }: Pick<Connections, 'ended'>,
  consent: ProviderClient & { readonly order: number },
  labels: readonly (string | undefined)[],
): boolean {
  return ended.some(
    (one) =>
      isSameClient(one, consent) &&
      one.order > consent.order &&
      (one.account === undefined || labels.includes(one.account)),
  )
}

function indexKey(owner: ConnectionsOwner): RowKey {
  const { workload, user } = owner
  return {
    kind: 'connections',
    owner: [workload.issuer, workload.name, user?.issuer, user?.subject],
  }
}
