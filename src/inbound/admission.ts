import { isDeputizeError } from '../errors/base.js'
import type { InboundAuthError } from '../errors/inbound.js'
import { checkFunction, checkOptionNames, kindOf } from '../option-names.js'
import { isPrincipal, type Principal } from '../principal.js'
import type { RawRequest } from './authenticator.js'

/** What an adapter needs of an `InboundVerifier`. */
export interface CallerVerifier {
  authenticate(request: Request | RawRequest): Promise<Principal | Response>
  challenge(error: InboundAuthError, request?: Request | RawRequest, caller?: Principal): Response
}

/** How `authenticate()` of an adapter lets callers in. `R` is the framework's request. */
export interface AuthenticateOptions<R> {
  /**
   * What this route asks of its callers, such as `requireScopes('calendar:write')`, or a function that chooses by the
   * request. An `InboundAuthError` that it throws is answered with its challenge.
   */
  readonly guard?: ((caller: Principal, request: R) => void | Promise<void>) | undefined
}

/** Checks what `authenticate()` of an adapter was given: without it, the first caller would meet the mistake. @throws `TypeError` */
export function checkAdmission<R>(verifier: CallerVerifier, options: AuthenticateOptions<R>): void {
  if (typeof (verifier as CallerVerifier | null)?.authenticate !== 'function') {
    throw new TypeError(
      `authenticate() takes an InboundVerifier, and then an object of options; got ${kindOf(verifier)}.`,
    )
  }
  checkOptionNames(
    options,
    'authenticate()',
    { guard: true },
    'an InboundVerifier, and then an object of options',
  )
  checkFunction(options.guard, 'guard')
}

/** The caller, or the response that refuses it. What is no refusal is thrown. */
export async function admit<R>(
  verifier: CallerVerifier,
  raw: Request | RawRequest,
  request: R,
  { guard }: AuthenticateOptions<R>,
): Promise<Principal | Response> {
  const caller = await verifier.authenticate(raw)
  if (!isPrincipal(caller) || !guard) return caller
  try {
    await guard(caller, request)
    return caller
  } catch (error) {
    if (isRefusal(error)) return verifier.challenge(error, raw, caller)
    throw error
  }
}

/** Also one of another copy of this library. */
function isRefusal(error: unknown): error is InboundAuthError {
  return isDeputizeError(error) && error.name === 'InboundAuthError'
}
