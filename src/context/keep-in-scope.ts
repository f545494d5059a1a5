import { currentScope, runInScope, type Scope } from './run-context.js'

type Method = (this: unknown, ...args: unknown[]) => unknown

/** The methods of a Node stream that its maker wrote: the stream calls them whenever its user reads or writes. */
const streamSteps = [
  '_construct',
  '_read',
  '_write',
  '_writev',
  '_transform',
  '_flush',
  '_final',
  '_destroy',
] as const

/** Plain data, by `Object.prototype.toString`: iterating over it runs no code of its maker. */
const data =
  /^\[object (Arguments|(Array|Map|Set|String)( Iterator)?|Headers|FormData|URLSearchParams)\]$/

/** Runs `fn` in `scope`, and keeps what it returns there: see {@link keepInScope}. */
export function runKept<T>(scope: Scope, fn: () => T): T {
  return keepInScope(scope, runInScope(scope, fn))
}

/**
 * Makes what a function returned go on in the scope of that function, whoever consumes it. Without that, a generator, an
 * async iterable, a stream or a lazy thenable takes its later steps in the scope of its consumer, with the tokens of
 * another user.
 *
 * A promise is followed to its value. Functions and objects that merely hold such values are returned as they are.
 *
 * @throws `TypeError` A step cannot be bound, because the object is frozen.
 */
export function keepInScope<T>(scope: Scope, value: T): T {
  return keep(scope, value) as T
}

function keep(scope: Scope, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (isPlainPromise(value)) return value.then((settled) => keep(scope, settled))
  if (ArrayBuffer.isView(value) || data.test(Object.prototype.toString.call(value))) return value
  if (isNodeStream(value)) return bindStream(scope, value)
  if (isWebStream(value)) return value.locked ? value : pulledIn(scope, value)
  if (isOwnResponse(value)) return withBody(value, pulledIn(scope, value.body))
  if (isStepped(value)) return bindMethods(scope, value)
  return value
}

/** A promise of the platform has begun its work. A subclass may begin when somebody waits for it. */
function isPlainPromise(value: object): value is Promise<unknown> {
  return (
    value instanceof Promise &&
    Object.getPrototypeOf(value) === Promise.prototype &&
    !Object.hasOwn(value, 'then')
  )
}

function isNodeStream(value: object): value is Record<string, unknown> {
  const { pipe, on, write } = value as Record<string, unknown>
  const { _readableState, _writableState } = value as Record<string, unknown>
  return (
    typeof on === 'function' &&
    (typeof pipe === 'function' || typeof write === 'function') &&
    (_readableState !== undefined || _writableState !== undefined)
  )
}

function isWebStream(value: object): value is ReadableStream {
  const { getReader, tee } = value as Partial<ReadableStream>
  return typeof getReader === 'function' && typeof tee === 'function'
}

/** A response that the application made, with a body that nobody has read: not one that came over the network. */
function isOwnResponse(value: object): value is Response & { readonly body: ReadableStream } {
  const { status, headers, url, body, bodyUsed } = value as Partial<Response>
  if (typeof status !== 'number' || typeof headers?.get !== 'function' || url !== '') return false
  return !bodyUsed && body !== null && body !== undefined && isWebStream(body) && !body.locked
}

/** Whether the object takes steps when its user asks for them: an iterator, an iterable, or a thenable. */
function isStepped(value: object): boolean {
  return (
    typeof read(value, 'next') === 'function' ||
    typeof read(value, 'then') === 'function' ||
    typeof read(value, Symbol.asyncIterator) === 'function' ||
    typeof read(value, Symbol.iterator) === 'function'
  )
}

function read(value: object, name: string | symbol): unknown {
  return (value as Record<string | symbol, unknown>)[name]
}

/** A stream of what `stream` gives, whose source is asked in `scope`, and only when somebody reads. */
function pulledIn(scope: Scope, stream: ReadableStream): ReadableStream {
  const reader = stream.getReader()
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await runInScope(scope, () => reader.read())
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => runInScope(scope, () => reader.cancel(reason)),
    },
    { highWaterMark: 0 },
  )
}

/** The same response with another body, made by its own class: a framework may have a subclass, or a class of its own. */
function withBody(response: Response, body: ReadableStream): Response {
  const Class = response.constructor as typeof Response
  return new Class(body, response)
}

/** The stream itself, whose steps run in `scope` from now on. */
function bindStream(scope: Scope, stream: Record<string, unknown>): object {
  for (const name of streamSteps) {
    const step = stream[name]
    if (typeof step !== 'function') continue
    const bound = function (this: unknown, ...args: unknown[]): unknown {
      return runInScope(scope, () => Reflect.apply(step, this, args))
    }
    if (!Reflect.defineProperty(stream, name, { value: bound, configurable: true, writable: true }))
      throw frozen(name)
  }
  return stream
}

/** A view of `target` whose methods run in `scope`, and give results that are kept in it, too. */
function bindMethods(scope: Scope, target: object): object {
  const view: object = new Proxy(target, {
    get(_, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function' || name === 'constructor') return found
      if (isFixed(target, name)) throw frozen(name)
      const callbacks = name === 'then' || name === 'catch' || name === 'finally'
      const method: Method = (...args) => {
        // Whoever waits for a result goes on in its own scope.
        const given = callbacks ? args.map(inCallersScope) : args
        const result = runInScope(scope, () => Reflect.apply(found, target, given))
        return result === target ? view : keep(scope, result)
      }
      return method
    },
    set: (_, name, next) => Reflect.set(target, name, next, target),
  })
  return view
}

/** A function that runs in the scope around the caller of this one, wherever it is called. */
function inCallersScope(fn: unknown): unknown {
  if (typeof fn !== 'function') return fn
  const scope = currentScope()
  return (...args: unknown[]) => runInScope(scope, () => fn(...args))
}

/** Whether the language forbids a view to show another value than this property has. */
function isFixed(target: object, name: string | symbol): boolean {
  const own = Reflect.getOwnPropertyDescriptor(target, name)
  return own !== undefined && !own.configurable && !own.writable && 'value' in own
}

function frozen(name: string | symbol): TypeError {
  return new TypeError(
    `The function returned a frozen object with a method ${String(name)}(), which cannot be kept in the scope of its user. Return an object that is not frozen, or consume it inside the function.`,
  )
}
