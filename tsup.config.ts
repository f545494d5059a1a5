import { defineConfig } from 'tsup'
import manifest from './package.json' with { type: 'json' }

// One entry a key of the exports map, so that the two lists cannot drift. dist/node/index.js is
// built from src/adapters/node/index.ts: adapters are published without their folder's prefix.
const adapters = new Set(['node'])
const entry: Record<string, string> = Object.fromEntries(
  Object.values(manifest.exports)
    .filter((target) => typeof target === 'object')
    .map((target) => {
      const name = target.default.replace('./dist/', '').replace('.js', '')
      const folder = name.replace(/\/index$/, '')
      return [name, adapters.has(folder) ? `src/adapters/${name}.ts` : `src/${name}.ts`]
    }),
)

export default defineConfig({
  entry,
  format: 'esm', // one format: a second one is a second copy of every class
  splitting: true, // shared code becomes shared chunks: one Secret, one ConfigurationError
  platform: 'neutral',
  removeNodeProtocol: false, // or Workers lose node:async_hooks
  external: [/^node:/],
  target: 'es2022',
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } }, // TypeScript 6.0.3
  sourcemap: true,
  clean: true,
  treeshake: true,
})
