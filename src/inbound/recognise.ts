import { InboundAuthError } from '../errors/inbound.js'
import { isPromise } from '../maybe-promise.js'
import { kindOf } from '../option-names.js'
import { isPrincipal, type Principal } from '../principal.js'
import type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  Recognition,
} from './authenticator.js'
import type { Verdict } from './token-authenticator.js'
import type { TokenMemory } from './token-memory.js'

/** One of a verifier's authenticators, and what the verifier remembers of its decisions, where that may be. */
export interface Listed {
  readonly authenticator: Authenticator
  readonly memory: TokenMemory | undefined
}

/** A credential that one authenticator recognised. */
export interface Recognised {
  readonly name: Principal['method']
  /** The configured issuer that it names. */
  readonly issuer: string | undefined
  /** @throws {@link InboundAuthError} */
  readonly judge: () => Verdict | Promise<Verdict>
  /** Where the verdict may be remembered. */
  readonly memory: TokenMemory | undefined
}

/**
 * The one credential that a request carries.
 *
 * @throws {@link InboundAuthError} It carries none, one for nobody here, or more than one.
 */
export function recognise(
  all: readonly Listed[],
  request: InboundRequest,
  context: AuthenticatorContext,
): Recognised {
  let only: Recognised | undefined
  let another = false
  let foreign: InboundAuthError | undefined
  for (const { authenticator, memory } of all) {
    const known = recall(memory, request, context)
    const seen = known ?? authenticator.recognise(request)
    if (seen.kind === 'refused') throw seen.error
    if (seen.kind === 'foreign') foreign ??= seen.error
    if (seen.kind !== 'mine') continue
    another ||= only !== undefined
    only = {
      name: authenticator.name,
      issuer: seen.issuer,
      judge: () => judge(seen, known ? undefined : memory, request, context),
      memory,
    }
  }
  void request.bearerToken // one that is malformed is refused, whoever recognised what beside it
  if (another) {
    throw new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', {
      reason: 'the request carries credentials for more than one authenticator',
    })
  }
  if (only) return only
  throw (
    foreign ??
    new InboundAuthError('ERR_NO_CREDENTIALS', {
      reason: 'no configured authenticator recognises a credential in the request',
    })
  )
}

type Mine = Extract<Recognition, { kind: 'mine' }>

/** What an authenticator would say of a bearer token that was let in before, if that still holds. */
function recall(
  memory: TokenMemory | undefined,
  { authorization }: InboundRequest,
  { clock }: AuthenticatorContext,
): Mine | undefined {
  if (!memory || authorization?.scheme !== 'bearer') return undefined
  const principal = memory.recall(authorization.credentials, clock)
  return principal && { kind: 'mine', issuer: principal.issuer, authenticate: () => principal }
}

function judge(
  seen: Mine,
  memory: TokenMemory | undefined,
  request: InboundRequest,
  context: AuthenticatorContext,
): Verdict | Promise<Verdict> {
  if (memory) return memory.judge(request, seen.issuer as string, context)
  const judged = seen.authenticate(context)
  return isPromise(judged) ? Promise.resolve(judged).then(verdictOf) : verdictOf(judged)
}

/** @throws `TypeError` The authenticator, or what was wrapped around it, answered with no Principal. */
function verdictOf(principal: unknown): Verdict {
  if (isPrincipal(principal)) return { principal }
  throw new TypeError(
    `An authenticator answers with the Principal that a function of deputize/inbound made, not with a copy; got ${kindOf(principal)}.`,
  )
}
