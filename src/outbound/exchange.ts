import type { Clock } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { OAuthRefusedError, ScopeNotGrantedError } from '../errors/outbound.js'
import { clientCredentialsGrant } from '../oauth/client-credentials.js'
import { refreshGrant } from '../oauth/refresh.js'
import { revokeToken } from '../oauth/revoke.js'
import type { AuthorizationServer, CallOptions } from '../oauth/server.js'
import type { TokenAnswer } from '../oauth/token-answer.js'
import type { TokenVault } from '../vault/token-vault.js'
import { endsGrant, failingAfter, isDefinitive, outcomeUnknown } from './failing.js'
import {
  DISCONNECTED,
  type Grant,
  type GrantTarget,
  missingScopes,
  rowName,
  type StoredToken,
  storedToken,
  unionScopes,
} from './grant.js'
import { acquired, ended, refreshed } from './grant-changes.js'
import type { GrantChange, GrantWriter } from './grant-writer.js'
import { type Renewal, stillServes, type Wanted } from './plan.js'
import type { Claim } from './row-leases.js'

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

interface Given {
  readonly answer: TokenAnswer
  readonly token: StoredToken
  readonly change: GrantChange
}

/** The lease ended before the request went out: another process may have gone. */
class LeaseEnded extends Error {}

/** One exchange with the server for a row that is claimed, from the request to the written row. */
export class Exchange {
  readonly #vault: TokenVault
  readonly #writer: GrantWriter
  readonly #clock: Clock
  readonly #onChanged: (row: string) => void

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
      throw new ScopeNotGrantedError({ provider: target.name, missingScopes: missing })
    }
    if (renewal.step === 'acquire') return done({ how: 'issued', token, grant })
    const rotated = grant.refreshToken !== renewal.refreshToken
    return done({ how: 'refreshed', rotated, token, grant })
  }

  async #ask(target: GrantTarget, wanted: Wanted, renewal: Renewal, claim: Claim): Promise<Given> {
    const { resource } = wanted
    const claimed = claim.held
    const how: CallOptions = {
      guarded: true,
      beforeSend: () => {
        if (!claim.isLive()) throw new LeaseEnded('The lease has ended.')
      },
    }
    if (renewal.step === 'acquire') {
      const { answer, requested } = await acquire(target, wanted, renewal.scopes, how)
      const token = storedToken(answer, resource, this.#clock())
      const apply = (now: Grant) => acquired(now, answer, token, requested)
      return { answer, token, change: { claimed, apply, spent: undefined } }
    }
    const { refreshToken } = renewal
    const request = { refreshToken, granted: claimed.value.scopes, resource }
    const refresh = () => refreshGrant(target.server, request, how)
    const answer = await refresh().catch(async (error: unknown) => {
      if (!outcomeUnknown(error) || !(await this.#mayRepeat(target, wanted, claim))) throw error
      return refresh()
    })
    const token = storedToken(answer, resource, this.#clock())
    const apply = (now: Grant) => refreshed(now, claimed.value, answer, token)
    return { answer, token, change: { claimed, apply, spent: refreshToken } }
  }

  /**
   * Whether a refresh without an answer is sent once more. The server may have acted, and then the token that it gave is
   * lost: some give it again, others end the grant. If it has not acted, the second request is the first. Nothing is risked
   * while a token is in hand: the next renewal will tell.
   */
  async #mayRepeat(target: GrantTarget, wanted: Wanted, claim: Claim): Promise<boolean> {
    if (stillServes(claim.held.value, wanted, this.#clock()) || !claim.isLive()) return false
    const now = await this.#vault.read<Grant>(target.row)
    return now?.version === claim.held.version && target.server.health.takeRetry()
  }

  /** What a failed exchange means for the grant. Only `invalid_grant` for the token still in the row ends it. */
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
    if (renewal.step === 'refresh' && endsGrant(error)) {
      const now = await this.#vault.read<Grant>(target.row)
      if (now?.value.refreshToken !== renewal.refreshToken) return { step: 'again' }
      const { reason } = error as OAuthRefusedError
      const dead = ended(claimed, reason!)
      const wrote = await this.#vault.write(target.row, dead, { replaces })
      this.#onChanged(rowName(target.row))
      return wrote === undefined ? { step: 'again' } : { step: 'lost', reason: reason! }
    }
    const nowMs = this.#clock()
    const { lease: _, ...free } = claimed
    const asked = !isDeputizeError(error, 'ERR_SERVER_UNAVAILABLE')
    const after = asked ? { ...free, failing: failingAfter(free.failing, error, nowMs) } : free
    // If this fails too, the lease ends by itself.
    await this.#vault.write(target.row, after, { replaces }).catch(() => undefined)
    const token = isDefinitive(error) ? undefined : stillServes(free, wanted, nowMs)
    if (token) return done({ how: 'served', token, grant: after })
    throw error
  }
}

const done = (obtained: Obtained): Outcome => ({ step: 'done', obtained })

/** The user ended the connection while it was made or renewed: what the server just gave is nobody's. */
export async function giveBack(server: AuthorizationServer, answer: TokenAnswer): Promise<void> {
  const { refreshToken, accessToken } = answer
  const request =
    refreshToken === undefined
      ? ({ token: accessToken, kind: 'access_token' } as const)
      : ({ token: refreshToken, kind: 'refresh_token' } as const)
  await revokeToken(server, request).catch(() => {})
}

/** Asks for the union; where one of an earlier call's scopes is not allowed any more, for what this call wants alone. */
async function acquire(
  target: GrantTarget,
  wanted: Wanted,
  union: readonly string[],
  how: CallOptions,
) {
  const own = unionScopes(wanted.defaultScopes, wanted.scopes)
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
