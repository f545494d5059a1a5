import { defineConfig } from 'tsup'
import { subpaths } from './scripts/subpaths.js'

export default defineConfig({
  // One entry a key of the exports map, so that the two lists cannot drift.
  entry: Object.fromEntries(
    subpaths.map(({ code, source }) => [code.replace(/^dist\/|\.js$/g, ''), source]),
  ),
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
