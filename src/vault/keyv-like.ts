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

/** Has Keyv 5 reject instead of resolving to nothing. Keyv 6 has no such switch; it tells by event. */
export function forceThrowing(keyv: KeyvLike): void {
  const switchable = keyv as { throwOnErrors?: unknown }
  if ('throwOnErrors' in switchable && switchable.throwOnErrors !== true) {
    switchable.throwOnErrors = true
  }
}

/** All rows as `[key, value]`; `undefined` when the adapter cannot list them. */
export function iterate(keyv: KeyvLike): AsyncIterator<unknown> | undefined {
  const store = keyv.store as
    | { capabilities?: { methods?: { iterator?: { exists?: unknown } } } }
    | undefined
  // Keyv 6 always has iterator(), and gives nothing where its adapter has none.
  if (store?.capabilities?.methods?.iterator?.exists === false) return undefined
  if (typeof keyv.iterator !== 'function') return undefined
  return (keyv.iterator as () => AsyncIterable<unknown>)()[Symbol.asyncIterator]()
}
