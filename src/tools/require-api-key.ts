import type { CallerOptions } from '../context/caller.js'
import type { Scope } from '../context/run-context.js'
import { checkOptionNames } from '../option-names.js'
import type { Secret } from '../secret.js'
import { wrapFunction } from './wrap-function.js'

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
  checkOptionNames(options, 'requireApiKey()', { provider: true, acting: true, credentials: true })
  const { provider } = options
  const get = ({ credentials, acting }: Scope) => credentials.getApiKey(acting, { provider })
  return wrapFunction({ name: 'requireApiKey', provider, kind: 'key', options, get }, rest)
}
