import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

const src = resolve(import.meta.dirname, 'src')

export default defineConfig({
  resolve: {
    alias: [
      { find: /^deputize$/, replacement: `${src}/index.ts` },
      { find: /^deputize\/node$/, replacement: `${src}/adapters/node/index.ts` },
      { find: /^deputize\/([a-z-]+)$/, replacement: `${src}/$1/index.ts` },
    ],
  },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    environment: 'node',
    pool: 'threads',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    dangerouslyIgnoreUnhandledErrors: false,
    coverage: { provider: 'v8', include: ['src/**'] },
  },
})
