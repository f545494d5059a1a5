const brand = Symbol.for('deputize.error')

/** A system error, reduced to what is safe to keep: no address, no body, no path. */
export interface SystemCause {
  readonly name: string
  readonly code?: string
  readonly syscall?: string
}

/** How every error of the family is made. */
export interface DeputizeErrorInit {
  /** Why, for the operator. Static text or an identifier, never a secret and never a server's free text. */
  readonly reason?: string | undefined
  /** Kept only when it is one of ours, or reduced to {@link SystemCause}. */
  readonly cause?: unknown
  /** Whether the same call may succeed later with nothing changed by the caller. */
  readonly retryable?: boolean | undefined
}

/**
 * The root of the family. Recognised by {@link isDeputizeError} also when the library was loaded twice, where
 * `instanceof` fails.
 */
export abstract class DeputizeError extends Error {
  abstract override readonly name: string
  /** Stable; never renamed within a major version. */
  abstract readonly code: string
  /** Whether the same call may succeed later with nothing changed by the caller. */
  readonly retryable: boolean
  declare readonly reason?: string

  constructor(message: string, init: DeputizeErrorInit = {}) {
    const cause = safeCause(init.cause)
    super(message, cause === undefined ? undefined : { cause })
    this.retryable = init.retryable ?? false
    if (init.reason !== undefined) this.reason = init.reason
  }

  get [brand](): true {
    return true
  }
}

/** Whether `value` is an error of this library, from whichever copy of it; with `code`, whether it is that one. */
export function isDeputizeError(value: unknown, code?: string): value is DeputizeError {
  if (typeof value !== 'object' || value === null) return false
  try {
    const { [brand]: mark, code: its } = value as { [brand]?: unknown; code?: unknown }
    return mark === true && (code === undefined || its === code)
  } catch {
    return false // a getter threw, so it is none of ours
  }
}

/**
 * What may be kept of a foreign error. An error of a parser, a store or an SDK can hold a token in its message or its
 * fields, so nothing of it is kept but the code that the operating system gave.
 */
export function safeCause(cause: unknown): DeputizeError | SystemCause | undefined {
  if (cause === undefined || cause === null) return undefined
  try {
    if (isDeputizeError(cause)) return cause
    return systemFacts(cause) ?? systemFacts((cause as { cause?: unknown }).cause)
  } catch {
    return undefined // a getter threw: what an error holds must not replace the error that it caused
  }
}

const systemCode = /^[A-Z][A-Z0-9_]{1,39}$/
const systemCall = /^[a-z_0-9]{1,24}$/

function systemFacts(value: unknown): SystemCause | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { code, syscall } = value as { code?: unknown; syscall?: unknown }
  if (typeof code !== 'string' || !systemCode.test(code)) return undefined
  return {
    name: 'SystemError',
    code,
    ...(typeof syscall === 'string' && systemCall.test(syscall) ? { syscall } : {}),
  }
}

/**
 * `text` fit for a message or a log line: at most `max` characters, with control characters and all that is invisible
 * or turns the direction of text (Unicode's Cc, Cf, Zl and Zp) escaped.
 */
export function printable(text: unknown, max = 120): string {
  const escaped = JSON.stringify(asText(text))
    .slice(1, -1)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits)
  if (escaped.length <= max) return escaped
  return `${escaped.slice(0, max).replace(/[\ud800-\udbff]$/, '')}…`
}

function asText(value: unknown): string {
  try {
    return String(value)
  } catch {
    return typeof value // an object without toString, or with one that throws
  }
}

function escapeUnits(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
