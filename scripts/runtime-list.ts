import { join } from 'node:path'
import { root } from './subpaths.js'

/** Node's binary is a package a platform. */
const node = `node-${process.platform}-${process.arch}`

/** The runtimes that the library is tried on: the npm package, and the file in it that says that it is there. */
export const runtimes = {
  node22: { install: `${node}@22`, file: `${node}/bin/node` },
  node24: { install: `${node}@24`, file: `${node}/bin/node` },
  bun: { install: 'bun@1.4.5', file: 'bun/bin/bun.exe' },
  deno: { install: 'deno@2.9.6', file: '.bin/deno' },
  workerd: { install: 'miniflare@4.20260415.0', file: 'miniflare/package.json' },
} as const

export type RuntimeName = keyof typeof runtimes

export function runtimeFolder(name: RuntimeName): string {
  return join(root, '.cache/runtimes', name)
}

export function runtimeFile(name: RuntimeName): string {
  return join(runtimeFolder(name), 'node_modules', runtimes[name].file)
}
