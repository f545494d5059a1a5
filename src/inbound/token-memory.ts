import type { Clock } from '../clock.js'
import { VerifiedCache } from '../jwt/verified-cache.js'
import type { Principal } from '../principal.js'
import type { Authenticator, AuthenticatorContext, InboundRequest } from './authenticator.js'
import { TokenAuthenticator, type TokenJudge, type Verdict } from './token-authenticator.js'

/** What one verifier remembers of the decisions of one of its authenticators. */
export class TokenMemory {
  readonly #judge: TokenJudge
  readonly #cache: VerifiedCache<Principal> | undefined

  private constructor(judge: TokenJudge) {
    this.#judge = judge
    this.#cache = judge.limits && new VerifiedCache(judge.limits)
  }

  /** `undefined` for an authenticator of which nothing may be remembered. */
  static of(authenticator: Authenticator): TokenMemory | undefined {
    const judge = TokenAuthenticator.judgeOf(authenticator)
    return judge && new TokenMemory(judge)
  }

  /** The caller that was let in with exactly this bearer token, if that still holds. */
  recall(token: string, clock: Clock): Principal | undefined {
    return this.#cache?.get(token, clock(), this.#judge.keys.epoch)
  }

  /** What the authenticator says of a request that it recognised. Nothing is remembered yet. */
  judge(
    request: InboundRequest,
    issuer: string,
    context: AuthenticatorContext,
  ): Verdict | Promise<Verdict> {
    return this.#judge.judge(request, issuer, context, this.#cache)
  }

  /** Remembers a verdict with which the verifier lets a caller in. */
  remember({ principal, remember }: Verdict): void {
    if (remember) this.#cache?.set(remember.token, { value: principal, ...remember })
  }
}
