/**
 * What `import 'deputize'` costs, as a share of `import 'jose'` in the same round.
 *
 *   npm run build && npm run bench import-time [rounds]
 *
 * Every import is timed in a process of its own; the cases of a round run one after the other in random order.
 * Goals: deputize at most 0.6 of jose, deputize/inbound at most 0.35, at most 6 packages.
 */
import { execFileSync } from 'node:child_process'
import { distIsStale, productionPackages, root } from '../scripts/subpaths.js'

const rounds = Number(process.argv[2] ?? 25)
const base = 'jose'
const cases = [base, 'deputize', 'deputize/inbound', 'oauth4webapi', 'node:crypto']

if (distIsStale()) throw new Error('dist is older than src. Run: npm run build')

/** Milliseconds that one import takes in a fresh process; `deputize` is the built one. */
function timeOnce(specifier: string): number {
  const program = `const t = performance.now(); await import('${specifier}'); console.log(performance.now() - t)`
  const args = ['--no-warnings', '--input-type=module', '--eval', program]
  return Number(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' }))
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!
}

const times = new Map(cases.map((name) => [name, [] as number[]]))
const ratios = new Map(cases.map((name) => [name, [] as number[]]))
for (const name of cases) timeOnce(name) // the files are in the page cache from here on
for (let round = 0; round < rounds; round++) {
  const order = [...cases].sort(() => Math.random() - 0.5)
  const taken = new Map(order.map((name) => [name, timeOnce(name)]))
  for (const name of cases) {
    times.get(name)!.push(taken.get(name)!)
    ratios.get(name)!.push(taken.get(name)! / taken.get(base)!)
  }
}

console.log(
  `${rounds} rounds, Node ${process.version}; median ms, median ratio to ${base} [p10..p90]`,
)
for (const name of cases) {
  const ratio = ratios.get(name)!
  const [middle, low, high] = [0.5, 0.1, 0.9].map((share) => quantile(ratio, share).toFixed(2))
  const ms = quantile(times.get(name)!, 0.5).toFixed(1)
  console.log(`${name.padEnd(18)}${ms.padStart(7)} ms  x${middle} [${low}..${high}]`)
}
const packages = ['deputize', ...productionPackages()]
console.log(`packages installed: ${packages.length} (${packages.join(', ')})`)
