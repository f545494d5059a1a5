import { AccessToken } from '../access-token.js'
import type { Audit, AuditFacts } from '../audit.js'
import type { OnAuthorizationRequired, TokenRequest } from '../context/credential-source.js'
import { isDeputizeError, printable } from '../errors/base.js'
import { AccountAmbiguousError, ScopeNotGrantedError } from '../errors/outbound.js'
import { NoUserError } from '../errors/workload.js'
import { checkResource, checkScopes } from '../providers/options.js'
import type { Flow } from '../providers/provider.js'
import { type Acting, auditActing } from '../workload/acting.js'
import type { ConnectionsIndex } from './connections.js'
import type { ActingForUser, Consents } from './consents.js'
import { grantKey, missingScopes } from './grant.js'
import type { Obtained, RefreshEngine } from './refresh-engine.js'
import type { RegisteredOAuth2 } from './registry.js'

interface Parts {
  readonly index: ConnectionsIndex
  readonly engine: RefreshEngine
  readonly consents: Consents
  readonly audit: Audit
  readonly onAuthorizationRequired: OnAuthorizationRequired
}

/** What every audit event about a token says. */
type TokenFacts = Omit<Extract<AuditFacts, { type: 'token_served' }>, 'type'>

/** A request whose options are checked and whose defaults are filled in. */
interface Checked extends TokenRequest {
  readonly scopes: readonly string[]
}

/** Meets one request for a token: from the vault, from the server, or by asking the user. */
export class TokenDesk {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** See `OutboundCredentialProvider.getToken()`; one audit event a decision. */
  async get(acting: Acting, at: RegisteredOAuth2, request: TokenRequest): Promise<AccessToken> {
    const scopes = checkScopes(request.scopes ?? [], 'scopes')
    const resource = checkResource(request.resource, 'resource') ?? at.provider.resource
    const flow = chooseFlow(acting, at, request)
    try {
      request.signal?.throwIfAborted()
      return await this.#token(acting, at, { ...request, scopes, resource }, flow)
    } catch (error) {
      if (isDeputizeError(error)) {
        const { code, reason = code } = error
        const facts = { ...auditActing(acting), provider: at.name, flow, scopes }
        this.#parts.audit.emit({ type: 'token_refused', code, reason, ...facts })
      }
      throw error
    }
  }

  async #token(
    acting: Acting,
    at: RegisteredOAuth2,
    request: Checked,
    flow: Flow,
  ): Promise<AccessToken> {
    let asked = false
    for (;;) {
      if (flow === 'USER_FEDERATION') requireUser(acting, at.name)
      const account =
        flow === 'M2M' ? undefined : await this.#account(acting as ActingForUser, at, request)
      const obtained = await this.#obtain(acting, at, request, flow, account)
      if (obtained.how !== 'consent') return deliver(at, account, obtained)
      if (asked && obtained.missing.length > 0) {
        throw new ScopeNotGrantedError({ provider: at.name, missingScopes: obtained.missing })
      }
      const challenge = await this.#parts.consents.begin(requireUser(acting, at.name), at, {
        scopes: obtained.scopes,
        account: request.account,
        accountHint: account,
        resource: request.resource,
        returnUrl: request.returnUrl,
      })
      const mode = checkMode(request.onAuthorizationRequired ?? this.#parts.onAuthorizationRequired)
      // Asked once and still without a token (one that ended at once, say): the user is not kept busy.
      if (mode === 'throw' || asked) throw challenge
      if (typeof mode === 'function') await mode(challenge)
      await this.#parts.consents.wait(acting, challenge.sessionUri, request.signal)
      asked = true
    }
  }

  #obtain(
    acting: Acting,
    at: RegisteredOAuth2,
    request: Checked,
    flow: Flow,
    account: string | undefined,
  ): Promise<Obtained> {
    const target = {
      name: at.name,
      row: grantKey(acting, flow, at.name, at.provider, account),
      server: at.server,
    }
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
    // Told also when the caller has gone meanwhile: the server was asked all the same.
    const obtained = this.#parts.engine.obtain(target, wanted).then((result) => {
      this.#tell(result, facts)
      return result
    })
    return abortable(obtained, request.signal)
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
    if (request.account !== undefined) return request.account
    const labels = await this.#parts.index.labels(acting, at.name, at.provider)
    if (labels.length > 1) throw new AccountAmbiguousError({ provider: at.name, accounts: labels })
    return labels[0]
  }
}

function deliver(
  at: RegisteredOAuth2,
  account: string | undefined,
  { token, grant }: Exclude<Obtained, { how: 'consent' }>,
): AccessToken {
  return new AccessToken(token.value, {
    tokenType: token.tokenType,
    expiresAtMs: token.expiresAtMs,
    scopes: token.scopes,
    missingScopes: missingScopes(grant.requested, grant.scopes),
    provider: at.name,
    account,
  })
}

function chooseFlow(acting: Acting, at: RegisteredOAuth2, request: TokenRequest): Flow {
  const flow = request.flow ?? at.provider.defaultFlow ?? (acting.user ? 'USER_FEDERATION' : 'M2M')
  if (flow !== 'M2M' && flow !== 'USER_FEDERATION') {
    throw new TypeError(`flow must be "M2M" or "USER_FEDERATION"; got ${printable(flow)}.`)
  }
  return flow
}

/** @throws {@link NoUserError} */
export function requireUser(acting: Acting, provider: string): ActingForUser {
  if (acting.user) return acting as ActingForUser
  throw new NoUserError({ provider, flow: 'USER_FEDERATION' })
}

/** @throws `TypeError` */
export function checkMode(mode: OnAuthorizationRequired): OnAuthorizationRequired {
  if (mode !== 'throw' && mode !== 'wait' && typeof mode !== 'function') {
    throw new TypeError(
      `onAuthorizationRequired must be "throw", "wait" or a function; got ${printable(mode)}.`,
    )
  }
  return mode
}

/** Ends one caller's waiting; the task, which others may share, goes on. */
async function abortable<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return task
  if (signal.aborted) {
    task.catch(() => {})
    throw signal.reason
  }
  let abort!: () => void
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([task, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
