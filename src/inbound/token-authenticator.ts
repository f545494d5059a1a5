import type { CacheLimits, Finding, VerifiedCache } from '../jwt/verified-cache.js'
import type { Principal } from '../principal.js'
import type { Authenticator, AuthenticatorContext, InboundRequest } from './authenticator.js'

/** What was decided about one request. */
export interface Verdict {
  readonly principal: Principal
  /** Left out where the decision holds for this request alone. */
  readonly remember?: Remembered | undefined
}

/** The token that a decision is about, as a cache keeps it, and for how long the decision holds. */
export interface Remembered extends Omit<Finding<Principal>, 'value'> {
  readonly token: string
}

/** Decides about bearer tokens, and says of each decision how long it holds. */
export interface TokenJudge {
  /** `undefined`: nothing is remembered. */
  readonly limits: CacheLimits | undefined
  /** What was verified with keys of another epoch does not hold any more. */
  readonly keys: { readonly epoch: number }
  /**
   * @param cache Says which tokens it would take, and copies them. Nothing is put into it here.
   * @throws `InboundAuthError`
   */
  judge(
    request: InboundRequest,
    issuer: string,
    context: AuthenticatorContext,
    cache?: VerifiedCache<Principal>,
  ): Verdict | Promise<Verdict>
}

type Parts = Pick<Authenticator, 'recognise' | 'advertise'> & {
  readonly issuers: readonly string[]
  readonly judge: TokenJudge
}

/**
 * An authenticator whose decisions a verifier may remember. Only this very object has a judge: a copy, a proxy, an heir or
 * a wrapper adds rules of its own that a memory would pass over, so that nothing is remembered for it. All that an
 * `Authenticator` has are properties of its own: a copy by spreading works, without a memory.
 */
export class TokenAuthenticator implements Authenticator {
  readonly name = 'jwt' as const
  readonly issuers: readonly string[]
  readonly recognise: Authenticator['recognise']
  readonly advertise: NonNullable<Authenticator['advertise']>
  readonly #judge: TokenJudge

  constructor({ issuers, recognise, advertise, judge }: Parts) {
    this.issuers = issuers
    this.recognise = recognise
    this.advertise = advertise!
    this.#judge = judge
    Object.freeze(this) // a subclass cannot lay a rule of its own over it
  }

  static judgeOf(authenticator: Authenticator): TokenJudge | undefined {
    return #judge in authenticator ? authenticator.#judge : undefined
  }
}
