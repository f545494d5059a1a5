import type { Clock } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ScopeNotGrantedError } from '../errors/outbound.js'
import { REQUEST_TIMEOUT_MS } from '../http.js'
import { clientCredentialsGrant } from '../oauth/client-credentials.js'
import { type RefreshAnswer, refreshGrant } from '../oauth/refresh.js'
import { giveBack } from '../oauth/revoke.js'
import type { CallOptions } from '../oauth/server.js'
import type { TokenAnswer } from '../oauth/token-answer.js'
import type { TokenVault } from '../vault/token-vault.js'
import { type Failing, failingAfter, failureCode, outcomeUnknown, verdictOn } from './failing.js'
import {
  consentScopes,
  DISCONNECTED,
  type Grant,
  type GrantTarget,
  missingScopes,
  rowName,
  type StoredToken,
  storedToken,
  tokenFor,
  unionScopes,
} from './grant.js'
import { acquired, ended, refreshed, salvaged, suspended } from './grant-changes.js'
import type { Claim, GrantChange, GrantWriter } from './grant-writer.js'
import { coolsDown, ownDefaults, type Renewal, stillServes, type Wanted } from './plan.js'
import { SharedRefusals } from './shared-refusals.js'

/** A token, and the grant that it is of. */
export type Obtained =
  | { readonly how: 'served' | 'issued'; readonly token: StoredToken; readonly grant: Grant }
  | {
      readonly how: 'refreshed'
      readonly rotated: boolean
      readonly token: StoredToken
      readonly grant: Grant
    }

/** `again`: another writer was first, so the row is to be read and planned again. */
export type Outcome =
  | { readonly step: 'done'; readonly obtained: Obtained }
  | { readonly step: 'again' }
  | { readonly step: 'lost'; readonly reason: string }

type Given =
  | {
      readonly inOrder: true
      readonly answer: TokenAnswer
      readonly token: StoredToken
      readonly change: GrantChange
    }
  | BadAnswer

type BadAnswer = Extract<RefreshAnswer, { inOrder: false }>

/** The lease ended before the request went out: another process may have gone. */
class LeaseEnded extends Error {}

/** One exchange with the server for a row that is claimed, from the request to the written row. */
export class Exchange {
  readonly #vault: TokenVault
  readonly #writer: GrantWriter
  readonly #clock: Clock
  readonly #onChanged: (row: string) => void
  readonly #refusals = new SharedRefusals()

  constructor(
    vault: TokenVault,
    writer: GrantWriter,
    clock: Clock,
    onChanged: (row: string) => void,
  ) {
    this.#vault = vault
    this.#writer = writer
    this.#clock = clock
    this.#onChanged = onChanged
  }

  async run(target: GrantTarget, wanted: Wanted, renewal: Renewal, claim: Claim): Promise<Outcome> {
    let given: Given
    try {
      given = await this.#ask(target, wanted, renewal, claim)
    } catch (error) {
      return this.#afterFailure(target, wanted, renewal, claim, error)
    }
    if (!given.inOrder) return this.#afterBadAnswer(target, wanted, renewal, claim, given)
    const { answer, token, change } = given
    const written = await this.#writer.write(target, change)
    this.#onChanged(rowName(target.row))
    if (written.superseded) {
      if (written.now?.reason === DISCONNECTED) await giveBack(target.server, answer)
      return { step: 'again' }
    }
    const { grant } = written
    const missing = missingScopes(wanted.scopes, token.scopes)
    if (missing.length > 0) {
      throw new ScopeNotGrantedError({
        provider: target.name,
        missingScopes: missing,
        askedScopes: grant.requested,
        grantedScopes: token.scopes,
      })
    }
    if (renewal.step === 'acquire') return done({ how: 'issued', token, grant })
    const rotated = grant.refreshToken !== renewal.refreshToken
    return done({ how: 'refreshed', rotated, token, grant })
  }

  async #ask(target: GrantTarget, wanted: Wanted, renewal: Renewal, claim: Claim): Promise<Given> {
    const { resource } = wanted
    const claimed = claim.held.value
    const how: CallOptions = {
      guardedFor: rowName(target.row),
      beforeSend: () => {
        const timeoutMs = target.server.options.timeoutMs ?? REQUEST_TIMEOUT_MS
        if (!claim.lease.maySend(timeoutMs)) throw new LeaseEnded('The lease has ended.')
      },
    }
    if (renewal.step === 'acquire') {
      const { answer, requested } = await acquire(target, wanted, renewal.scopes, how)
      const token = this.#stored(answer, wanted, claimed)
      const apply = (now: Grant) => acquired(now, answer, token, requested)
      return { inOrder: true, answer, token, change: { claim, apply, spent: undefined } }
    }
    const { refreshToken } = renewal
    const { scopes: granted, requested, accountSubject: subject } = claimed
    const { refreshWithScope } = target.server.options
    // Servers do not list what only says what the consent gives; left out of this request, it would be given up.
    const scopes = unionScopes(
      requested.filter((scope) => consentScopes.has(scope)),
      granted,
    )
    const request = {
      ...{ refreshToken, granted, resource, subject },
      scopes: refreshWithScope ? scopes : undefined,
    }
    const refresh = () => refreshGrant(target.server, request, how)
    const given = await refresh().catch(async (error: unknown) => {
      if (!outcomeUnknown(error) || !(await this.#mayRepeat(target, wanted, claim))) throw error
      return refresh()
    })
    if (!given.inOrder) return given
    this.#refusals.clear(target.name)
    const { tokens: answer } = given
    const token = this.#stored(answer, wanted, claimed)
    const apply = (now: Grant) => refreshed(now, claimed, answer, token)
    return { inOrder: true, answer, token, change: { claim, apply, spent: refreshToken } }
  }

  #stored(answer: TokenAnswer, wanted: Wanted, claimed: Grant): StoredToken {
    const token = storedToken(answer, wanted.resource, this.#clock())
    const before = tokenFor(claimed, wanted.resource)?.value
    return before !== undefined && before === wanted.rejected
      ? { ...token, afterRefusal: true }
      : token
  }

  /**
   * Whether a refresh without an answer is sent once more. The server may have acted, and then the token that it gave is
   * lost: some give it again, others end the grant. If it has not acted, the second request is the first. Nothing is risked
   * while a token is in hand: the next renewal will tell.
   */
  async #mayRepeat(target: GrantTarget, wanted: Wanted, claim: Claim): Promise<boolean> {
    if (stillServes(claim.held.value, wanted, this.#clock()) || !claim.lease.isLive()) return false
    const now = await this.#vault.read<Grant>(target.row)
    return now?.version === claim.held.version && target.server.health.takeRetry()
  }

  /** The server has acted, and its answer is not in order. What it put in the place of the spent token comes first. */
  async #afterBadAnswer(
    target: GrantTarget,
    wanted: Wanted,
    renewal: Renewal,
    claim: Claim,
    { error, tokens }: BadAnswer,
  ): Promise<Outcome> {
    const spent = renewal.step === 'refresh' ? renewal.refreshToken : undefined
    const { refreshToken } = tokens
    if (verdictOn(error) === 'dead') {
      const outcome = await this.#afterFailure(target, wanted, renewal, claim, error)
      await giveBack(target.server, tokens)
      return outcome
    }
    if (refreshToken === undefined || refreshToken === spent) {
      return this.#afterFailure(target, wanted, renewal, claim, error)
    }
    const failing = failingAfter(claim.held.value.failing, error, this.#clock())
    const apply = (now: Grant) => salvaged(now, refreshToken, failing)
    const written = await this.#writer.write(target, { claim, apply, spent })
    this.#onChanged(rowName(target.row))
    if (written.superseded) {
      if (written.now?.reason === DISCONNECTED) await giveBack(target.server, tokens)
      return { step: 'again' }
    }
    return this.#serveOr(error, written.grant, wanted)
  }

  /** What a failed exchange means for the grant. */
  async #afterFailure(
    target: GrantTarget,
    wanted: Wanted,
    renewal: Renewal,
    claim: Claim,
    error: unknown,
  ): Promise<Outcome> {
    if (error instanceof LeaseEnded) return { step: 'again' }
    if (isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE')) throw error
    const { value: claimed, version: replaces } = claim.held
    const nowMs = this.#clock()
    const asked = !isDeputizeError(error, 'ERR_SERVER_UNAVAILABLE')
    const failing = asked ? failingAfter(claimed.failing, error, nowMs) : undefined
    if (renewal.step === 'refresh') {
      const over = this.#over(target, claimed, error, failing)
      if (over) {
        const now = await this.#vault.read<Grant>(target.row)
        if (now?.value.refreshToken !== renewal.refreshToken) return { step: 'again' }
        const wrote = await this.#vault.write(target.row, over, { replaces })
        this.#onChanged(rowName(target.row))
        const news = wrote !== undefined && claimed.state === 'active'
        return news ? { step: 'lost', reason: over.reason! } : { step: 'again' }
      }
    }
    const after: Grant = failing ? { ...claimed, failing } : claimed
    const wrote =
      failing && (await this.#vault.write(target.row, after, { replaces }).catch(() => undefined))
    // The user is asked already; this was one more try with what the row still holds.
    if (claimed.state === 'needs_consent' && wrote !== undefined) {
      return { step: 'again' }
    }
    return this.#serveOr(error, after, wanted)
  }

  /** The row of a grant that the user has to be asked about; `undefined` while it stays as it is. */
  #over(
    target: GrantTarget,
    claimed: Grant,
    error: unknown,
    failing: Failing | undefined,
  ): Grant | undefined {
    const verdict = verdictOn(error)
    const code = failureCode(error)
    if (verdict === 'dead') return ended(claimed, code)
    if (failing === undefined) return undefined
    const { claims } = error as OAuthRefusedError
    if (verdict === 'asks') return suspended(claimed, failing, claims)
    if (verdict !== 'ambiguous') return undefined
    const nowMs = this.#clock()
    const shared = this.#refusals.note(target.name, code, rowName(target.row), nowMs)
    if (shared) return undefined
    const again = claimed.failing?.code === code && !coolsDown(claimed, nowMs)
    return again ? suspended(claimed, failing, undefined) : undefined
  }

  /** The token in hand, where the failure leaves it good. */
  #serveOr(error: unknown, grant: Grant, wanted: Wanted): Outcome {
    const stays = ['ambiguous', 'rests', 'unknown'].includes(verdictOn(error))
    const token = stays ? stillServes(grant, wanted, this.#clock()) : undefined
    if (token) return done({ how: 'served', token, grant })
    throw error
  }
}

const done = (obtained: Obtained): Outcome => ({ step: 'done', obtained })

/** Asks for the union; where one of an earlier call's scopes is not allowed any more, for what this call wants alone. */
async function acquire(
  target: GrantTarget,
  wanted: Wanted,
  union: readonly string[],
  how: CallOptions,
) {
  const own = unionScopes(ownDefaults(wanted), wanted.scopes)
  const ask = async (requested: readonly string[]) => {
    const { resource } = wanted
    const request = { scopes: requested, resource }
    return { answer: await clientCredentialsGrant(target.server, request, how), requested }
  }
  try {
    return await ask(union)
  } catch (error) {
    const refused = error instanceof OAuthRefusedError && error.oauthError === 'invalid_scope'
    if (refused && own.length < union.length) return ask(own)
    throw error
  }
}
