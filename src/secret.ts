import { ConfigurationError } from './errors/outbound.js'

const inspect = Symbol.for('nodejs.util.inspect.custom')

/**
 * A value that must not be printed. Logs, `JSON.stringify`, template strings, spreading and cloning see
 * `[redacted]` or nothing; {@link Secret.reveal} is the only way out.
 */
export class Secret {
  readonly #value: string

  /** @throws `TypeError` when `value` is not a non-empty string. */
  constructor(value: string) {
    if (typeof value !== 'string' || value === '') {
      throw new TypeError('A Secret takes a non-empty string.')
    }
    this.#value = value
  }

  /** The value itself. Hand it to the one call that needs it, and to nothing that prints. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect](): string {
    return 'Secret [redacted]'
  }
}

/** How options take a secret: as it is, wrapped, or as a function that gives it when it is needed. */
export type SecretInput = string | Secret | (() => string | Secret | Promise<string | Secret>)

/**
 * The {@link Secret} behind an option.
 *
 * @throws {@link ConfigurationError} Its function failed. What it threw may hold the secret, and is dropped.
 * @throws `TypeError` when the option or its function gives no non-empty string.
 */
export async function resolveSecret(input: SecretInput, option: string): Promise<Secret> {
  const value = typeof input === 'function' ? await ask(input, option) : input
  if (value instanceof Secret) return value
  if (typeof value === 'string' && value !== '') return new Secret(value)
  throw new TypeError(`${option} must be, or give, a non-empty string or a Secret.`)
}

async function ask(give: () => unknown, option: string): Promise<unknown> {
  try {
    return await give()
  } catch (cause) {
    throw new ConfigurationError(
      `${option} could not be had: its function threw. Try again, or see why where the function gets it; its error is not kept, since it may hold a secret.`,
      { reason: 'secret_function_failed', cause, retryable: true },
    )
  }
}

/**
 * Checks the shape of a secret option at construction; what a function will give is checked when it is called.
 *
 * @throws `TypeError` naming the option.
 */
export function checkSecretInput(input: unknown, option: string): asserts input is SecretInput {
  const good =
    typeof input === 'function' ||
    input instanceof Secret ||
    (typeof input === 'string' && input !== '')
  if (!good) {
    throw new TypeError(
      `${option} must be a non-empty string, a Secret, or a function that gives one; got ${input === '' ? 'an empty string' : typeof input}. Is its environment variable set?`,
    )
  }
}

/** The same option, with a bare string wrapped: an object that holds it can be printed. */
export function hideSecret(
  input: SecretInput,
): Secret | (() => string | Secret | Promise<string | Secret>) {
  return typeof input === 'string' ? new Secret(input) : input
}
