import type { AwsCredentials } from '../aws/aws-credentials.js'
import type { CallerOptions } from '../context/caller.js'
import type { AwsCredentialsRequest } from '../context/credential-source.js'
import type { Scope } from '../context/run-context.js'
import { checkOptionNames } from '../option-names.js'
import { wrapFunction } from './wrap-function.js'

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
  checkOptionNames(options, 'requireAwsCredentials()', {
    provider: true,
    policy: true,
    acting: true,
    credentials: true,
  })
  const { provider, policy } = options
  const get = ({ credentials, acting }: Scope) =>
    credentials.getAwsCredentials(acting, { provider, policy })
  return wrapFunction({ name: 'requireAwsCredentials', provider, kind: 'aws', options, get }, rest)
}
