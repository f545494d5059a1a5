import { printable } from './errors/base.js'
import { isPromise } from './maybe-promise.js'

/**
 * Checks that `value` is an object: JavaScript would tell who forgot it of a property that "cannot be read", and take a
 * text for options that are all left out. What it is instead is told by its kind alone, since it may be a secret.
 *
 * @param what The function or class, for the message.
 * @throws `TypeError` naming it, and what it takes.
 */
export function checkObject(
  value: unknown,
  what: string,
  takes = 'an object of options',
): asserts value is object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return
  throw new TypeError(`${what} takes ${takes}; got ${kindOf(value)}.`)
}

/**
 * Checks that `value` is a `Request` of the Fetch standard. A framework's own is the usual mistake.
 *
 * @throws `TypeError` naming `what`.
 */
export function checkWebRequest(value: unknown, what: string): asserts value is Request {
  const { url, headers } = (value ?? {}) as Partial<Request>
  if (typeof url === 'string' && typeof headers?.get === 'function') return
  throw new TypeError(
    `${what} takes a Request of the Fetch standard; got ${kindOf(value)}. With node:http or Express, wrap it in nodeHandler() of deputize/node.`,
  )
}

/** What `value` is, for a message that must not show it. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}

/** The names of all members, of each member of a union. */
type NamesOf<Options> = Options extends unknown ? keyof Options & string : never

/**
 * Every option that a function takes, each marked with `true`. The compiler refuses a table that lacks one, or that has
 * one too many. It takes no table for a type that does not say which options there are, such as `unknown`.
 */
export type KnownOptions<Options> =
  string extends NamesOf<Options>
    ? never
    : [NamesOf<Options>] extends [never]
      ? never
      : Readonly<Record<NamesOf<Options>, true>>

/**
 * Checks that `options` is an object and has no option that is not known, since a misspelled one would never be applied.
 * Inherited options count too: they are read like the others.
 *
 * @param what The function or class, for the message.
 * @param known What {@link KnownOptions} demands for the type of `options`.
 * @throws `TypeError` naming the option.
 */
export function checkOptionNames<Options>(
  options: Options,
  what: string,
  known: NoInfer<KnownOptions<Options>>,
  takes?: string,
): void {
  checkObject(options, what, takes)
  for (const name in options) {
    if (!Object.hasOwn(known, name)) {
      throw new TypeError(
        `${what} has no option "${printable(name, 64)}". Known: ${Object.keys(known).join(', ')}.`,
      )
    }
  }
}

/** Checks an option that may be left out. @throws `TypeError` naming it. */
export function checkFunction(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new TypeError(`${option} must be a function; got ${typeof value}.`)
  }
}

/**
 * The answer of a function that decides at once. A promise would count as yes, whatever it resolves to.
 *
 * @param name The option that the function was given as.
 * @throws `TypeError` It is neither `true` nor `false`.
 */
export function checkDecision(answer: unknown, name: string): boolean {
  if (typeof answer === 'boolean') return answer
  throw oddAnswer(answer, `${name} must return true or false`)
}

/** The same, for a function that answers with a reason, or with nothing. @throws `TypeError` */
export function checkReason(answer: unknown, name: string): string | undefined {
  if (answer === undefined || typeof answer === 'string') return answer
  throw oddAnswer(answer, `${name} must return a text, or undefined`)
}

function oddAnswer(answer: unknown, rule: string): TypeError {
  const later = isPromise(answer)
  // Nobody waits for it: what it rejects with must not end the process.
  if (later) Promise.resolve(answer).catch(() => {})
  return new TypeError(
    `${rule}; it returned ${later ? 'a promise, and is not waited for' : kindOf(answer)}.`,
  )
}
