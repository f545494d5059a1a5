import { InboundAuthError } from '../errors/inbound.js'
import { isPrincipal, type Principal } from '../principal.js'
import { checkScopes } from './option-checks.js'

/** Throws when the caller may not go on. A function of your own serves too, in the same places. */
export interface Guard {
  /** @throws {@link InboundAuthError} such as `ERR_INSUFFICIENT_SCOPE` */
  (principal: Principal): void
  /** What a refused caller is told to ask for: all that the operation needs, held already or not. */
  readonly scopes?: readonly string[]
}

/**
 * A guard for one tool: the caller needs every one of these scopes. `requireScopes('calendar:write')(principal)`.
 *
 * @throws `TypeError` A scope is none.
 */
export function requireScopes(...scopes: readonly string[]): Guard {
  const needed = checkScopes('scopes of requireScopes()', scopes)
  return guard(needed, (principal) => {
    if (!needed.every((scope) => principal.scopes.includes(scope))) throw lacking(needed)
  })
}

/**
 * One of the guards must let the caller pass. The first is the one that a refused caller is told about: put the one
 * that asks for least there.
 */
export function requireAny(...guards: readonly Guard[]): Guard {
  const [first] = checkGuards('requireAny()', guards)
  return guard(first!.scopes ?? [], (principal) => {
    let refusal: unknown
    for (const one of guards) {
      try {
        one(principal)
        return
      } catch (error) {
        if (!(error instanceof InboundAuthError)) throw error
        refusal ??= error
      }
    }
    throw refusal
  })
}

/** Every guard must let the caller pass. A refused caller is told all scopes at once, so that it asks once. */
export function requireAll(...guards: readonly Guard[]): Guard {
  const all = [...new Set(checkGuards('requireAll()', guards).flatMap((one) => one.scopes ?? []))]
  return guard(all, (principal) => {
    let lacks = false
    for (const one of guards) {
      try {
        one(principal)
      } catch (error) {
        if (!(error instanceof InboundAuthError) || error.code !== 'ERR_INSUFFICIENT_SCOPE') {
          throw error
        }
        lacks = true
      }
    }
    if (lacks) throw lacking(all)
  })
}

function guard(scopes: readonly string[], check: (principal: Principal) => void): Guard {
  const run = (principal: Principal): void => {
    if (!isPrincipal(principal)) {
      throw new TypeError('A guard takes a Principal as an InboundVerifier returned it.')
    }
    check(principal)
  }
  return Object.freeze(Object.assign(run, { scopes: Object.freeze([...scopes]) }))
}

function checkGuards(what: string, guards: readonly Guard[]): readonly Guard[] {
  if (guards.length > 0 && guards.every((one) => typeof one === 'function')) return guards
  throw new TypeError(`${what} takes at least one function, such as requireScopes("a").`)
}

function lacking(scopes: readonly string[]): InboundAuthError {
  return new InboundAuthError('ERR_INSUFFICIENT_SCOPE', {
    reason: 'the caller lacks a scope that the operation needs',
    requiredScopes: scopes,
  })
}
