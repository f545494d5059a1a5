import { type CallerOptions, callerScope } from '../context/caller.js'
import { runKept } from '../context/keep-in-scope.js'
import type { Scope } from '../context/run-context.js'
import { checkWrappable, decoratorContext, dress } from './wrap.js'

/** A credential that functions take as their first parameter, and that no decorated method could get at. */
export interface FirstParameter {
  /** The public function, for messages. */
  readonly name: string
  readonly provider: unknown
  /** What kind of credential, so that a function is not wrapped twice for the same. */
  readonly kind: string
  readonly options: CallerOptions
  readonly get: (scope: Scope) => Promise<unknown>
}

/**
 * Both forms of such a function: with the function to wrap, or a wrapper to apply later.
 *
 * @throws `TypeError` `provider` is no name, or the function cannot be wrapped.
 */
export function wrapFunction(first: FirstParameter, rest: readonly unknown[]): unknown {
  const { name, provider, kind, options, get } = first
  if (typeof provider !== 'string' || provider === '') {
    throw new TypeError(`${name}() needs the option provider: a name of the option providers.`)
  }
  const what = `${name}({ provider: ${JSON.stringify(provider)} })`
  const credential = `${kind} ${provider}`
  const wrap = (fn: unknown) => {
    checkWrappable(fn, credential, what)
    return dress(
      async function (this: unknown, ...args: unknown[]) {
        const scope = callerScope(options, what, args)
        const value = await get(scope)
        return runKept(scope, async () => Reflect.apply(fn, this, [value, ...args]))
      },
      fn,
      credential,
      1,
    )
  }
  if (rest.length > 0) return wrap(rest[0])
  return (fn: unknown, second?: unknown) => {
    if (!decoratorContext(second)) return wrap(fn)
    throw new TypeError(
      `${name}() does not decorate methods: wrap the function that makes the call, or use authenticatedFetch().`,
    )
  }
}
