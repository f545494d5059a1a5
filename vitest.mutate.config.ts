/** The unit tests alone, for `npm run mutate`. */
import { mergeConfig } from 'vitest/config'
import whole from './vitest.config.js'

const { resolve } = whole
export default mergeConfig(
  { resolve },
  {
    test: {
      include: ['src/**/*.test.ts'],
      isolate: false,
      testTimeout: 30_000,
      unstubGlobals: true,
      unstubEnvs: true,
    },
  },
)
