import { isVaultHiccup, VaultUnavailableError } from '../errors/vault.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import { type Grant, type GrantTarget, rowName } from './grant.js'
import type { RowLeases } from './row-leases.js'
import { pause, type Timing } from './timing.js'

/** A change that the server has made and the vault has not got yet. */
export interface GrantChange {
  /** The row as it was claimed. */
  readonly claimed: Held<Grant>
  /** Applies it to the row as it is, and ends the lease. */
  readonly apply: (grant: Grant) => Grant
  /** The refresh token that it replaces; `undefined` for a token in the agent's own name. */
  readonly spent: string | undefined
}

/** What became of a change. `superseded`: the row holds something newer, and that one stays. */
export type Written =
  | { readonly grant: Grant; readonly superseded: false }
  | { readonly superseded: true; readonly now: Grant | undefined }

const TRIES = 4
/** Of compare-and-set alone: other writers are few, and each is done in a moment. */
const CONTESTED_TRIES = 100
const FIRST_PAUSE_MS = 100
const MAX_UNSAVED = 10_000

/** Tries `write` again while the store or the key ring fails, for about a second. */
export async function insist<T>(write: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write()
    } catch (error) {
      if (!isVaultHiccup(error) || attempt >= TRIES) throw error
      await pause(FIRST_PAUSE_MS * 3 ** (attempt - 1))
    }
  }
}

/** Writes what the server gave, before anything else can fail, and keeps in memory what the store would not take. */
export class GrantWriter {
  readonly #vault: TokenVault
  readonly #leases: RowLeases
  readonly #timing: Timing
  readonly #unsaved = new Map<string, GrantChange>()

  constructor(vault: TokenVault, leases: RowLeases, timing: Timing) {
    this.#vault = vault
    this.#leases = leases
    this.#timing = timing
  }

  /**
   * Writes a change. When another writer was first and the spent refresh token is no longer in the row, a new consent,
   * another process or a disconnect has put something newer there. Whoever holds the row now is not written over: a
   * process that was stopped past its lease waits for the one that took it.
   *
   * @throws {@link VaultUnavailableError} It is in memory then, and written by {@link catchUp}.
   */
  async write(target: GrantTarget, change: GrantChange): Promise<Written> {
    const name = rowName(target.row)
    try {
      const written = await this.#write(target, change)
      this.#unsaved.delete(name)
      return written
    } catch (error) {
      if (this.#unsaved.size < MAX_UNSAVED) this.#unsaved.set(name, change)
      throw error
    }
  }

  /** Writes what is left of an earlier call before the row is used again. */
  async catchUp(target: GrantTarget): Promise<void> {
    const unsaved = this.#unsaved.get(rowName(target.row))
    if (unsaved) await this.write(target, unsaved)
  }

  async #write(target: GrantTarget, { claimed, apply, spent }: GrantChange): Promise<Written> {
    let { value, version } = claimed
    for (let tries = 0; tries < CONTESTED_TRIES; tries++) {
      const grant = apply(value)
      const wrote = await insist(() => this.#vault.write(target.row, grant, { replaces: version }))
      if (wrote !== undefined) return { grant, superseded: false }
      let now = await this.#read(target)
      while (this.#leases.heldElsewhere(target, now)) {
        await pause(this.#timing.pollMs)
        now = await this.#read(target)
      }
      if (spent !== undefined && now?.value.refreshToken !== spent) {
        return { superseded: true, now: now?.value }
      }
      value = now?.value ?? value
      version = now?.version ?? 0
    }
    throw new VaultUnavailableError({
      operation: 'put',
      reason: 'the row changes faster than it can be written',
    })
  }

  #read(target: GrantTarget): Promise<Held<Grant> | undefined> {
    return insist(() => this.#vault.read<Grant>(target.row))
  }
}
