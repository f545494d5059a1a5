import type { AccessToken } from '../access-token.js'
import { type CallerOptions, callerScope } from '../context/caller.js'
import type { TokenRequest as CoreTokenRequest } from '../context/credential-source.js'
import { runKept } from '../context/keep-in-scope.js'
import { withToken } from '../context/run-context.js'
import { abandon } from '../maybe-promise.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import { checkScopes } from '../providers/options.js'
import { checkMethod, checkWrappable, decoratorContext, dress } from './wrap.js'

/** Which token a function requires, and for whom. */
export interface RequireTokenOptions
  extends CallerOptions,
    Omit<CoreTokenRequest, 'account' | 'rejected'> {
  /** Which of the user's accounts; a function gets the call's arguments. Default: the only one. */
  readonly account?: string | ((...args: never[]) => string | undefined) | undefined
}

const known: KnownOptions<RequireTokenOptions> = {
  provider: true,
  scopes: true,
  flow: true,
  resource: true,
  account: true,
  onAuthorizationRequired: true,
  returnUrl: true,
  signal: true,
  acting: true,
  credentials: true,
}

// biome-ignore lint/suspicious/noExplicitAny: a method of any shape; a narrower type loses generic methods
type AsyncMethod = (this: any, ...args: any[]) => Promise<unknown>

/** What `requireToken(options)` returns: a decorator for methods, and a wrapper for functions. */
export interface RequireToken {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  <M extends AsyncMethod>(method: M, context: ClassMethodDecoratorContext<any, M>): M
  <This, A extends unknown[], R>(
    fn: (this: This, token: AccessToken, ...args: A) => R,
  ): (this: This, ...args: A) => Promise<Awaited<R>>
}

/**
 * Wraps `fn` so that it gets a token as its first parameter, fetched, renewed and checked before it runs. Callers, a
 * model among them, see a function without that parameter; `name` and `this` stay, `length` is that of the parameters
 * left.
 *
 * With the options alone: a wrapper for functions, and a decorator for async methods. A decorated method keeps its
 * parameters and reads the token with `accessToken(provider)`.
 *
 * The returned function rejects with {@link NoActingContextError} outside `runAs()` when the options do not say who acts,
 * with {@link AuthorizationRequiredError} when the user has to consent, and with what `getToken()` rejects with. `fn` has
 * not run then.
 *
 * @throws `TypeError` An option is wrong, or `fn` is a generator or requires this provider's token already.
 */
export function requireToken<This, A extends unknown[], R>(
  options: RequireTokenOptions,
  fn: (this: This, token: AccessToken, ...args: A) => R,
): (this: This, ...args: A) => Promise<Awaited<R>>
export function requireToken(options: RequireTokenOptions): RequireToken
export function requireToken(options: RequireTokenOptions, ...rest: [fn?: unknown]): unknown {
  checkOptionNames(options, 'requireToken()', known)
  const { provider, scopes = [] } = options
  if (typeof provider !== 'string' || provider === '') {
    throw new TypeError('requireToken() needs the option provider: a name of the option providers.')
  }
  checkScopes(scopes, 'scopes')
  const what = `requireToken({ provider: ${JSON.stringify(provider)} })`
  const credential = `token ${provider}`

  const wrap = (fn: unknown) => {
    checkWrappable(fn, credential, what)
    return dress(
      async function (this: unknown, ...args: unknown[]) {
        const { scope, token } = await acquire(options, what, args)
        return runKept(withToken(scope, token), async () =>
          Reflect.apply(fn, this, [token, ...args]),
        )
      },
      fn,
      credential,
      1,
    )
  }
  if (rest.length > 0) return wrap(rest[0])
  return (fn: unknown, second?: unknown) => {
    const context = decoratorContext(second)
    if (!context) return wrap(fn)
    checkMethod(context, 'requireToken')
    checkWrappable(fn, credential, what)
    return dress(
      async function (this: unknown, ...args: unknown[]) {
        const { scope, token } = await acquire(options, what, args)
        return runKept(withToken(scope, token), async () => Reflect.apply(fn, this, args))
      },
      fn,
      credential,
      0,
    )
  }
}

async function acquire(options: RequireTokenOptions, what: string, args: readonly unknown[]) {
  const { acting: _acting, credentials: _credentials, account, ...request } = options
  const scope = callerScope(options, what, args)
  const chosen =
    typeof account === 'function'
      ? (account as (...args: readonly unknown[]) => string | undefined)(...args)
      : account
  abandon(chosen) // an async function: what it gives is refused
  const token = await scope.credentials.getToken(scope.acting, { ...request, account: chosen })
  return { scope, token }
}
