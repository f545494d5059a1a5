import { printable } from './errors/base.js'

/**
 * Checks that `options` is an object and has no option that is not known: a misspelled one would never be applied.
 *
 * @param what The function or class, for the message.
 * @throws `TypeError` naming the option.
 */
export function checkOptionNames(
  options: unknown,
  what: string,
  known: readonly string[],
): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(
      `${what} takes an object of options; got ${options === null ? 'null' : typeof options}.`,
    )
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(
        `${what} has no option "${printable(name, 64)}". Known: ${known.join(', ')}.`,
      )
    }
  }
}

/** @throws `TypeError` naming the option. */
export function checkFunction(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new TypeError(`${option} must be a function; got ${typeof value}.`)
  }
}
