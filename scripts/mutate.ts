/**
 * Lists the changes of a file that no unit test notices, and the share of those that one does.
 *
 *   npm run mutate src/inbound/verifier.ts src/inbound/guards.ts:20-60
 */
import { spawnSync } from 'node:child_process'
import { root } from './subpaths.js'

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('Name the files, such as: npm run mutate src/inbound/verifier.ts')
  process.exitCode = 1
} else {
  const run = spawnSync('npx', ['stryker', 'run', '--mutate', files.join(',')], {
    cwd: root,
    stdio: 'inherit',
  })
  process.exitCode = run.status ?? 1
}
