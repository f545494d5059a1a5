import { isVaultHiccup, VaultUnavailableError } from '../errors/vault.js'
import { SharedWork } from '../shared-work.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import { BackgroundRun, type WaitUntil } from './background.js'
import { DISCONNECTED, type Grant, type GrantTarget, rowName } from './grant.js'
import { pause } from './pause.js'
import type { RowLease } from './row-lease.js'

/** A row that this process may go to the server for, as it was read once the lease was taken. */
export interface Claim {
  readonly held: Held<Grant>
  readonly lease: RowLease
}

/** A change that the server has made and the vault has not got yet. */
export interface GrantChange {
  readonly claim: Claim
  /** Applies it to the row as it is. */
  readonly apply: (grant: Grant) => Grant
  /** The refresh token that it replaces; `undefined` for a token in the agent's own name. */
  readonly spent: string | undefined
}

/** What became of a change. `superseded`: the row holds something newer, and that one stays. */
export type Written =
  | { readonly grant: Grant; readonly superseded: false }
  | { readonly superseded: true; readonly now: Grant | undefined }

/** Why a grant may be lost though nobody ended it. */
export type AtRisk = 'superseded' | 'not_written'

/** How a {@link GrantWriter} is watched. */
export interface WriterOptions {
  /** Told of every row that was written or given up in the background. */
  readonly onSettled: (target: GrantTarget) => void
  /** Told of a grant whose new refresh token is in no row: `superseded` by another process, or `not_written`. */
  readonly onAtRisk: (target: GrantTarget, why: AtRisk) => void
  readonly waitUntil?: WaitUntil | undefined
}

const TRIES = 4
/** Of compare-and-set alone: other writers are few, and each is done in a moment. */
const CONTESTED_TRIES = 100
const FIRST_PAUSE_MS = 100
const MAX_UNSAVED = 10_000
const AT_ONCE = 20

interface Unsaved {
  readonly target: GrantTarget
  readonly change: GrantChange
}

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

/**
 * Writes what the server gave, before anything else can fail. What the store would not take is kept in memory, with the
 * lease, and written in the background from then on.
 */
export class GrantWriter {
  readonly #vault: TokenVault
  readonly #options: WriterOptions
  readonly #unsaved = new Map<string, Unsaved>()
  readonly #saving = new SharedWork<void>()
  readonly #background: BackgroundRun

  constructor(vault: TokenVault, options: WriterOptions) {
    this.#vault = vault
    this.#options = options
    this.#background = new BackgroundRun(() => this.#saveAll(), options.waitUntil)
  }

  /**
   * Writes a change. When the spent refresh token is no longer in the row, a new consent, another process or a disconnect
   * has put something newer there, and that one stays.
   *
   * @throws {@link VaultUnavailableError} It is in memory then, and {@link keeps} says so.
   */
  async write(target: GrantTarget, change: GrantChange): Promise<Written> {
    try {
      return await this.#write(target, change, insist)
    } catch (error) {
      if (this.#unsaved.size >= MAX_UNSAVED) this.#options.onAtRisk(target, 'not_written')
      else this.#unsaved.set(rowName(target.row), { target, change })
      this.#background.start()
      throw error
    }
  }

  /** Whether a change under this lease is in memory: the lease is given back once it was written. */
  keeps(target: GrantTarget, lease: RowLease): boolean {
    return this.#unsaved.get(rowName(target.row))?.change.claim.lease === lease
  }

  /**
   * Writes what is left of an earlier call before the row is used again.
   *
   * @throws {@link VaultUnavailableError}
   */
  async catchUp(target: GrantTarget): Promise<void> {
    if (this.#unsaved.size > 0) this.#background.start()
    const unsaved = this.#unsaved.get(rowName(target.row))
    if (unsaved) await this.#save(unsaved, insist)
  }

  /**
   * Writes what is in memory, for about a second, and stops doing so in the background.
   *
   * @returns The rows that could not be written.
   */
  async close(): Promise<readonly GrantTarget[]> {
    this.#background.close()
    const all = [...this.#unsaved.values()]
    await inParts(all, (unsaved) => this.#save(unsaved, insist).catch(() => {}))
    const left = [...this.#unsaved.values()]
    this.#unsaved.clear()
    for (const { target, change } of left) {
      this.#options.onAtRisk(target, 'not_written')
      void change.claim.lease.release()
    }
    return left.map(({ target }) => target)
  }

  async #saveAll(): Promise<boolean> {
    const once = <T>(write: () => Promise<T>) => write()
    const all = [...this.#unsaved.values()]
    await inParts(all, (unsaved) => this.#save(unsaved, once).catch(() => {}))
    return this.#unsaved.size === 0
  }

  /** One at a time a row. Writing what was written already changes nothing. */
  #save(unsaved: Unsaved, how: typeof insist): Promise<void> {
    return this.#saving.run(rowName(unsaved.target.row), () => this.#saveOne(unsaved, how))
  }

  async #saveOne({ target, change }: Unsaved, how: typeof insist): Promise<void> {
    await this.#write(target, change, how)
    this.#unsaved.delete(rowName(target.row))
    this.#options.onSettled(target)
    await change.claim.lease.release()
  }

  async #write(
    target: GrantTarget,
    { claim, apply, spent }: GrantChange,
    how: typeof insist,
  ): Promise<Written> {
    let { value, version } = claim.held
    for (let tries = 0; tries < CONTESTED_TRIES; tries++) {
      if (!claim.lease.isLive()) await how(() => claim.lease.regain())
      const grant = apply(value)
      const wrote = await how(() => this.#vault.write(target.row, grant, { replaces: version }))
      if (wrote !== undefined) return { grant, superseded: false }
      const now = await how(() => this.#vault.read<Grant>(target.row))
      const current = now?.value.refreshToken
      if (spent !== undefined && current !== spent) {
        // The store wrote it, and its answer was lost.
        if (now && current === grant.refreshToken) return { grant: now.value, superseded: false }
        if (!meantByUser(now?.value, value)) this.#options.onAtRisk(target, 'superseded')
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
}

/** Whether what stands in the row now is a disconnect or another consent. */
function meantByUser(now: Grant | undefined, before: Grant): boolean {
  return now?.reason === DISCONNECTED || now?.order !== before.order
}

async function inParts<T>(all: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += AT_ONCE) {
    await Promise.all(all.slice(from, from + AT_ONCE).map(run))
  }
}
