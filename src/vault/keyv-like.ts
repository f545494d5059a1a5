/** What is used of a Keyv (^5.6 or ^6), by structure: nothing here imports it. */
export interface KeyvLike {
  get(key: string): Promise<unknown>
  set(key: string, value: string, ttl?: number): Promise<unknown>
  delete(key: string): Promise<unknown>
  on(event: 'error', listener: (error: unknown) => void): unknown
  readonly store?: unknown
  readonly iterator?: unknown
}

/** Keyv 6 wraps adapters of Keyv 5 in one of its own, and those hold a Map. */
const MAX_WRAPPERS = 4

/** The Keyv and the adapters below it, outermost first. */
export function chainOf(keyv: KeyvLike): readonly object[] {
  const chain: object[] = [keyv]
  for (let at: unknown = keyv.store; chain.length <= MAX_WRAPPERS; ) {
    if (typeof at !== 'object' || at === null || chain.includes(at)) break
    chain.push(at)
    at = (at as { store?: unknown }).store
  }
  return chain
}

/** The namespaces in force: an adapter keeps that of the last Keyv that was made over it. */
export function namespacesOf(keyv: KeyvLike): string {
  return JSON.stringify(
    chainOf(keyv).map((part) => String((part as { namespace?: unknown }).namespace)),
  )
}

const mark = Symbol.for('deputize.keyv-errors.1')

/**
 * Counts the errors that a Keyv and its adapters tell by event: with `emitErrors: false` a Keyv does not pass on those
 * of its adapter. One listener an object, kept on it, however many stores are made over it.
 */
export function errorCounter(keyv: KeyvLike): () => number {
  const counters = chainOf(keyv).map((part) => {
    const emitter = part as Partial<KeyvLike> & { [mark]?: { errors: number } }
    if (emitter[mark]) return emitter[mark]
    const counter = { errors: 0 }
    Object.defineProperty(emitter, mark, { value: counter, enumerable: false })
    if (typeof emitter.on === 'function') {
      emitter.on('error', () => {
        counter.errors++
      })
    }
    return counter
  })
  return () => counters.reduce((sum, counter) => sum + counter.errors, 0)
}

/** Has Keyv 5 and its adapters reject instead of resolving to nothing. Keyv 6 has no such switch; it tells by event. */
export function forceThrowing(keyv: KeyvLike): void {
  for (const part of chainOf(keyv) as readonly { throwOnErrors?: unknown }[]) {
    if ('throwOnErrors' in part && part.throwOnErrors !== true) part.throwOnErrors = true
  }
}

/** All rows as `[key, value]`; `undefined` when the adapter cannot list them. */
export function iterate(keyv: KeyvLike): AsyncIterator<unknown> | undefined {
  if (typeof keyv.iterator !== 'function') return undefined
  // Keyv 6 always has iterator(), and gives nothing where its innermost adapter has none.
  const adapters = chainOf(keyv).slice(1)
  const innermost = adapters.at(-1) as { iterator?: unknown } | undefined
  const listable =
    innermost === undefined || innermost instanceof Map || typeof innermost.iterator === 'function'
  if (!listable) return undefined
  return (keyv.iterator as () => AsyncIterable<unknown>)()[Symbol.asyncIterator]()
}
