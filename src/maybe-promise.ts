/** A value that is known at once on some platforms and later on others. */
export type MaybePromise<T> = T | Promise<T>

export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function'
}

/** Goes on with `value`, at once when it is there. */
export function whenReady<T, R>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return isPromise(value) ? value.then(next) : next(value)
}

/** All of `values`, at once when they are there. */
export function allReady<T>(values: readonly MaybePromise<T>[]): MaybePromise<T[]> {
  return values.some(isPromise) ? Promise.all(values) : (values as T[])
}

/**
 * Takes note of a value that is about to be refused: a promise in a place where none belongs must not end the process
 * when it rejects.
 */
export function abandon(value: unknown): void {
  if (isPromise(value)) value.then(undefined, () => {})
}
