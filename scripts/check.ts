/**
 * Everything static, step by step. A failing step does not hide the ones after it; the command fails at the end.
 *
 *   npm run check            all steps
 *   npm run check docs size  only these
 */
import { spawnSync } from 'node:child_process'
import { root } from './subpaths.js'

/** Steps after `build` look at dist. */
const steps: Record<string, string> = {
  tsc: 'tsc --noEmit',
  biome: 'biome ci --error-on-warnings --colors=off',
  knip: 'knip',
  docs: 'tsx scripts/check-docs.ts',
  build: 'tsup --silent',
  publint: 'publint --strict',
  attw: 'attw --pack . --profile esm-only --no-summary',
  api: 'tsx scripts/api-report.ts check',
  size: 'tsx scripts/size.ts',
}

const wanted = process.argv.slice(2)
for (const name of wanted) {
  if (!(name in steps))
    throw new Error(`No step "${name}". Known: ${Object.keys(steps).join(', ')}`)
}

const results: string[] = []
let broken = false
for (const [name, command] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log(`\n== ${name}: ${command}`)
  const started = Date.now()
  const run = spawnSync(command, {
    cwd: root,
    shell: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ok = run.status === 0
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  results.push(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  if (ok) continue
  broken = true
  if (name === 'build') break
}

console.log(`\n${results.join('\n')}`)
if (broken) process.exit(1)
