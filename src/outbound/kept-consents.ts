import { type Clock, HOUR_MS, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { SharedWork } from '../shared-work.js'
import { ownerKey } from '../workload/acting.js'
import { BackgroundRun, type WaitUntil } from './background.js'
import type { ConnectionsOwner } from './connections.js'
import type { GivenConsent, GrantKeeper, Kept } from './grant-keeper.js'
import { insist } from './grant-writer.js'

/** A consent that the provider has given and the vault has not got yet. */
interface Unsaved {
  readonly consent: GivenConsent
  readonly onKept: (kept: Kept) => Promise<unknown>
  /** Once it is known; what is left then is to tell. */
  kept?: Kept
}

const MAX_UNSAVED = 1_000
const PAUSES = { firstMs: SECOND_MS, longestMs: 30 * SECOND_MS }
/** Much shorter than a tombstone is kept, so that none is written after the tombstone that it must give way to has gone. */
const MAX_AGE_MS = HOUR_MS

/** Writes what consents gave, and keeps in memory, for an hour at most, what the store does not take. */
export class KeptConsents {
  readonly #keeper: GrantKeeper
  readonly #clock: Clock
  readonly #monotonic: () => number
  readonly #unsaved = new Map<string, Unsaved>()
  readonly #saving = new SharedWork<void>()
  readonly #background: BackgroundRun

  constructor(
    keeper: GrantKeeper,
    clock: Clock,
    monotonic: () => number,
    waitUntil: WaitUntil | undefined,
  ) {
    this.#keeper = keeper
    this.#clock = clock
    this.#monotonic = monotonic
    const attempt = async () => (await this.flush()) === 0
    this.#background = new BackgroundRun(attempt, waitUntil, PAUSES)
  }

  /**
   * @param onKept Told what became of it, maybe long after this call failed; told again where it failed itself.
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} The store or the key ring failed for about a second.
   *   The grant is in memory, and written as soon as the store takes it.
   */
  async keep(consent: GivenConsent, onKept: (kept: Kept) => Promise<unknown>): Promise<void> {
    const unsaved: Unsaved = { consent, onKept }
    try {
      await insist(() => this.#write(unsaved))
    } catch (error) {
      if (isLater(error) && this.#unsaved.size < MAX_UNSAVED) {
        this.#unsaved.set(consent.session.id, unsaved)
        this.#background.start()
      }
      throw error
    }
  }

  /**
   * Writes what is left of this user's consents before the vault is asked about them.
   *
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError}
   */
  async catchUp(owner: ConnectionsOwner): Promise<void> {
    if (this.#unsaved.size === 0) return
    this.#background.start()
    const key = ownerKey(owner)
    for (const unsaved of [...this.#unsaved.values()]) {
      if (ownerKey(unsaved.consent.session) === key) await this.#save(unsaved)
    }
  }

  /** Tries once more to write everything. @returns How many consents could not be written. */
  async flush(): Promise<number> {
    for (const unsaved of [...this.#unsaved.values()]) await this.#save(unsaved).catch(() => {})
    return this.#unsaved.size
  }

  /** Forgets what could not be written. */
  close(): void {
    this.#background.close()
    this.#unsaved.clear()
  }

  /** From now on: to be asked for before the consent gets its number. */
  deadline(): () => boolean {
    const [wallMs, monotonicMs] = [this.#clock(), this.#monotonic()]
    // By both clocks: one may be set back, the other stands still while the machine sleeps.
    return () =>
      this.#clock() - wallMs >= MAX_AGE_MS || this.#monotonic() - monotonicMs >= MAX_AGE_MS
  }

  /** One at a time for each consent. Writing what was written already changes nothing. */
  #save(unsaved: Unsaved): Promise<void> {
    const { id } = unsaved.consent.session
    return this.#saving.run(id, async () => {
      try {
        await this.#write(unsaved)
      } catch (error) {
        if (!isLater(error)) this.#unsaved.delete(id)
        throw error
      }
      this.#unsaved.delete(id)
    })
  }

  async #write(unsaved: Unsaved): Promise<void> {
    unsaved.kept ??= await this.#keeper.keep(unsaved.consent)
    await unsaved.onKept(unsaved.kept)
  }
}

/** Whether the vault may take it later: when it works again, or when a key is back in the ring. */
function isLater(error: unknown): boolean {
  return (
    isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE') || isDeputizeError(error, 'ERR_KEY_UNAVAILABLE')
  )
}
