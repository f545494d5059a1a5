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
  readonly arn: string
  readonly principalArn: string
  readonly userId: string
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
  /** Every claim, deeply frozen, in objects without a prototype. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly expiresAtMs?: number
  readonly iam?: IamIdentity
  /** The user behind the call; absent when the caller is a client of its own. */
  readonly user?: UserRef
  /** Who says so, where it was not the user's own issuer: `asserted` when nobody verified it. Absent with `user`: verified. */
  readonly userKnown?: 'verified' | 'asserted'
}

const brand = Symbol.for('deputize.principal')
const tokenOf = Symbol.for('deputize.principal.token')

class VerifiedPrincipal {
  readonly #token: Secret | undefined

  constructor(facts: Principal, token: Secret | undefined) {
    this.#token = token
    Object.assign(this, facts)
    Object.freeze(this)
  }

  get [brand](): true {
    void this.#token // a subclass by prototype alone has no such field: it throws here
    return true
  }

  get [tokenOf](): Secret | undefined {
    return this.#token
  }
}

/** Makes a {@link Principal}. Only code that has verified a credential calls this. */
export function makePrincipal(facts: Principal, token?: Secret): Principal {
  const { scopes, audience, user, actor, iam, ...rest } = facts
  return new VerifiedPrincipal(
    {
      ...rest,
      scopes: Object.freeze([...scopes]),
      audience: Object.freeze([...audience]),
      ...(user ? { user: Object.freeze({ issuer: user.issuer, subject: user.subject }) } : {}),
      ...(actor ? { actor: freezeActor(actor) } : {}),
      ...(iam ? { iam: Object.freeze({ ...iam }) } : {}),
    },
    token,
  ) as unknown as Principal
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
