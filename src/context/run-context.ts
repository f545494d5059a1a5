import { AsyncLocalStorage } from 'node:async_hooks'
import type { AccessToken } from '../access-token.js'
import { NoActingContextError } from '../errors/workload.js'
import type { Acting } from '../workload/acting.js'
import type { CredentialSource } from './credential-source.js'

/** A token that an enclosing `requireToken()` injected, and what was injected around it. */
interface Injected {
  readonly provider: string
  readonly token: AccessToken
  readonly outer: Injected | undefined
}

/** Who acts, where credentials come from, and what has been injected so far. */
export interface Scope {
  readonly acting: Acting
  readonly credentials: CredentialSource
  readonly injected?: Injected | undefined
}

const slot = Symbol.for('deputize.context.1')

/** One storage a process, also when a bundler loaded the library twice; made at first use. */
function storage(): AsyncLocalStorage<Scope> {
  const place = globalThis as { [slot]?: AsyncLocalStorage<Scope> }
  place[slot] ??= new AsyncLocalStorage<Scope>()
  return place[slot]
}

/**
 * Runs `fn` in a scope, or outside of any. Only ever `run`: a scope ends with its function, and never leaks into the
 * caller.
 */
export function runInScope<T>(scope: Scope | undefined, fn: () => T): T {
  return storage().run(scope as Scope, fn)
}

/** The scope around the caller, if there is one. */
export function currentScope(): Scope | undefined {
  return storage().getStore()
}

/** `scope` with one more token injected. */
export function withToken(scope: Scope, token: AccessToken): Scope {
  return { ...scope, injected: { provider: token.provider, token, outer: scope.injected } }
}

/**
 * Who acts in the scope around the caller.
 *
 * @throws {@link NoActingContextError} There is no scope.
 */
export function currentActing(): Acting {
  const scope = currentScope()
  if (!scope) throw new NoActingContextError('currentActing()')
  return scope.acting
}

/**
 * The token that the nearest enclosing `requireToken()` of `provider` injected. Never fetches.
 *
 * @throws `TypeError` No enclosing `requireToken()` injected one.
 */
export function accessToken(provider: string): AccessToken {
  for (let at = currentScope()?.injected; at; at = at.outer) {
    if (at.provider === provider) return at.token
  }
  throw new TypeError(
    `accessToken(${JSON.stringify(provider)}) was called outside a function that requires a token of that provider. Wrap or decorate the function with requireToken({ provider: ${JSON.stringify(provider)} }).`,
  )
}
