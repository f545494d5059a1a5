import type { Secret } from './secret.js'

/** A user: always the pair, never the subject alone, never one string. */
export interface UserRef {
  /** The issuer that knows the user, exactly as its tokens spell it. */
  readonly issuer: string
  /** The user's `sub` at that issuer, exactly as it stands. */
  readonly subject: string
}

/** Whether two references name the same user. */
export function sameUser(a: UserRef, b: UserRef): boolean {
  return a.issuer === b.issuer && a.subject === b.subject
}

/** Who acts for the subject (RFC 8693 §4.1); `actor` is the one before, and informational only. */
export interface Actor {
  readonly issuer?: string
  readonly subject: string
  readonly actor?: Actor
}

/** An AWS IAM caller. */
export interface IamIdentity {
  readonly accountId: string
  /** As AWS names the caller, with the session of an assumed role. */
  readonly arn: string
  /** Whom permissions are given to: of an assumed role its role, which has no path where STS was asked. */
  readonly principalArn: string
  /** The unique id, which a user or role made anew under an old name does not share. AWS-signed JWTs have none. */
  readonly userId?: string
}

/** Who called, by which proof. One shape for every inbound method. */
export interface Principal {
  readonly method: 'jwt' | 'sigv4' | 'sts' | 'introspection' | 'workload'
  readonly issuer: string
  readonly subject: string
  readonly clientId?: string
  readonly scopes: readonly string[]
  readonly audience: readonly string[]
  readonly actor?: Actor
  /** Every claim, deeply frozen, in objects without a prototype; made when first read. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly expiresAtMs?: number
  readonly iam?: IamIdentity
  /** The user behind the call; absent when the caller is a client of its own. */
  readonly user?: UserRef
  /** How the user is known, where another agent says for whom it acts: `asserted` when nobody verified it. */
  readonly userKnown?: 'verified' | 'asserted'
}

const brand = Symbol.for('deputize.principal')
const tokenOf = Symbol.for('deputize.principal.token')
const inspect = Symbol.for('nodejs.util.inspect.custom')

/** What a {@link Principal} is made of; whatever may be absent may be undefined here. */
export type PrincipalFacts = {
  readonly [K in keyof Principal]:
    | Principal[K]
    | (Record<string, never> extends Pick<Principal, K> ? undefined : never)
    // Or what gives them when they are first read.
    | (K extends 'claims' ? () => Principal['claims'] : never)
}

class VerifiedPrincipal implements Principal {
  readonly method: Principal['method']
  readonly issuer: string
  readonly subject: string
  declare readonly clientId?: string
  readonly scopes: readonly string[]
  readonly audience: readonly string[]
  declare readonly actor?: Actor
  declare readonly claims: Principal['claims']
  declare readonly expiresAtMs?: number
  declare readonly iam?: IamIdentity
  declare readonly user?: UserRef
  declare readonly userKnown?: 'verified' | 'asserted'
  #claims: PrincipalFacts['claims']
  readonly #token: Secret | undefined

  /** An own property, as all others are: spreading and cloning meet the claims. */
  static readonly #claimsProperty = {
    enumerable: true,
    get(this: VerifiedPrincipal): Principal['claims'] {
      if (typeof this.#claims === 'function') this.#claims = this.#claims()
      return this.#claims as Principal['claims']
    },
  }

  // Field by field: spreading the facts costs as much as reading the claims.
  constructor(facts: PrincipalFacts, token: Secret | undefined) {
    const { clientId, actor, expiresAtMs, iam, user, userKnown } = facts
    this.#token = token
    this.method = facts.method
    this.issuer = facts.issuer
    this.subject = facts.subject
    if (clientId !== undefined) this.clientId = clientId
    this.scopes = frozenList(facts.scopes)
    this.audience = frozenList(facts.audience)
    if (actor) this.actor = freezeActor(actor)
    this.#claims = facts.claims
    Object.defineProperty(this, 'claims', VerifiedPrincipal.#claimsProperty)
    if (expiresAtMs !== undefined) this.expiresAtMs = expiresAtMs
    if (iam) this.iam = Object.freeze({ ...iam })
    if (user) this.user = Object.freeze({ issuer: user.issuer, subject: user.subject })
    if (userKnown) this.userKnown = userKnown
    Object.freeze(this)
  }

  get [brand](): true {
    void this.#token // a subclass by prototype alone has no such field: it throws here
    return true
  }

  get [tokenOf](): Secret | undefined {
    return this.#token
  }

  /** With the claims, of which it would say that there is a getter. */
  [inspect](): object {
    return { ...this }
  }
}

/** Makes a {@link Principal}. Only code that has verified a credential calls this. */
export function makePrincipal(facts: PrincipalFacts, token?: Secret): Principal {
  return new VerifiedPrincipal(facts, token)
}

function frozenList(list: readonly string[]): readonly string[] {
  return Object.isFrozen(list) ? list : Object.freeze([...list])
}

function freezeActor(actor: Actor): Actor {
  return Object.freeze({ ...actor, ...(actor.actor ? { actor: freezeActor(actor.actor) } : {}) })
}

/** Whether `value` was made by a verifier: no literal, no spread copy and no parsed JSON passes. */
export function isPrincipal(value: unknown): value is Principal {
  if (typeof value !== 'object' || value === null || Object.hasOwn(value, brand)) return false
  try {
    return (value as { [brand]?: unknown })[brand] === true
  } catch {
    return false
  }
}

/** The token that the caller presented, for exchanging it on its behalf. Not printed, not serialised. */
export function presentedToken(principal: Principal): Secret | undefined {
  return (principal as { [tokenOf]?: Secret })[tokenOf]
}

/** Verifies a bare access token: what a workload asks of an inbound verifier. */
export interface TokenVerifier {
  verifyToken(token: string): Promise<Principal>
}
