import type { AwsCredentials } from '../aws/aws-credentials.js'
import { type CallerOptions, callerScope } from '../context/caller.js'
import type { AwsCredentialsRequest } from '../context/credential-source.js'
import { runInScope } from '../context/run-context.js'
import { checkWrappable, dress, isDecoratorContext } from './wrap.js'

/** Which AWS credentials a function requires, and for whom. */
export interface RequireAwsCredentialsOptions extends CallerOptions, AwsCredentialsRequest {}

/** What `requireAwsCredentials(options)` returns: a wrapper for functions. */
export type RequireAwsCredentials = <This, A extends unknown[], R>(
  fn: (this: This, credentials: AwsCredentials, ...args: A) => R,
) => (this: This, ...args: A) => Promise<Awaited<R>>

/**
 * Wraps `fn` so that it gets AWS credentials as its first parameter, in the form that SDK clients take. Otherwise like
 * `requireToken()`; it does not decorate methods, which would have no way to the credentials.
 *
 * @throws `TypeError` An option is wrong, or `fn` is a generator or requires these credentials already.
 */
export function requireAwsCredentials<This, A extends unknown[], R>(
  options: RequireAwsCredentialsOptions,
  fn: (this: This, credentials: AwsCredentials, ...args: A) => R,
): (this: This, ...args: A) => Promise<Awaited<R>>
export function requireAwsCredentials(options: RequireAwsCredentialsOptions): RequireAwsCredentials
export function requireAwsCredentials(
  options: RequireAwsCredentialsOptions,
  ...rest: [fn?: unknown]
): unknown {
  const { provider, policy } = options
  if (typeof provider !== 'string' || provider === '') {
    throw new TypeError(
      'requireAwsCredentials() needs the option provider: a name of the option providers.',
    )
  }
  const what = `requireAwsCredentials({ provider: ${JSON.stringify(provider)} })`
  const credential = `aws ${provider}`
  const wrap = (fn: unknown) => {
    checkWrappable(fn, credential, what)
    return dress(
      async function (this: unknown, ...args: unknown[]) {
        const scope = callerScope(options, what, args)
        const given = await scope.credentials.getAwsCredentials(scope.acting, { provider, policy })
        return runInScope(scope, () => Reflect.apply(fn, this, [given, ...args]))
      },
      fn,
      credential,
      1,
    )
  }
  if (rest.length > 0) return wrap(rest[0])
  return (fn: unknown, context?: unknown) => {
    if (isDecoratorContext(context)) {
      throw new TypeError(
        'requireAwsCredentials() does not decorate methods: wrap the function that makes the call, or use authenticatedFetch().',
      )
    }
    return wrap(fn)
  }
}
