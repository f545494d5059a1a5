import { NoActingContextError } from '../errors/workload.js'
import { abandon } from '../maybe-promise.js'
import { type Acting, isActing } from '../workload/acting.js'
import type { CredentialSource } from './credential-source.js'
import { currentScope, type Scope } from './run-context.js'

/** Who acts and where credentials come from, for code that has no scope; each as a value or a function of the call. */
export interface CallerOptions {
  /** Default: that of the scope. */
  readonly acting?: Acting | ((...args: never[]) => Acting) | undefined
  /** Default: that of the scope. */
  readonly credentials?: CredentialSource | ((...args: never[]) => CredentialSource) | undefined
}

/**
 * The scope that a call runs in: the options, else the scope around the caller. Never a default user.
 *
 * @throws {@link NoActingContextError} Neither says who acts, or neither says where credentials come from.
 * @throws `TypeError` The option `acting` gave something that no `WorkloadIdentity` made.
 */
export function callerScope(options: CallerOptions, what: string, args: readonly unknown[]): Scope {
  const outer = currentScope()
  const acting = options.acting === undefined ? outer?.acting : read(options.acting, args)
  const credentials =
    options.credentials === undefined ? outer?.credentials : read(options.credentials, args)
  if (!acting || !credentials) throw new NoActingContextError(what)
  if (!isActing(acting)) {
    throw new TypeError(
      `${what}: acting must come from a WorkloadIdentity, such as agent.actFor(principal).`,
    )
  }
  if (typeof credentials.getToken !== 'function') {
    throw new TypeError(`${what}: credentials must be an OutboundCredentialProvider.`)
  }
  if (acting === outer?.acting && credentials === outer.credentials) return outer
  return { acting, credentials }
}

function read<T extends object>(
  option: T | ((...args: never[]) => T),
  args: readonly unknown[],
): T {
  if (typeof option !== 'function') return option
  const value = (option as (...args: readonly unknown[]) => T)(...args)
  abandon(value) // an async function: what it gives is refused
  return value
}
