import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'
import { root, subpaths } from './scripts/subpaths.js'

export default defineConfig({
  resolve: {
    // A test imports the library as its users do, and gets the source.
    alias: subpaths.map(({ specifier, source }) => ({
      find: new RegExp(`^${specifier}$`),
      replacement: resolve(root, source),
    })),
  },
  test: {
    environment: 'node',
    pool: 'threads',
    // Safety nets, for a test that hangs: what is right on a quiet machine is right on a loaded one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 100_000 } },
    dangerouslyIgnoreUnhandledErrors: false, // a forgotten rejection fails the run
    unstubGlobals: true,
    unstubEnvs: true,
    reporters: ['default', './test/skipped-reporter.ts'],
    coverage: { provider: 'v8', include: ['src/**'] },
    projects: [
      // Starting a worker costs more than most unit tests: they share workers. So a unit test puts back what it
      // patches; one that cannot stands under test/.
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.test.ts'], isolate: false },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**', 'test/runtimes/**'],
        },
      },
      // What looks at dist: built first, when it is older than src.
      {
        extends: true,
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts', 'test/runtimes/**/*.test.ts'],
          globalSetup: './test/package/build.ts',
        },
      },
      // Compiled, not run: each expectation about a type shows in the report like any other test.
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: './tsconfig.json',
            ignoreSourceErrors: true, // `npm run check` names those
          },
        },
      },
    ],
  },
})
