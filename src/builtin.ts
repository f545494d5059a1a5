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
