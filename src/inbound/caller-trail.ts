import type { Audit } from '../audit.js'
import { isDeputizeError } from '../errors/base.js'
import type { Principal } from '../principal.js'
import { namesUser } from './asserted-user.js'
import type { RawHeaders } from './authenticator.js'

/** What a refused caller is known by: all of it when a guard refused it, what its credential claims when it is unverified. */
export type RefusedCaller = Partial<Pick<Principal, 'method' | 'issuer' | 'subject' | 'clientId'>>

/** What a verifier tells the audit: every decision. */
export class CallerTrail {
  readonly #audit: Audit
  readonly #userIdHeaders: ReadonlySet<string>
  readonly #told = new WeakSet<object>()

  /** @param userIdHeaders In lower case: where callers of any kind may name a user. */
  constructor(audit: Audit, userIdHeaders: ReadonlySet<string>) {
    this.#audit = audit
    this.#userIdHeaders = userIdHeaders
  }

  /** A refusal that is answered: the verifier's own is in the trail already, that of a guard is not. */
  answered(error: object, who?: RefusedCaller): void {
    if (!this.#told.has(error)) this.refused(error, who)
  }

  /** A refusal. Callers that waited for one answer may share the error. */
  refused(error: unknown, who: RefusedCaller = {}): void {
    if (!this.#audit.isHeard || !isDeputizeError(error)) return
    this.#told.add(error)
    const { method, issuer, subject, clientId } = who
    this.#audit.emit({
      type: 'caller_refused',
      code: error.code,
      reason: error.reason ?? error.name,
      ...(method === undefined ? {} : { method }),
      ...(issuer === undefined ? {} : { issuer }),
      ...(subject === undefined ? {} : { subject }),
      ...(clientId === undefined ? {} : { clientId }),
    })
  }

  /** @param headers Of the request; left out where there was a bare token. */
  verified(principal: Principal, headers?: RawHeaders | Headers): void {
    if (!this.#audit.isHeard) return
    const { method, issuer, subject, clientId } = principal
    this.#audit.emit({
      type: 'caller_verified',
      method,
      issuer,
      subject,
      ...(clientId === undefined ? {} : { clientId }),
    })
    // A token says for whom it is; what its caller says beside it counts for nothing.
    const byToken = method === 'jwt' || method === 'introspection' || method === 'workload'
    if (byToken && headers && namesUser(headers, this.#userIdHeaders)) {
      this.#audit.emit({ type: 'asserted_user_ignored', method, issuer, subject })
    }
  }
}
