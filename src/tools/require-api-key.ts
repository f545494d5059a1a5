import { type CallerOptions, callerScope } from '../context/caller.js'
import { runInScope } from '../context/run-context.js'
import type { Secret } from '../secret.js'
import { checkWrappable, decoratorContext, dress } from './wrap.js'

/** Which API key a function requires, and for whom. */
export interface RequireApiKeyOptions extends CallerOptions {
  /** A name of the option `providers`, made by `apiKey()`. */
  readonly provider: string
}

/** What `requireApiKey(options)` returns: a wrapper for functions. */
export type RequireApiKey = <This, A extends unknown[], R>(
  fn: (this: This, key: Secret, ...args: A) => R,
) => (this: This, ...args: A) => Promise<Awaited<R>>

/**
 * Wraps `fn` so that it gets an API key as its first parameter, as a {@link Secret}. Otherwise like `requireToken()`; it
 * does not decorate methods, which would have no way to the key.
 *
 * @throws `TypeError` An option is wrong, or `fn` is a generator or requires this key already.
 */
export function requireApiKey<This, A extends unknown[], R>(
  options: RequireApiKeyOptions,
  fn: (this: This, key: Secret, ...args: A) => R,
): (this: This, ...args: A) => Promise<Awaited<R>>
export function requireApiKey(options: RequireApiKeyOptions): RequireApiKey
export function requireApiKey(options: RequireApiKeyOptions, ...rest: [fn?: unknown]): unknown {
  const { provider } = options
  if (typeof provider !== 'string' || provider === '') {
    throw new TypeError(
      'requireApiKey() needs the option provider: a name of the option providers.',
    )
  }
  const what = `requireApiKey({ provider: ${JSON.stringify(provider)} })`
  const credential = `key ${provider}`
  const wrap = (fn: unknown) => {
    checkWrappable(fn, credential, what)
    return dress(
      async function (this: unknown, ...args: unknown[]) {
        const scope = callerScope(options, what, args)
        const key = await scope.credentials.getApiKey(scope.acting, { provider })
        return runInScope(scope, () => Reflect.apply(fn, this, [key, ...args]))
      },
      fn,
      credential,
      1,
    )
  }
  if (rest.length > 0) return wrap(rest[0])
  return (fn: unknown, second?: unknown) => {
    if (decoratorContext(second)) {
      throw new TypeError(
        'requireApiKey() does not decorate methods: wrap the function that makes the call, or use authenticatedFetch().',
      )
    }
    return wrap(fn)
  }
}
