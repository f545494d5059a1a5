/**
 * A built-in module of the platform: Node from 20.16 on, Bun and Deno have it at once and without an import that a
 * bundler would follow. `undefined` elsewhere, where Web Crypto serves.
 */
export function builtin<Module>(name: `node:${string}`): Module | undefined {
  const host = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }
  return host.process?.getBuiltinModule?.(name) as Module | undefined
}
