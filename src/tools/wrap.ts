type AnyFunction = (this: unknown, ...args: never[]) => unknown

const requires = Symbol.for('deputize.requires')

/**
 * Checks that `fn` can be wrapped for `credential`.
 *
 * @throws `TypeError` It is no function, a generator, or wrapped for the same credential already.
 */
export function checkWrappable(
  fn: unknown,
  credential: string,
  what: string,
): asserts fn is AnyFunction {
  if (typeof fn !== 'function') throw new TypeError(`${what} wraps a function; got ${typeof fn}.`)
  const kind = Object.prototype.toString.call(fn)
  if (kind === '[object GeneratorFunction]' || kind === '[object AsyncGeneratorFunction]') {
    throw new TypeError(
      `${what} does not wrap generators: a token would be held across their pauses. Wrap the function that each step calls.`,
    )
  }
  if (wrappedFor(fn).includes(credential)) {
    throw new TypeError(
      `${what}: the function requires that credential already; wrap it once, with all the scopes.`,
    )
  }
}

/**
 * Gives `wrapped` the name of `fn`, its number of parameters less `taken`, and the mark of what it requires.
 */
export function dress<F extends (...args: never[]) => unknown>(
  wrapped: F,
  fn: AnyFunction,
  credential: string,
  taken: 0 | 1,
): F {
  Object.defineProperties(wrapped, {
    name: { value: fn.name, configurable: true },
    length: { value: Math.max(0, fn.length - taken), configurable: true },
    [requires]: { value: Object.freeze([...wrappedFor(fn), credential]) },
  })
  return wrapped
}

function wrappedFor(fn: object): readonly string[] {
  return (fn as { [requires]?: readonly string[] })[requires] ?? []
}

/** The `kind` of a decorator of the time before TC39's, which gets the name of the method as its second argument. */
const OLD = 'experimental decorator'

/** What a decorator was put on, when `value` is a decorator's second argument; else `undefined`. */
export function decoratorContext(value: unknown): { readonly kind: string } | undefined {
  if (typeof value === 'string' || typeof value === 'symbol') return { kind: OLD }
  return isDecoratorContext(value) ? value : undefined
}

function isDecoratorContext(value: unknown): value is { readonly kind: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { kind?: unknown }).kind === 'string' &&
    typeof (value as { addInitializer?: unknown }).addInitializer === 'function'
  )
}

/**
 * Checks what a decorator was put on.
 *
 * @throws `TypeError` Something else than a method.
 */
export function checkMethod(context: { readonly kind: string }, what: string): void {
  if (context.kind === OLD) {
    throw new TypeError(
      `@${what} is a standard decorator: compile without experimentalDecorators, or wrap the function that makes the call.`,
    )
  }
  if (context.kind !== 'method') {
    throw new TypeError(`@${what} decorates methods; this is a ${context.kind}.`)
  }
}
