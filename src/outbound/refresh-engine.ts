import { randomId } from '../bytes.js'
import { type Clock, SECOND_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ScopeNotGrantedError } from '../errors/outbound.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { REQUEST_TIMEOUT_MS } from '../http.js'
import { clientCredentialsGrant } from '../oauth/client-credentials.js'
import { refreshGrant } from '../oauth/refresh.js'
import type { AuthorizationServer } from '../oauth/server.js'
import { SingleFlight } from '../single-flight.js'
import type { RowKey } from '../vault/row-key.js'
import type { Held, TokenVault } from '../vault/token-vault.js'
import {
  emptyGrant,
  type Grant,
  missingScopes,
  type StoredToken,
  storedToken,
  unionScopes,
  withToken,
} from './grant.js'
import { planToken, stillServes, type TokenPlan, type Wanted } from './plan.js'
import { RowMutex } from './row-mutex.js'

/** One row, and the server that its grant is at. */
export interface GrantTarget {
  readonly name: string
  readonly row: RowKey
  readonly server: AuthorizationServer
}

/** What came of it. */
export type Obtained =
  | { readonly how: 'served' | 'issued'; readonly token: StoredToken; readonly grant: Grant }
  | {
      readonly how: 'refreshed'
      readonly rotated: boolean
      readonly token: StoredToken
      readonly grant: Grant
    }
  | {
      readonly how: 'consent'
      readonly scopes: readonly string[]
      readonly missing: readonly string[]
      /** Why a grant that was there is not honoured any more; only where this call found it out. */
      readonly lost?: string
    }

/** A change that the server has made and the vault has not got yet. */
interface Unsaved {
  readonly claimed: Held<Grant>
  /** Applies it to the row as it is. */
  readonly apply: (grant: Grant) => Grant
  /** The refresh token that it replaces. */
  readonly spent: string | undefined
}

/** A lease outlives the slowest exchange: two metadata requests and one for the token. */
const LEASE_MARGIN_MS = 5 * SECOND_MS
const POLL_MS = 100
const PERSIST_TRIES = 4
const MAX_UNSAVED = 10_000

/** Turns what the vault holds into a token that can be used, asking the server as seldom as can be. */
export class RefreshEngine {
  readonly #vault: TokenVault
  readonly #clock: Clock
  readonly #flights = new SingleFlight<Obtained>()
  readonly #rows = new RowMutex()
  readonly #holder = randomId()
  /** What the server gave and the store would not take: written before the row is touched again. */
  readonly #unsaved = new Map<string, Unsaved>()

  constructor(vault: TokenVault, clock: Clock) {
    this.#vault = vault
    this.#clock = clock
  }

  /**
   * A token, or that the user must consent. Whoever asks for the same while it is being got shares it: then
   * `how` is `served`, and nothing is `lost`, since only one caller caused the request.
   */
  async obtain(target: GrantTarget, wanted: Wanted): Promise<Obtained> {
    const held = await this.#vault.read<Grant>(target.row)
    const plan = planToken(held?.value, wanted, this.#clock())
    if (plan.step === 'use') return { how: 'served', token: plan.token, grant: held!.value }
    if (plan.step === 'consent') return consentOf(plan)
    const key = JSON.stringify([
      rowName(target),
      wanted.resource ?? null,
      wanted.rejected ?? null,
      [...wanted.scopes].sort(),
    ])
    let led = false
    const obtained = await this.#flights.run(key, () => {
      led = true
      return this.#rows.run(rowName(target), () => this.#renew(target, wanted))
    })
    if (led) return obtained
    if (obtained.how !== 'consent') return { ...obtained, how: 'served' }
    const { lost: _, ...consent } = obtained
    return consent
  }

  /** One attempt at a time a row in this process; the lease sees to the other processes. */
  async #renew(target: GrantTarget, wanted: Wanted): Promise<Obtained> {
    let lost: string | undefined
    let retried = false
    const unsaved = this.#unsaved.get(rowName(target))
    if (unsaved) {
      await this.#persist(target, unsaved)
      this.#unsaved.delete(rowName(target))
    }
    for (;;) {
      const held = await this.#vault.read<Grant>(target.row)
      const plan = planToken(held?.value, wanted, this.#clock())
      if (plan.step === 'use') return { how: 'served', token: plan.token, grant: held!.value }
      if (plan.step === 'consent') return consentOf(plan, lost)
      const lease = held?.value.lease
      if (lease && lease.holder !== this.#holder && lease.untilMs > this.#clock()) {
        await pause(POLL_MS * (0.5 + Math.random()))
        continue
      }
      // The claim also proves that the store can be written, before a refresh token is spent.
      const claimed = await this.#claim(target, held)
      if (!claimed) continue
      try {
        return await this.#exchange(target, wanted, plan, claimed)
      } catch (error) {
        const outcome = await this.#afterFailure(target, wanted, plan, claimed, error)
        if (outcome.step === 'serve') return outcome.obtained
        if (outcome.step === 'again' && !retried) {
          retried = true
          continue
        }
        if (outcome.step === 'lost') {
          lost = outcome.reason
          continue
        }
        throw error
      }
    }
  }

  async #claim(
    target: GrantTarget,
    held: Held<Grant> | undefined,
  ): Promise<Held<Grant> | undefined> {
    const timeoutMs = target.server.options.timeoutMs ?? REQUEST_TIMEOUT_MS
    const untilMs = this.#clock() + 3 * timeoutMs + LEASE_MARGIN_MS
    const value = { ...(held?.value ?? emptyGrant), lease: { holder: this.#holder, untilMs } }
    const version = await this.#vault.write(target.row, value, { replaces: held?.version ?? 0 })
    return version === undefined ? undefined : { value, version }
  }

  async #exchange(
    target: GrantTarget,
    wanted: Wanted,
    plan: Extract<TokenPlan, { step: 'acquire' | 'refresh' }>,
    claimed: Held<Grant>,
  ): Promise<Obtained> {
    const { resource } = wanted
    if (plan.step === 'acquire') {
      const { answer, requested } = await acquire(target, wanted, plan.scopes)
      const token = storedToken(answer, resource, this.#clock())
      const apply = ({ lease: _, ...grant }: Grant) =>
        withToken({ ...grant, scopes: answer.scopes, requested }, token)
      const grant = await this.#persist(target, { claimed, apply, spent: undefined })
      requireScopes(target.name, wanted, token)
      return { how: 'issued', token, grant }
    }
    const answer = await refreshGrant(target.server, {
      refreshToken: plan.refreshToken,
      granted: claimed.value.scopes,
      resource,
    })
    const token = storedToken(answer, resource, this.#clock())
    const refreshToken = answer.refreshToken ?? plan.refreshToken
    // A server may narrow a grant at a refresh; a token for one resource says nothing of the others.
    const narrowed = resource === undefined ? { scopes: answer.scopes } : {}
    const apply = ({ lease: _, ...grant }: Grant) =>
      withToken({ ...grant, ...narrowed, refreshToken }, token)
    const unsaved = { claimed, apply, spent: plan.refreshToken }
    const grant = await this.#persist(target, unsaved).catch((error: unknown) => {
      if (this.#unsaved.size < MAX_UNSAVED) this.#unsaved.set(rowName(target), unsaved)
      throw error
    })
    requireScopes(target.name, wanted, token)
    return { how: 'refreshed', rotated: refreshToken !== plan.refreshToken, token, grant }
  }

  /**
   * Writes what the server gave, before anything else can fail. When another writer was first and the spent refresh
   * token is no longer in the row, a new consent has put a newer grant there, and that one stays.
   */
  async #persist(target: GrantTarget, { claimed, apply, spent }: Unsaved): Promise<Grant> {
    let { value, version } = claimed
    for (let attempt = 1; ; attempt++) {
      const after = apply(value)
      try {
        if ((await this.#vault.write(target.row, after, { replaces: version })) !== undefined) {
          return after
        }
        const now = await this.#vault.read<Grant>(target.row)
        if (now && now.value.refreshToken !== spent) return after
        value = now?.value ?? value
        version = now?.version ?? 0
      } catch (error) {
        if (!isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE') || attempt >= PERSIST_TRIES)
          throw error
        await pause(POLL_MS * 3 ** (attempt - 1))
        continue
      }
      if (attempt >= PERSIST_TRIES) {
        throw new VaultUnavailableError({
          operation: 'put',
          reason: 'the row changes faster than it can be written',
        })
      }
    }
  }

  /** What a failed exchange means for the grant. Only `invalid_grant` for the token still in the row ends it. */
  async #afterFailure(
    target: GrantTarget,
    wanted: Wanted,
    plan: TokenPlan,
    claimed: Held<Grant>,
    error: unknown,
  ): Promise<
    | { readonly step: 'serve'; readonly obtained: Obtained }
    | { readonly step: 'lost'; readonly reason: string }
    | { readonly step: 'again' | 'throw' }
  > {
    const { lease: _, ...before } = claimed.value
    if (
      plan.step === 'refresh' &&
      error instanceof OAuthRefusedError &&
      error.oauthError === 'invalid_grant' &&
      !error.retryable
    ) {
      const now = await this.#vault.read<Grant>(target.row)
      if (now && now.value.refreshToken !== plan.refreshToken) return { step: 'again' }
      const { refreshToken: _spent, ...rest } = before
      const dead: Grant = { ...rest, state: 'needs_consent', reason: 'invalid_grant', tokens: [] }
      const wrote = await this.#vault.write(target.row, dead, { replaces: claimed.version })
      return wrote === undefined ? { step: 'again' } : { step: 'lost', reason: 'invalid_grant' }
    }
    if (isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE')) return { step: 'throw' }
    // Give the lease back; if that fails too, it ends by itself.
    await this.#vault
      .write(target.row, before, { replaces: claimed.version })
      .catch(() => undefined)
    const serves =
      isDeputizeError(error) && error.retryable
        ? stillServes(before, wanted, this.#clock())
        : undefined
    if (serves) return { step: 'serve', obtained: { how: 'served', token: serves, grant: before } }
    return { step: 'throw' }
  }
}

/** JSON of an array of strings and nulls is as injective as a length-prefixed tuple. */
function rowName(target: GrantTarget): string {
  return JSON.stringify(target.row.owner.map((part) => part ?? null))
}

/** Asks for the union; where one of an earlier call's scopes is not allowed any more, for what this call wants alone. */
async function acquire(target: GrantTarget, wanted: Wanted, union: readonly string[]) {
  const own = unionScopes(wanted.defaultScopes, wanted.scopes)
  const ask = async (requested: readonly string[]) => {
    const { resource } = wanted
    const answer = await clientCredentialsGrant(target.server, { scopes: requested, resource })
    return { answer, requested }
  }
  try {
    return await ask(union)
  } catch (error) {
    const refused = error instanceof OAuthRefusedError && error.oauthError === 'invalid_scope'
    if (refused && own.length < union.length) return ask(own)
    throw error
  }
}

function consentOf(plan: Extract<TokenPlan, { step: 'consent' }>, lost?: string): Obtained {
  const { scopes, missing } = plan
  return { how: 'consent', scopes, missing, ...(lost === undefined ? {} : { lost }) }
}

function requireScopes(name: string, wanted: Wanted, token: StoredToken): void {
  const missing = missingScopes(wanted.scopes, token.scopes)
  if (missing.length > 0) throw new ScopeNotGrantedError({ provider: name, missingScopes: missing })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
