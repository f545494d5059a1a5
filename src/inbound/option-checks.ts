import { refuseMetadataUrl } from '../address.js'
/** Checks that authenticators share; each throws a `TypeError` that names the option and shows its value. */
import { isWellFormed } from '../bytes.js'
import { printable } from '../errors/base.js'

/** A frozen copy of a list of at least one string, none of them empty. */
export function checkStrings(option: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw wrong(option, value, 'must be a list of at least one string')
  }
  for (const one of value) {
    if (typeof one !== 'string' || one === '') {
      throw wrong(option, one, 'must hold strings that are not empty')
    }
  }
  return Object.freeze([...(value as string[])])
}

export function checkScopes(option: string, value: unknown): readonly string[] {
  const scopes = checkStrings(option, value)
  for (const scope of scopes) {
    // scope-token, RFC 6749 §3.3: it also stands in quotes in our challenge.
    if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) {
      throw wrong(option, scope, 'must hold scopes of RFC 6749 §3.3')
    }
  }
  return scopes
}

export function checkIssuer(option: string, value: unknown): string {
  if (typeof value !== 'string' || value === '' || !isWellFormed(value)) {
    throw wrong(option, value, 'must be the exact iss of the tokens')
  }
  refuseMetadataUrl(value, option)
  return value
}

/** The two options of whatever talks to an issuer. */
export function checkTransport(options: {
  readonly allowInsecureLoopback?: boolean | undefined
  readonly fetch?: unknown
}): void {
  const { allowInsecureLoopback, fetch } = options
  checkBoolean('allowInsecureLoopback', allowInsecureLoopback)
  if (fetch !== undefined && typeof fetch !== 'function') {
    throw wrong('fetch', fetch, 'must be a function with the type of fetch')
  }
}

export function checkBoolean(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw wrong(option, value, 'must be true or false')
  }
}

export function inRange(option: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw wrong(option, value, `must be a number from ${min} to ${max}`)
  }
  return value
}

export function wrong(option: string, value: unknown, rule: string): TypeError {
  const empty = Array.isArray(value) && value.length === 0
  const shown = typeof value === 'string' ? `"${printable(value)}"` : printable(value)
  return new TypeError(`${option} ${rule}; got ${empty ? 'an empty list' : shown}.`)
}
