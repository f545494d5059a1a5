import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../package.json' with { type: 'json' }

/** `import.meta.dirname` would be another folder where a configuration file is bundled before it runs. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

export interface Subpath {
  /** What users import: `deputize`, `deputize/vault`. */
  readonly specifier: string
  /** `index`, `vault`, `vault/file`. */
  readonly name: string
  /** The built files, from the root of the project: `dist/vault/index.d.ts`, `dist/vault/index.js`. */
  readonly types: string
  readonly code: string
  /** What they are built from. Adapters are published without their folder's prefix. */
  readonly source: string
}

/** What the exports map publishes. */
export const subpaths: readonly Subpath[] = Object.entries(manifest.exports).flatMap(
  ([key, target]) => {
    if (typeof target === 'string') return [] // ./package.json
    const file = target.default.replace('./dist/', '').replace(/\.js$/, '.ts')
    const adapter = existsSync(join(root, 'src/adapters', file))
    return [
      {
        specifier: `deputize${key.slice(1)}`,
        name: key === '.' ? 'index' : key.slice(2),
        types: target.types.slice(2),
        code: target.default.slice(2),
        source: adapter ? `src/adapters/${file}` : `src/${file}`,
      },
    ]
  },
)

/** The packages that `npm install deputize` brings, by the lock file; the library itself is not counted. */
export function productionPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; peer?: boolean }>
  }
  return Object.entries(lock.packages)
    .filter(([path, p]) => path !== '' && !p.dev && !p.devOptional && !p.peer)
    .map(([path]) => path.replace(/^.*node_modules\//, ''))
}

/** Whether `dist` is missing, incomplete, or older than what it is built from. */
export function distIsStale(): boolean {
  const built = subpaths.flatMap(({ types, code }) => [join(root, types), join(root, code)])
  if (!built.every((file) => existsSync(file))) return true
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => join(root, 'src', file))
  sources.push(join(root, 'package.json'), join(root, 'tsup.config.ts'))
  const changed = Math.max(...sources.map((file) => statSync(file).mtimeMs))
  return Math.min(...built.map((file) => statSync(file).mtimeMs)) < changed
}
