import { ConfigurationError } from '../errors/outbound.js'
import { isPrincipal, type Principal } from '../principal.js'

const callerKey = Symbol.for('deputize.caller')

/** Keeps the caller on the request, where {@link callerOf} finds it. It is neither enumerated nor printed with it. */
export function keepCaller(request: object, caller: Principal): void {
  if (!isPrincipal(caller)) throw new TypeError('caller must be a Principal of an InboundVerifier.')
  Object.defineProperty(request, callerKey, { value: caller, configurable: true })
}

/**
 * Who called, as `authenticate()` found out.
 *
 * @throws {@link ConfigurationError} `authenticate()` did not let this request in.
 */
export function callerOf(request: object): Principal {
  const caller: unknown = (request as { [callerKey]?: unknown } | undefined)?.[callerKey]
  if (isPrincipal(caller)) return caller
  throw new ConfigurationError(
    'Nobody authenticated this request: put authenticate(verifier) in front of the handler that calls callerOf().',
  )
}
