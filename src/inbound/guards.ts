import { InboundAuthError, isRefusal } from '../errors/inbound.js'
import { isPromise } from '../maybe-promise.js'
import { kindOf } from '../option-names.js'
import { isPrincipal, type Principal } from '../principal.js'
import { checkScopes } from './option-checks.js'

/**
 * Throws, or rejects, when the caller may not go on; answers nothing when it may. A function of your own serves too, in
 * the same places. `R` is `Promise<void>` for a guard that is asynchronous.
 */
export interface Guard<R extends void | Promise<void> = void | Promise<void>> {
  /** @throws {@link InboundAuthError} such as `ERR_INSUFFICIENT_SCOPE` */
  (principal: Principal): R
  /** What a refused caller is told to ask for: all that the operation needs, held already or not. */
  readonly scopes?: readonly string[]
}

/**
 * A guard for one tool: the caller needs every one of these scopes. `requireScopes('calendar:write')(principal)`.
 *
 * @throws `TypeError` A scope is none.
 */
export function requireScopes(...scopes: readonly string[]): Guard<void> {
  const needed = checkScopes('scopes of requireScopes()', scopes)
  return guard(needed, (principal) => {
    if (!needed.every((scope) => principal.scopes.includes(scope))) throw lacking(needed)
  }) as Guard<void>
}

/**
 * One of the guards must let the caller pass. They are asked in turn, until one does. The first is the one that a refused
 * caller is told about: put the one that asks for least there. Answers with a promise only where one of the guards that
 * were asked did.
 */
export function requireAny<R extends void | Promise<void>>(
  ...guards: readonly Guard<R>[]
): Guard<R> {
  const [first] = checkGuards('requireAny()', guards)
  return guard(first!.scopes ?? [], (principal) => askAny(guards, principal)) as Guard<R>
}

/**
 * Every guard must let the caller pass. They are asked in turn. A refused caller is told all scopes at once, so that it
 * asks once. Answers with a promise only where one of the guards that were asked did.
 */
export function requireAll<R extends void | Promise<void>>(
  ...guards: readonly Guard<R>[]
): Guard<R> {
  const all = [...new Set(checkGuards('requireAll()', guards).flatMap((one) => one.scopes ?? []))]
  return guard(all, (principal) => askAll(guards, principal, all)) as Guard<R>
}

/**
 * Lets pass whom a guard let pass: with nothing, or with a promise of nothing. Any other answer is a mistake in the
 * guard, such as `false` from a condition, and lets nobody pass.
 *
 * @throws `TypeError`
 */
export function checkAnswer(answer: unknown): void | Promise<void> {
  if (answer === undefined) return
  if (isPromise(answer)) return Promise.resolve(answer).then(checkNothing)
  checkNothing(answer)
}

function checkNothing(answer: unknown): void {
  if (answer === undefined) return
  throw new TypeError(
    `A guard returns nothing, or a promise of nothing, and throws an InboundAuthError to refuse; it returned ${kindOf(answer)}.`,
  )
}

/** Asks the guards from `at` on. @throws The first refusal, when none lets the caller pass. */
function askAny(
  guards: readonly Guard[],
  principal: Principal,
  at = 0,
  refusal?: InboundAuthError,
): void | Promise<void> {
  let first = refusal
  for (let next = at; next < guards.length; next++) {
    try {
      const answer = checkAnswer(guards[next]!(principal))
      if (!answer) return
      return answer.catch((error: unknown) => {
        const its = refusalOf(error) // what is no refusal is thrown, after a refusal too
        return askAny(guards, principal, next + 1, first ?? its)
      })
    } catch (error) {
      const its = refusalOf(error)
      first ??= its
    }
  }
  throw first
}

/** Asks the guards from `at` on. @throws What a guard threw; if scopes lack, all of them at the end. */
function askAll(
  guards: readonly Guard[],
  principal: Principal,
  all: readonly string[],
  at = 0,
  before = false,
): void | Promise<void> {
  let lack = before
  for (let next = at; next < guards.length; next++) {
    try {
      const answer = checkAnswer(guards[next]!(principal))
      if (!answer) continue
      const goOn = (lacks: boolean) => askAll(guards, principal, all, next + 1, lacks)
      return answer.then(
        () => goOn(lack),
        (error: unknown) => {
          checkLack(error)
          return goOn(true)
        },
      )
    } catch (error) {
      checkLack(error)
      lack = true
    }
  }
  if (lack) throw lacking(all)
}

/** @throws `error`, unless it is a refusal. */
function refusalOf(error: unknown): InboundAuthError {
  if (isRefusal(error)) return error
  throw error
}

/** @throws `error`, unless it says that a scope lacks. */
function checkLack(error: unknown): void {
  if (refusalOf(error).code !== 'ERR_INSUFFICIENT_SCOPE') throw error
}

function guard(
  scopes: readonly string[],
  check: (principal: Principal) => void | Promise<void>,
): Guard {
  const run = (principal: Principal) => {
    if (!isPrincipal(principal)) {
      throw new TypeError('A guard takes a Principal as an InboundVerifier returned it.')
    }
    return check(principal)
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
