import { abortable } from '../abortable.js'
import { AccessToken } from '../access-token.js'
import type { Audit, AuditFacts } from '../audit.js'
import { type Clock, MINUTE_MS } from '../clock.js'
import type { OnAuthorizationRequired, TokenRequest } from '../context/credential-source.js'
import { isDeputizeError } from '../errors/base.js'
import { AccountAmbiguousError, ScopeNotGrantedError } from '../errors/outbound.js'
import type { Flow } from '../providers/provider.js'
import { type Acting, auditActing } from '../workload/acting.js'
import { keepAlive, type WaitUntil } from './background.js'
import { accountNamed, type ConnectionsIndex, clientOf } from './connections.js'
import type { ActingForUser, ConsentStart } from './consent-start.js'
import type { Consents } from './consents.js'
import { grantKey, missingScopes, rowName, usableUntilMs } from './grant.js'
import type { KeptConsents } from './kept-consents.js'
import type { Obtained, RefreshEngine } from './refresh-engine.js'
import type { RegisteredOAuth2 } from './registry.js'
import type { CachedToken, TokenCache } from './token-cache.js'
import { type Checked, checkMode, checkRequest, requireUser } from './token-request.js'

interface Parts {
  readonly index: ConnectionsIndex
  readonly engine: RefreshEngine
  readonly start: ConsentStart
  readonly consents: Consents
  readonly kept: KeptConsents
  readonly cache: TokenCache | undefined
  readonly audit: Audit
  readonly clock: Clock
  readonly onAuthorizationRequired: OnAuthorizationRequired
  readonly waitUntil: WaitUntil | undefined
}

/** What every audit event about a token says. */
type TokenFacts = Omit<Extract<AuditFacts, { type: 'token_served' }>, 'type'>

/** What was looked up for a request, and whose. */
interface Found {
  readonly account: string | undefined
  readonly accountReadMs: number
  readonly obtained: Obtained
  readonly row: string
}

/** For so long a token is looked up again in its own row alone. A connection that ended shows there; another one does not. */
const ACCOUNT_MAX_AGE_MS = 5 * MINUTE_MS

/** How often tokens in memory had been dropped when a look-up began. */
type Since = Pick<TokenCache, 'epoch' | 'ownerEpoch'>

function knowsAccount({ accountReadMs }: CachedToken, nowMs: number): boolean {
  return nowMs >= accountReadMs && nowMs - accountReadMs < ACCOUNT_MAX_AGE_MS
}

/** Meets one request for a token: from memory, from the vault, from the server, or by asking the user. */
export class TokenDesk {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The token in memory for exactly this request, if there is one. The road of nearly every call: it makes nothing. */
  cached(
    acting: Acting,
    request: TokenRequest,
    at: (name: string) => RegisteredOAuth2,
  ): AccessToken | undefined {
    const { cache, audit, clock, waitUntil } = this.#parts
    if (cache === undefined || request.rejected !== undefined || request.signal?.aborted) {
      return undefined
    }
    const nowMs = clock()
    const found = cache.find(acting, request, nowMs)
    if (found === undefined) return undefined
    if (cache.takeCheck(found, nowMs))
      keepAlive(waitUntil, this.#recheck(acting, at(request.provider), request, found))
    if (audit.isHeard) this.#tellCached(acting, request, found)
    return found.token
  }

  /** See `OutboundCredentialProvider.getToken()`; one audit event a decision. */
  async get(acting: Acting, at: RegisteredOAuth2, request: TokenRequest): Promise<AccessToken> {
    const { checked, flow } = checkRequest(acting, at, request)
    try {
      return await abortable(this.#token(acting, at, request, checked, flow), request.signal)
    } catch (error) {
      const { cache, clock, audit } = this.#parts
      const last =
        isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE') &&
        cache?.lastResort(acting, request, clock())
      if (last) {
        this.#tellCached(acting, request, last)
        return last.token
      }
      if (isDeputizeError(error)) {
        const { code, reason = code } = error
        const { scopes } = checked
        const facts = { ...auditActing(acting), provider: at.name, flow, scopes }
        audit.emit({ type: 'token_refused', code, reason, ...facts })
      }
      throw error
    }
  }

  async #token(
    acting: Acting,
    at: RegisteredOAuth2,
    asked: TokenRequest,
    request: Checked,
    flow: Flow,
  ): Promise<AccessToken> {
    let waited = false
    for (;;) {
      request.signal?.throwIfAborted()
      if (flow === 'USER_FEDERATION') requireUser(acting, at.name)
      const since = this.#since()
      const { obtained, ...found } = await this.#look(acting, at, request, flow)
      if (obtained.how !== 'consent') {
        return this.#deliver(acting, at, asked, { ...found, obtained, flow, since })
      }
      // What is in memory for this is of a grant that is gone: not even a failing store brings it back.
      this.#parts.cache?.dropWish(acting, asked)
      const { account } = found
      if (waited && obtained.missing.length > 0) {
        throw new ScopeNotGrantedError({
          provider: at.name,
          missingScopes: obtained.missing,
          askedScopes: obtained.scopes,
          grantedScopes: missingScopes(obtained.scopes, obtained.missing),
        })
      }
      request.signal?.throwIfAborted() // nobody is there to show a link to
      const challenge = await this.#parts.start.begin(requireUser(acting, at.name), at, {
        scopes: obtained.scopes,
        account: request.account,
        accountHint: account,
        resource: request.resource,
        returnUrl: request.returnUrl,
        claims: obtained.claims,
        joins: true,
      })
      const mode = checkMode(request.onAuthorizationRequired ?? this.#parts.onAuthorizationRequired)
      // Asked once and still without a token (one that ended at once, say): the user is not kept busy.
      if (mode === 'throw' || waited) throw challenge
      // Another process may have finished the consent since the first look: then nobody opens this link.
      const { obtained: now, ...place } = await this.#look(acting, at, request, flow)
      if (now.how !== 'consent') {
        return this.#deliver(acting, at, asked, { ...place, obtained: now, flow, since })
      }
      if (typeof mode === 'function') await mode(challenge)
      await this.#parts.consents.wait(acting, challenge.sessionUri, request.signal)
      waited = true
    }
  }

  #since(): Since | undefined {
    const { cache } = this.#parts
    return cache && { epoch: cache.epoch, ownerEpoch: cache.ownerEpoch }
  }

  /** What the vault, or the server, has for the request. */
  async #look(
    acting: Acting,
    at: RegisteredOAuth2,
    request: Checked,
    flow: Flow,
    served?: CachedToken,
  ): Promise<Found> {
    const nowMs = this.#parts.clock()
    const known = served && knowsAccount(served, nowMs)
    const account = known
      ? served.account
      : flow === 'M2M'
        ? undefined
        : await this.#account(acting as ActingForUser, at, request)
    const accountReadMs = known ? served.accountReadMs : nowMs
    const row = grantKey(acting, flow, at.name, at.provider, account)
    const target = { name: at.name, row, server: at.server }
    const { scopes, resource, rejected } = request
    const wanted = {
      flow,
      scopes,
      resource,
      defaultScopes: at.provider.scopes,
      rejected: rejected?.value,
    }
    const labelled = account === undefined ? {} : { account }
    const facts = { ...auditActing(acting), provider: at.name, flow, ...labelled, scopes }
    const tellAhead = (ahead: Obtained) => {
      if (ahead.how !== 'served') this.#tell(ahead, facts)
    }
    // Told also when the caller has gone meanwhile: the server was asked all the same.
    const obtained = this.#parts.engine.obtain(target, wanted, tellAhead).then((result) => {
      if (!served || result.how !== 'served') this.#tell(result, facts)
      return result
    })
    return { account, accountReadMs, row: rowName(row), obtained: await obtained }
  }

  /** Asks the vault about a token that was just served from memory. Nobody waits, and nobody is asked for consent. */
  async #recheck(
    acting: Acting,
    at: RegisteredOAuth2,
    request: TokenRequest,
    served: CachedToken,
  ): Promise<void> {
    const { cache, clock } = this.#parts
    try {
      const { signal: _, ...asked } = request
      const { checked, flow } = checkRequest(acting, at, asked)
      const since = this.#since()
      const { obtained, ...found } = await this.#look(acting, at, checked, flow, served)
      if (obtained.how === 'consent') cache!.drop(served)
      else this.#deliver(acting, at, asked, { ...found, obtained, flow, since })
    } catch (error) {
      if (isDeputizeError(error, 'ERR_VAULT_UNAVAILABLE')) cache!.outage(served, clock())
      else cache!.drop(served)
    }
  }

  /** Makes the token, and keeps it in memory if what it was read from is still the newest. */
  #deliver(
    acting: Acting,
    at: RegisteredOAuth2,
    asked: TokenRequest,
    found: Omit<Found, 'obtained'> & {
      readonly obtained: Exclude<Obtained, { how: 'consent' }>
      readonly flow: Flow
      readonly since: Since | undefined
    },
  ): AccessToken {
    const { cache, clock } = this.#parts
    const { account, accountReadMs, row, flow, since } = found
    const { how, token: stored, grant } = found.obtained
    const token = new AccessToken(stored.value, {
      tokenType: stored.tokenType,
      expiresAtMs: stored.expiresAtMs,
      scopes: stored.scopes,
      missingScopes: missingScopes(grant.requested, grant.scopes),
      provider: at.name,
      account,
    })
    const untilMs = usableUntilMs(stored) ?? Number.POSITIVE_INFINITY
    // What this process renewed is newer than what it dropped for that, but not than a connection that it ended.
    const newest =
      cache?.ownerEpoch === since?.ownerEpoch && (how !== 'served' || cache?.epoch === since?.epoch)
    if (cache && clock() < untilMs && newest) {
      const scopes = flow === 'M2M' ? stored.scopes : intersection(stored.scopes, grant.scopes)
      const renewFromMs = stored.renewFromMs ?? Number.POSITIVE_INFINITY
      const entry = {
        ...{ token, flow, account, accountReadMs, row, scopes },
        usableUntilMs: untilMs,
        renewFromMs,
      }
      cache.put(acting, asked, entry, clock())
    }
    return token
  }

  #tellCached(acting: Acting, request: TokenRequest, { flow, account }: CachedToken): void {
    const labelled = account === undefined ? {} : { account }
    const { provider, scopes = [] } = request
    const facts = { ...auditActing(acting), provider, flow, ...labelled, scopes }
    this.#parts.audit.emit({ type: 'token_served', ...facts })
  }

  #tell(obtained: Obtained, facts: TokenFacts): void {
    const { audit } = this.#parts
    if (obtained.how === 'refreshed') {
      audit.emit({ type: 'token_refreshed', rotated: obtained.rotated, ...facts })
    } else if (obtained.how !== 'consent') {
      audit.emit({ type: obtained.how === 'issued' ? 'token_issued' : 'token_served', ...facts })
    } else if (obtained.lost !== undefined) {
      audit.emit({ type: 'grant_lost', reason: obtained.lost, ...facts })
    }
  }

  /** The account that is meant; `undefined` when none is connected yet and none was named. */
  async #account(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: TokenRequest,
  ): Promise<string | undefined> {
    await this.#parts.kept.catchUp(acting)
    const accounts = await this.#parts.index.accounts(acting, clientOf(at))
    const { account: named } = request
    if (named !== undefined) return accountNamed(accounts, named)?.account ?? named
    if (accounts.length > 1) {
      const labels = accounts.map((one) => one.account)
      throw new AccountAmbiguousError({ provider: at.name, accounts: labels })
    }
    return accounts[0]?.account
  }
}

function intersection(a: readonly string[], b: readonly string[]): readonly string[] {
  const has = new Set(b)
  return a.filter((scope) => has.has(scope))
}
