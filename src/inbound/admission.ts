import { type InboundAuthError, isRefusal } from '../errors/inbound.js'
import { checkFunction, checkOptionNames, kindOf } from '../option-names.js'
import { isPrincipal, type Principal } from '../principal.js'
import type { RawRequest } from './authenticator.js'
import { checkAnswer } from './guards.js'
import { behindPrefix, checkPathPrefix } from './path-prefix.js'

/** What an adapter needs of an `InboundVerifier`. */
export interface CallerVerifier {
  authenticate(request: Request | RawRequest): Promise<Principal | Response>
  challenge(error: InboundAuthError, request?: Request | RawRequest, caller?: Principal): Response
}

/** How `authenticate()` of an adapter lets callers in. `R` is the framework's request. */
export interface AuthenticateOptions<R> {
  /**
   * What this route asks of its callers, such as `requireScopes('calendar:write')`, or a function that chooses by the
   * request. It returns nothing, or a promise of nothing; an `InboundAuthError` that it throws, or rejects with, is
   * answered with its challenge. Any other answer is a `TypeError`, and the handler does not run.
   */
  readonly guard?: ((caller: Principal, request: R) => void | Promise<void>) | undefined
  /**
   * What a proxy in front cuts off the path, such as `/api`: signatures and DPoP proofs are about the path that the
   * caller sent. Default: nothing.
   */
  readonly pathPrefix?: string | undefined
}

/** {@link AuthenticateOptions}, checked. */
export interface Admission<R> {
  readonly guard: AuthenticateOptions<R>['guard']
  readonly pathPrefix: string
}

/**
 * Checks what `authenticate()` of an adapter was given: without it, the first caller would meet the mistake.
 *
 * @throws `TypeError`
 */
export function checkAdmission<R>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<R>,
): Admission<R> {
  const takes = 'an InboundVerifier, and then an object of options'
  if (typeof (verifier as CallerVerifier | null)?.authenticate !== 'function') {
    throw new TypeError(`authenticate() takes ${takes}; got ${kindOf(verifier)}.`)
  }
  if (typeof options === 'function') {
    throw new TypeError(
      "authenticate() takes a guard as an option. Write: authenticate(verifier, { guard: requireScopes('calendar:write') }).",
    )
  }
  checkOptionNames(options, 'authenticate()', { guard: true, pathPrefix: true }, takes)
  const { guard } = options
  checkFunction(guard, 'guard')
  return { guard, pathPrefix: checkPathPrefix(options.pathPrefix) }
}

/** The caller, or the response that refuses it. What is no refusal is thrown. */
export async function admit<R>(
  verifier: CallerVerifier,
  raw: Request | RawRequest,
  request: R,
  { guard, pathPrefix }: Admission<R>,
): Promise<Principal | Response> {
  const caller = await verifier.authenticate(behindPrefix(raw, pathPrefix))
  if (!isPrincipal(caller) || !guard) return caller
  try {
    await checkAnswer(guard(caller, request))
    return caller
  } catch (error) {
    if (isRefusal(error)) return verifier.challenge(error, raw, caller)
    throw error
  }
}
