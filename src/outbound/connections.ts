import type { Clock } from '../clock.js'
import { VaultUnavailableError } from '../errors/vault.js'
import type { RowKey } from '../vault/row-key.js'
import type { TokenVault } from '../vault/token-vault.js'
import type { Acting } from '../workload/acting.js'

/** One account that the user connected. */
export interface ConnectedAccount {
  readonly provider: string
  /** Issuer and client of the grant: a provider of another server under the same name has other accounts. */
  readonly issuer: string
  readonly clientId: string
  readonly account: string
}

/** One consent that the user was asked for. */
export interface PendingConsent {
  readonly sessionId: string
  /** What was asked, so that asking the same again finds the session. */
  readonly fingerprint: string
  readonly expiresAtMs: number
}

/** What the vault knows of one user at one workload: the index row. */
export interface Connections {
  readonly accounts: readonly ConnectedAccount[]
  readonly pending: readonly PendingConsent[]
}

const CAS_TRIES = 20

/** The index row of a (workload, user): which accounts are connected, and which consents are pending. */
export class ConnectionsIndex {
  readonly #vault: TokenVault
  readonly #clock: Clock

  constructor(vault: TokenVault, clock: Clock) {
    this.#vault = vault
    this.#clock = clock
  }

  async read(acting: Pick<Acting, 'workload' | 'user'>): Promise<Connections> {
    const held = await this.#vault.read<Connections>(indexKey(acting))
    return this.#current(held?.value)
  }

  /** The labels of the accounts that are connected at this client of this server. */
  async labels(
    acting: Pick<Acting, 'workload' | 'user'>,
    name: string,
    at: Pick<ConnectedAccount, 'issuer' | 'clientId'>,
  ): Promise<readonly string[]> {
    const { accounts } = await this.read(acting)
    return accounts
      .filter(
        (one) => one.provider === name && one.issuer === at.issuer && one.clientId === at.clientId,
      )
      .map((one) => one.account)
  }

  /**
   * Changes the row by compare-and-set.
   *
   * @param change Gives the new row; `undefined` leaves it as it is. May run several times.
   */
  async change(
    acting: Pick<Acting, 'workload' | 'user'>,
    change: (now: Connections) => Connections | undefined,
  ): Promise<Connections> {
    const key = indexKey(acting)
    for (let attempt = 0; attempt < CAS_TRIES; attempt++) {
      const held = await this.#vault.read<Connections>(key)
      const now = this.#current(held?.value)
      const next = change(now)
      if (!next) return now
      if ((await this.#vault.write(key, next, { replaces: held?.version ?? 0 })) !== undefined) {
        return next
      }
    }
    throw new VaultUnavailableError({
      operation: 'put',
      reason: 'the index row changes faster than it can be written',
    })
  }

  #current(value: Connections | undefined): Connections {
    const nowMs = this.#clock()
    return {
      accounts: value?.accounts ?? [],
      pending: (value?.pending ?? []).filter((one) => one.expiresAtMs > nowMs),
    }
  }
}

function indexKey(acting: Pick<Acting, 'workload' | 'user'>): RowKey {
  const { workload, user } = acting
  return {
    kind: 'connections',
    owner: [workload.issuer, workload.name, user?.issuer, user?.subject],
  }
}
