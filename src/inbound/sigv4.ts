import type { Clock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isPromise } from '../maybe-promise.js'
import { type IamIdentity, makePrincipal, type Principal } from '../principal.js'
import { Secret } from '../secret.js'
import { findSignature, type PresentedSignature } from '../sigv4/authorization.js'
import { after, type Digest, platformDigest, type SigningKey, type Soon } from '../sigv4/digest.js'
import { TextComparison } from '../sigv4/same-text.js'
import type { Scope } from '../sigv4/scope.js'
import { MAX_SIGNING_KEYS, SigningKeys } from '../sigv4/signing-key.js'
import { checkCoverage, checkSignature, type SignedRequest } from '../sigv4/verify.js'
import { assertedUser } from './asserted-user.js'
import type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  Recognition,
} from './authenticator.js'
import { claimOnce, memoryReplayGuard, type ReplayGuard } from './replay-guard.js'
import { refuseAmbiguousPath } from './signed-path.js'
import {
  checkSigV4Options,
  type SigV4Caller,
  type SigV4Key,
  type SigV4Options,
  type SigV4Rules,
} from './sigv4-options.js'
import { makeMemory, readRequest, requireUntouched } from './sigv4-request.js'

/**
 * Accepts requests that are signed with AWS Signature Version 4, in the header or as a presigned URL, by keys that this
 * service knows
 * ([IAM user guide](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)).
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function sigv4(options: SigV4Options): Authenticator {
  const rules = checkSigV4Options(options)
  const issuer = `urn:deputize:sigv4:${rules.region}:${rules.service}`
  const judge = new Judge(rules, issuer)
  const memory = makeMemory()
  return Object.freeze({
    name: 'sigv4' as const,
    issuers: Object.freeze([issuer]),
    userIdHeader: rules.user.header,
    recognise(request): Recognition {
      const form = findSignature(request.headers, request.target, memory.targets)
      if (form === undefined) return { kind: 'absent' }
      try {
        const signed = readRequest(request, form, memory)
        const { region, service, accessKeyId } = signed.presented.scope
        if (region !== rules.region || service !== rules.service) {
          return foreign('ERR_SCOPE_MISMATCH', 'it is signed for another region or service')
        }
        if (!rules.accessKeyId.test(accessKeyId)) {
          return foreign('ERR_MALFORMED_SIGNATURE', 'the access key id does not look like one')
        }
        return {
          kind: 'mine',
          issuer,
          authenticate: (context) => judge.authenticate(request, signed, context),
        }
      } catch (error) {
        if (error instanceof InboundAuthError) return { kind: 'refused', error }
        throw error
      }
    },
  } satisfies Authenticator)
}

/** Judges signatures for one region and service. */
class Judge {
  readonly #rules: SigV4Rules
  readonly #issuer: string
  readonly #digest: Digest = platformDigest()
  readonly #sessionTokens = new TextComparison()
  readonly #keys: SigningKeys
  readonly #principals = new Map<string, KeptPrincipal>()
  #ownGuard: ReplayGuard | undefined

  constructor(rules: SigV4Rules, issuer: string) {
    this.#rules = rules
    this.#issuer = issuer
    this.#keys = new SigningKeys(this.#digest, rules.region, rules.service)
  }

  /** Answers at once where `credentials` and the guard do. */
  authenticate(
    request: InboundRequest,
    signed: SignedRequest,
    { clock }: AuthenticatorContext,
  ): Soon<Principal> {
    const { pathStyle } = this.#rules
    refuseAmbiguousPath(signed.target.path, pathStyle === 'normal' ? 'merged' : 'kept')
    if (!request.raw) requireUntouched(request, signed, this.#rules)
    checkCoverage(signed, this.#rules, clock())
    const found = this.#lookUp(signed.presented.scope.accessKeyId)
    return isPromise(found)
      ? found.then((found) => this.#decide(signed, found, clock))
      : this.#decide(signed, found, clock)
  }

  #decide(signed: SignedRequest, found: SigV4Key | undefined, clock: Clock): Soon<Principal> {
    return after(this.#judge(signed, found), (signature) => {
      const claimed = this.#claim(signed.presented, signature, clock)
      return isPromise(claimed)
        ? claimed.then(() => this.#principal(signed, found?.principal))
        : this.#principal(signed, found?.principal)
    })
  }

  #judge(signed: SignedRequest, found: SigV4Key | undefined): Soon<string> {
    const { scope, sessionToken } = signed.presented
    const { accessKeyId, date } = scope
    const known = found !== undefined && this.#sameToken(found.sessionToken, sessionToken)
    const check = (key: SigningKey) => checkSignature(signed, this.#rules, this.#digest, key, known)
    if (!found) return after(this.#keys.derive(DECOY_SECRET, date), check)
    const secret = reveal(found.secretAccessKey)
    const kept = this.#keys.kept(accessKeyId, secret, date)
    if (!kept) return after(this.#keys.make(accessKeyId, secret, date), check)
    return this.#likeAnUnknownKey(date, () => check(kept))
  }

  /**
   * A refusal takes as long with a key that was derived before as with one that is derived for this request: the time
   * tells nobody which access keys there are, or which were used today.
   */
  #likeAnUnknownKey(date: string, check: () => Soon<string>): Soon<string> {
    const refuse = (error: unknown): Soon<never> =>
      after(this.#keys.derive(DECOY_SECRET, date), () => {
        throw error
      })
    try {
      const signature = check()
      return isPromise(signature) ? signature.catch(refuse) : signature
    } catch (error) {
      return refuse(error)
    }
  }

  #sameToken(expected: string | Secret | undefined, presented: string | undefined): boolean {
    if (expected === undefined || presented === undefined) return expected === presented
    return this.#sessionTokens.same(reveal(expected), presented)
  }

  #claim(presented: PresentedSignature, signature: string, clock: Clock): Soon<void> {
    const { replay, clockSkewMs } = this.#rules
    if (replay === null) return
    const { scope, signedAtMs, lifetimeMs } = presented
    const untilMs = signedAtMs + (lifetimeMs ?? clockSkewMs) + GUARD_MARGIN_MS
    if (replay === undefined) {
      this.#ownGuard ??= memoryReplayGuard({ clock })
      // Nothing else is claimed of this guard, and no two keys make one signature: it will do as it is.
      return claimOnce(this.#ownGuard, signature, untilMs, scope.accessKeyId)
    }
    // The signature is a function of all that is signed: another spelling of the same request has the same one.
    const id = `sigv4\n${scope.accessKeyId}\n${scope.date}/${scope.region}/${scope.service}\n${signature}`
    return after(this.#digest.sha256(id), (hash) =>
      claimOnce(replay, hash, untilMs, scope.accessKeyId),
    )
  }

  #lookUp(accessKeyId: string): Soon<SigV4Key | undefined> {
    try {
      const found = this.#rules.credentials(accessKeyId)
      if (typeof (found as PromiseLike<unknown> | undefined)?.then !== 'function') {
        return checkKey(found as SigV4Key | undefined)
      }
      return Promise.resolve(found).then(checkKey, (cause: unknown) => {
        throw unavailable('credentials() failed', cause)
      })
    } catch (cause) {
      if (cause instanceof InboundAuthError) throw cause
      throw unavailable('credentials() failed', cause)
    }
  }

  #principal(signed: SignedRequest, caller: SigV4Caller | undefined): Soon<Principal> {
    const { scope, signedAtMs, lifetimeMs } = signed.presented
    const userId = signed.fields.get(this.#rules.user.header)
    if (userId === undefined && lifetimeMs === undefined) return this.#plain(scope, caller)
    const facts = {
      ...this.#facts(scope, caller),
      ...(lifetimeMs === undefined ? {} : { expiresAtMs: signedAtMs + lifetimeMs }),
    }
    if (userId === undefined) return makePrincipal(facts)
    return assertedUser(this.#rules.user, makePrincipal(facts), userId).then((user) =>
      makePrincipal(user ? { ...facts, user, userKnown: 'asserted' } : facts),
    )
  }

  /** A caller without a user is the same principal in every request, and a principal is frozen: one will do. */
  #plain(scope: Scope, caller: SigV4Caller | undefined): Principal {
    const kept = this.#principals.get(scope.accessKeyId)
    if (kept && kept.arn === caller?.arn && kept.userId === caller?.userId) return kept.principal
    const principal = makePrincipal(this.#facts(scope, caller))
    if (this.#principals.size >= MAX_SIGNING_KEYS) this.#principals.clear()
    this.#principals.set(scope.accessKeyId, { arn: caller?.arn, userId: caller?.userId, principal })
    return principal
  }

  #facts({ accessKeyId, region, service }: Scope, caller: SigV4Caller | undefined): Principal {
    const iam = caller && iamIdentity(caller, accessKeyId)
    return {
      method: 'sigv4',
      issuer: iam ? accountArn(iam.arn) : this.#issuer,
      subject: iam ? iam.principalArn : accessKeyId,
      scopes: [],
      audience: [service],
      claims: Object.freeze({ __proto__: null, accessKeyId, region, service }),
      ...(iam ? { iam } : {}),
    }
  }
}

interface KeptPrincipal {
  readonly arn: string | undefined
  readonly userId: string | undefined
  readonly principal: Principal
}

/** Judges the signatures of access keys that nobody has. What it signs is refused as well. */
const DECOY_SECRET = 'no key has this secret, and none is let in by it'
/** How much longer a used signature is remembered than it serves, for clocks of stores that run ahead. */
const GUARD_MARGIN_MS = 60_000

const CALLER_ARN = /^arn:aws[a-z-]*:(?:iam|sts)::\d{12}:[\x21-\x7e]{1,1024}$/

/** What `credentials` gave, if it can be used. `null` is taken for nothing. */
function checkKey(found: SigV4Key | undefined): SigV4Key | undefined {
  if (found === undefined || found === null) return undefined
  const { secretAccessKey, sessionToken, principal } = found
  if (!isSecret(secretAccessKey)) throw unavailable('credentials() gave no secretAccessKey')
  if (sessionToken !== undefined && !isSecret(sessionToken)) {
    throw unavailable('credentials() gave a sessionToken that is none')
  }
  if (principal !== undefined && !CALLER_ARN.test(principal?.arn)) {
    throw unavailable('credentials() gave a principal without the ARN of a caller')
  }
  return found
}

function iamIdentity(caller: SigV4Caller, accessKeyId: string): IamIdentity {
  const [, partition, , , accountId = '', resource = ''] = caller.arn.split(':')
  // A session's name is chosen by whoever assumes the role: permissions are the role's.
  const role = /^assumed-role\/([^/]+)\/[^/]+$/.exec(resource)?.[1]
  return {
    accountId,
    arn: caller.arn,
    principalArn: role ? `arn:${partition}:iam::${accountId}:role/${role}` : caller.arn,
    userId: caller.userId ?? accessKeyId,
  }
}

function accountArn(arn: string): string {
  const [, partition, , , accountId] = arn.split(':')
  return `arn:${partition}:iam::${accountId}:root`
}

function isSecret(value: unknown): boolean {
  return value instanceof Secret || (typeof value === 'string' && value !== '')
}

function reveal(value: string | Secret): string {
  return typeof value === 'string' ? value : value.reveal()
}

function unavailable(reason: string, cause?: unknown): InboundAuthError {
  return new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason, cause })
}

function foreign(
  code: 'ERR_SCOPE_MISMATCH' | 'ERR_MALFORMED_SIGNATURE',
  reason: string,
): Recognition {
  return { kind: 'foreign', error: new InboundAuthError(code, { reason }) }
}
