/**
 * A built-in module of the platform, such as `node:crypto`; `undefined` on runtimes that have none. Synchronous, and
 * invisible to bundlers.
 */
export function builtin<T>(name: string): T | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => T | undefined }
  }
  return process?.getBuiltinModule?.(name)
}

/** {@link builtin}, on Node alone: what other runtimes offer under the name may do otherwise with what is odd. */
export function nodeBuiltin<T>(name: string): T | undefined {
  const agent = globalThis.navigator?.userAgent
  return agent === undefined || agent.startsWith('Node.js/') ? builtin<T>(name) : undefined
}
