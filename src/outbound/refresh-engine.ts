import type { Clock } from '../clock.js'
import { ScopeNotGrantedError, ServerUnavailableError } from '../errors/outbound.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { SharedWork } from '../shared-work.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import { keepAlive, type WaitUntil } from './background.js'
import { Exchange, type Obtained as Given } from './exchange.js'
import { emptyGrant, type Grant, type GrantTarget, rowName } from './grant.js'
import { clockAheadMs, seenAt } from './grant-clock.js'
import { type AtRisk, GrantWriter } from './grant-writer.js'
import { planToken, stillServes, type TokenPlan, type Wanted } from './plan.js'
import { type LeaseTiming, leaseTiming, type RowLease, RowLeases } from './row-lease.js'
import { RowMutex } from './row-mutex.js'

/** What came of it. */
export type Obtained =
  | Given
  | {
      readonly how: 'consent'
      readonly scopes: readonly string[]
      readonly missing: readonly string[]
      readonly claims?: string
      /** Why a grant that was there is not honoured any more; only where this call found it out. */
      readonly lost?: string
    }

/** How a {@link RefreshEngine} is watched and timed. */
export interface EngineOptions {
  readonly timing?: LeaseTiming | undefined
  /** Told the name of every row that this engine has changed. */
  readonly onChanged?: ((row: string) => void) | undefined
  /** Told of a grant whose new refresh token is in no row. */
  readonly onAtRisk?: ((target: GrantTarget, why: AtRisk) => void) | undefined
  /** Told of a row whose token is dated so far ahead that a clock is wrong. */
  readonly onClockAhead?: ((target: GrantTarget, aheadMs: number) => void) | undefined
  /** Given every attempt to get a token, and what is written in the background. */
  readonly waitUntil?: WaitUntil | undefined
}

/** What is left when the user need not be asked and there is something to be had. */
type ActivePlan = Exclude<TokenPlan, { step: 'rest' | 'not-granted' }>

/** How often one call starts over because a row changed under it. */
const MAX_ROUNDS = 20

/** Turns what the vault holds into a token that can be used, asking the server as seldom as can be. */
export class RefreshEngine {
  readonly #vault: TokenVault
  readonly #clock: Clock
  readonly #flights = new SharedWork<Obtained>()
  readonly #rows = new RowMutex()
  readonly #leases: RowLeases
  readonly #writer: GrantWriter
  readonly #exchange: Exchange
  readonly #onClockAhead: (target: GrantTarget, aheadMs: number) => void
  readonly #running = new Set<Promise<unknown>>()
  readonly #waitUntil: WaitUntil | undefined

  constructor(vault: TokenVault, clock: Clock, options: EngineOptions = {}) {
    this.#vault = vault
    this.#clock = clock
    const { timing = leaseTiming, onChanged = () => {}, onAtRisk = () => {}, waitUntil } = options
    this.#onClockAhead = options.onClockAhead ?? (() => {})
    this.#leases = new RowLeases(vault, timing, clock)
    const onSettled = (target: GrantTarget) => onChanged(rowName(target.row))
    this.#writer = new GrantWriter(vault, { onSettled, onAtRisk, waitUntil })
    this.#waitUntil = waitUntil
    this.#exchange = new Exchange(vault, this.#writer, clock, onChanged)
  }

  /**
   * A token, or that the user must consent. Whoever asks for the same while it is being got shares it: then
   * `how` is `served`, and nothing is `lost`, since only one caller caused the request.
   *
   * @param onAhead Told how a renewal ended that this call started while it was served the token in hand.
   */
  async obtain(
    target: GrantTarget,
    wanted: Wanted,
    onAhead: (obtained: Obtained) => void = () => {},
  ): Promise<Obtained> {
    const held = await this.#read(target)
    const plan = planToken(held?.value, wanted, this.#clock())
    if (plan.step === 'use') {
      // Nobody waits for it. Its failure is written into the row, and there is nobody to throw it at.
      if (plan.ahead) this.#fly(target, wanted, held, true).then(onAhead, () => {})
      return { how: 'served', token: plan.token, grant: held!.value }
    }
    if (plan.step === 'consent') return consentOf(plan)
    this.#refuse(target, plan)
    return this.#fly(target, wanted, held, false)
  }

  /**
   * Lets refreshes end that are under way, so that their leases are given back, and writes what is in memory.
   *
   * @returns The rows that could not be written.
   */
  async close(): Promise<readonly GrantTarget[]> {
    await Promise.all(this.#running)
    return this.#writer.close()
  }

  /** @throws {@link ServerUnavailableError} {@link ScopeNotGrantedError} The plan is to get nothing. */
  #refuse({ name }: GrantTarget, plan: TokenPlan): asserts plan is ActivePlan {
    if (plan.step === 'rest') {
      const retryAfterMs = Math.max(1, Math.ceil(plan.untilMs - this.#clock()))
      const { reason } = plan
      throw new ServerUnavailableError({ provider: name, reason, retryAfterMs, grant: true })
    }
    if (plan.step === 'not-granted') {
      throw new ScopeNotGrantedError({
        provider: name,
        missingScopes: plan.missing,
        askedScopes: plan.asked,
        grantedScopes: plan.granted,
      })
    }
  }

  /** What the server gives must reach the vault though the caller has gone: hence `waitUntil`. */
  #fly(
    target: GrantTarget,
    wanted: Wanted,
    held: Held<Grant> | undefined,
    ahead: boolean,
  ): Promise<Obtained> {
    const obtained = this.#join(target, wanted, held, ahead)
    keepAlive(this.#waitUntil, obtained)
    return obtained
  }

  async #join(
    target: GrantTarget,
    wanted: Wanted,
    held: Held<Grant> | undefined,
    ahead: boolean,
  ): Promise<Obtained> {
    const name = rowName(target.row)
    const { resource = null, rejected = null, scopes } = wanted
    const key = JSON.stringify([name, resource, rejected, [...scopes].sort(), ahead])
    for (let isFresh = true; ; isFresh = false) {
      const shared = await this.#flights.share(key, () => {
        const newest = isFresh && this.#rows.isFree(name)
        const work = this.#rows.run(name, async () => {
          await this.#writer.catchUp(target)
          return this.#renew(target, wanted, newest ? held : await this.#read(target), ahead)
        })
        return this.#noted(work)
      })
      // What another request began and did not end may have been sent: the row is read again, and the lease decides.
      if (shared.how === 'dead') continue
      const obtained = shared.value
      if (shared.how === 'led') return obtained
      if (obtained.how !== 'consent') return { ...obtained, how: 'served' }
      const { lost: _, ...consent } = obtained
      return consent
    }
  }

  /** What {@link close} waits for. */
  #noted<T>(work: Promise<T>): Promise<T> {
    const ended = work.catch(() => {}).finally(() => this.#running.delete(ended))
    this.#running.add(ended)
    return work
  }

  /** One attempt at a time a row in this process; the lease sees to the other processes. */
  async #renew(
    target: GrantTarget,
    wanted: Wanted,
    first: Held<Grant> | undefined,
    ahead: boolean,
  ): Promise<Obtained> {
    const lease = this.#leases.of(target.row)
    let held = first
    let lost: string | undefined
    let waited = false
    try {
      for (let round = 0; round < MAX_ROUNDS; ) {
        const plan = planToken(held?.value, wanted, this.#clock())
        if (plan.step === 'consent') return consentOf(plan, lost)
        this.#refuse(target, plan)
        const renewal = plan.step === 'use' ? plan.ahead : plan
        if (plan.step === 'use' && !(ahead && renewal)) {
          return { how: 'served', token: plan.token, grant: held!.value }
        }
        try {
          target.server.health.check()
        } catch (error) {
          const token = held && stillServes(held.value, wanted, this.#clock())
          if (token) return { how: 'served', token, grant: held!.value }
          throw error
        }
        if (lease.isLive()) {
          round++
          const claim = { lease, held: held ?? { value: emptyGrant, version: 0 } }
          const outcome = await this.#exchange.run(target, wanted, renewal!, claim)
          if (outcome.step === 'done') return outcome.obtained
          if (outcome.step === 'lost') lost = outcome.reason
        } else {
          await lease.release()
          if (!(await lease.take())) {
            // Another process renews it: whoever has a token goes on with that one.
            if (plan.step === 'use') return { how: 'served', token: plan.token, grant: held!.value }
            if (waited) await lease.outwait()
            else await lease.pause()
            waited = true
          }
        }
        held = await this.#read(target, lease)
      }
    } finally {
      if (!this.#writer.keeps(target, lease)) await lease.release()
    }
    throw new VaultUnavailableError({
      operation: 'put',
      reason: 'the row changes faster than it can be written',
    })
  }

  /** The row as this machine's clock sees it. */
  async #read(target: GrantTarget, lease?: RowLease): Promise<Held<Grant> | undefined> {
    const held = lease?.tookOver
      ? await this.#fence(target)
      : await this.#vault.read<Grant>(target.row)
    if (held === undefined) return undefined
    const nowMs = this.#clock()
    const aheadMs = lease?.isLive() ? clockAheadMs(held.value, nowMs) : undefined
    if (aheadMs !== undefined) this.#onClockAhead(target, aheadMs)
    return { ...held, value: seenAt(held.value, nowMs) }
  }

  /**
   * The row of a holder that seems to have died. It is written as it is: should that holder be stopped only, then what it
   * still writes is for another version.
   */
  async #fence(target: GrantTarget): Promise<Held<Grant> | undefined> {
    for (;;) {
      const held = await this.#vault.read<Grant>(target.row)
      if (held?.value.refreshToken === undefined) return held
      const { value, version: replaces } = held
      const version = await this.#vault.write(target.row, value, { replaces })
      if (version !== undefined) return { value, version }
    }
  }
}

function consentOf(plan: Extract<TokenPlan, { step: 'consent' }>, lost?: string): Obtained {
  const { step: _, ...consent } = plan
  return { how: 'consent', ...consent, ...(lost === undefined ? {} : { lost }) }
}
