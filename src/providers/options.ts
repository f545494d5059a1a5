import { describeAddress, isLoopback } from '../address.js'
import { isWellFormed } from '../bytes.js'
import { printable } from '../errors/base.js'
import { isScope, MAX_SCOPES } from '../oauth/scopes.js'

/**
 * Checks the option `origins` and gives it normalised.
 *
 * @throws `TypeError`
 */
export function checkOrigins(
  origins: readonly string[] | undefined,
  allowInsecureLoopback: boolean,
): readonly string[] {
  if (origins !== undefined && !Array.isArray(origins)) {
    throw new TypeError(`origins must be an array of strings; got ${typeof origins}.`)
  }
  return Object.freeze(
    (origins ?? []).map((origin) => {
      const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined
      if (!url || url.href !== `${url.origin}/` || origin.includes('*')) {
        throw new TypeError(
          `origins takes origins such as "https://api.example.com", without path, query, user info or wildcard; got ${describeAddress(origin)}.`,
        )
      }
      const insecure = url.protocol === 'http:' && allowInsecureLoopback && isLoopback(url.hostname)
      if (url.protocol !== 'https:' && !insecure) {
        throw new TypeError(
          `origins takes https origins only; got ${describeAddress(origin)}. For tests on this machine set allowInsecureLoopback: true.`,
        )
      }
      return url.origin
    }),
  )
}

/**
 * Checks scopes: RFC 6749 §3.3 tokens, so that none hides a second one.
 *
 * @throws `TypeError` naming the option.
 */
export function checkScopes(scopes: readonly string[], option: string): readonly string[] {
  if (!Array.isArray(scopes)) throw new TypeError(`${option} must be an array of strings.`)
  if (scopes.length > MAX_SCOPES) {
    throw new TypeError(`${option} takes at most ${MAX_SCOPES} scopes; got ${scopes.length}.`)
  }
  for (const scope of scopes) {
    if (!isScope(scope)) {
      throw new TypeError(
        `${option} takes one scope an entry (RFC 6749 §3.3: visible ASCII without quotes and backslashes); got ${printable(scope)}.`,
      )
    }
  }
  return Object.freeze([...new Set(scopes)])
}

/**
 * Checks a resource indicator (RFC 8707 §2): an absolute URI without fragment.
 *
 * @throws `TypeError`
 */
export function checkResource(resource: string | undefined, option: string): string | undefined {
  if (resource === undefined) return undefined
  if (typeof resource !== 'string' || !URL.canParse(resource) || resource.includes('#')) {
    throw new TypeError(
      `${option} must be an absolute URI without fragment; got ${describeAddress(resource)}.`,
    )
  }
  return resource
}

/**
 * Checks an option that is on or off; `'false'`, out of an environment variable, would count as on.
 *
 * @throws `TypeError` naming the option.
 */
export function checkFlag(value: boolean | undefined, option: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new TypeError(`${option} must be true or false; got ${typeof value}.`)
  }
  return value ?? false
}

/**
 * Checks a non-empty, well-formed string option.
 *
 * @throws `TypeError` naming the option.
 */
export function checkText(value: unknown, option: string, max = 2048): asserts value is string {
  if (typeof value !== 'string' || value === '' || value.length > max || !isWellFormed(value)) {
    throw new TypeError(
      `${option} must be a non-empty string of at most ${max} characters; got ${value === '' ? 'an empty one' : typeof value}.`,
    )
  }
}
