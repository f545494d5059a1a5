import type { AccessToken } from '../access-token.js'
import type { AuditActing } from '../audit.js'
import { checkOptionNames } from '../option-names.js'
import type { Actor, UserRef } from '../principal.js'

/** Who acts: name, and issuer where it has one. */
export interface WorkloadRef {
  readonly issuer?: string
  readonly name: string
}

/**
 * The authority that everything outbound asks for: who acts, and for whom. Made by a `WorkloadIdentity` only; it says
 * nothing that a model could have said.
 */
export interface Acting {
  readonly workload: WorkloadRef
  /** For whom; absent when the agent acts for itself, or for a caller that has no user. */
  readonly user?: UserRef
  /** `verified`: by a token that a verifier accepted. `asserted`: the application said so. */
  readonly userKnown?: 'verified' | 'asserted'
  /** Who stands between the user and us (RFC 8693 `act`). */
  readonly actor?: Actor
  /**
   * A signed token that says "this agent, for this user", good for 15 minutes. For services that trust the agent's
   * issuer; never for a third party's API.
   *
   * @throws {@link ConfigurationError} The `WorkloadIdentity` has no `issuer`.
   */
  workloadAccessToken(request: { readonly audience: string }): Promise<AccessToken>
}

const brand = Symbol.for('deputize.acting')
const returnUrls = Symbol.for('deputize.acting.returnUrls')
const self = Symbol.for('deputize.acting.self')

interface ActingFacts {
  readonly workload: WorkloadRef
  /** Whether the agent acts in its own name, and not for a caller that has no user. */
  readonly self: boolean
  readonly user?: UserRef | undefined
  readonly userKnown?: 'verified' | 'asserted' | undefined
  readonly actor?: Actor | undefined
  readonly allowedReturnUrls: readonly string[]
  readonly mint: (acting: Acting, audience: string) => Promise<AccessToken>
}

class ActingAuthority {
  readonly #facts: ActingFacts
  #key: string | undefined

  constructor(facts: ActingFacts) {
    this.#facts = facts
    const { workload, user, userKnown, actor } = facts
    Object.assign(this, {
      workload: Object.freeze({ ...workload }),
      ...(user ? { user: Object.freeze({ issuer: user.issuer, subject: user.subject }) } : {}),
      ...(userKnown ? { userKnown } : {}),
      ...(actor ? { actor } : {}),
    })
    Object.freeze(this)
  }

  /** The key of an Acting of this copy of the library; made once, since it is asked for at every call. */
  static keyOf(value: object): string | undefined {
    if (!(#facts in value)) return undefined
    value.#key ??= cacheKey(value as unknown as Acting, value.#facts.self)
    return value.#key
  }

  get [brand](): true {
    void this.#facts // an object that merely inherits from the prototype has no such field: it throws here
    return true
  }

  get [returnUrls](): readonly string[] {
    return this.#facts.allowedReturnUrls
  }

  get [self](): boolean {
    return this.#facts.self
  }

  async workloadAccessToken(request: { readonly audience: string }): Promise<AccessToken> {
    const takes = '{ audience }, the service that is to accept the token'
    checkOptionNames(request, 'workloadAccessToken()', { audience: true }, takes)
    return this.#facts.mint(this as unknown as Acting, request.audience)
  }
}

/** Makes an {@link Acting}. Only a `WorkloadIdentity` calls this. */
export function makeActing(facts: ActingFacts): Acting {
  return new ActingAuthority(facts) as unknown as Acting
}

/** Whether `value` was made by a `WorkloadIdentity`: no literal, no spread copy and no parsed JSON passes. */
export function isActing(value: unknown): value is Acting {
  if (typeof value !== 'object' || value === null || Object.hasOwn(value, brand)) return false
  try {
    return (value as { [brand]?: unknown })[brand] === true
  } catch {
    return false
  }
}

/**
 * Who acts for whom, as one string: JSON of an array of strings and nulls is as injective as a length-prefixed tuple.
 */
export function ownerKey({
  workload,
  user,
}: {
  readonly workload: WorkloadRef
  readonly user?: UserRef | undefined
}): string {
  const { issuer = null, name } = workload
  return JSON.stringify([issuer, name, user?.issuer ?? null, user?.subject ?? null])
}

/**
 * What tokens in memory are kept under: the {@link ownerKey} of an Acting, or a key of its own for a caller without a
 * user, who is not given what the agent got in its own name. `undefined` for what no `WorkloadIdentity` made.
 */
export function actingKey(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return (
    ActingAuthority.keyOf(value) ??
    (isActing(value) ? cacheKey(value, actsAsSelf(value)) : undefined)
  )
}

function cacheKey(acting: Acting, isSelf: boolean): string {
  return acting.user || isSelf ? ownerKey(acting) : `caller ${ownerKey(acting)}`
}

/** Whether the agent acts in its own name: `actAsSelf()`, and not `actFor()` a caller that has no user. */
export function actsAsSelf(acting: Acting): boolean {
  return (acting as { [self]?: boolean })[self] === true
}

/** Where the workload may send a user after a consent. */
export function allowedReturnUrls(acting: Acting): readonly string[] {
  return (acting as { [returnUrls]?: readonly string[] })[returnUrls] ?? []
}

/** The part of an audit event that says who acts. */
export function auditActing(
  acting: Pick<Acting, 'workload' | 'user' | 'userKnown' | 'actor'>,
): AuditActing {
  const { workload, user, userKnown, actor } = acting
  return {
    workload: workload.name,
    ...(workload.issuer === undefined ? {} : { workloadIssuer: workload.issuer }),
    ...(user ? { user } : {}),
    ...(userKnown ? { userKnown } : {}),
    ...(actor ? { actor } : {}),
  }
}
