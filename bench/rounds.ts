/** What the benches share: cases of one process that take turns, and the table of what they cost. */

import { setImmediate as nextTurn } from 'node:timers/promises'

export interface Case {
  readonly name: string
  /** Runs the case `count` times. */
  run(count: number): unknown
}

/** What a case is measured against, and how it should do. */
export interface Goal {
  readonly of: string
  readonly against: string
  /** CPU time of `against` divided by that of `of`: at least this. */
  readonly atLeast: number
}

export interface Options {
  readonly rounds?: number
  /** Milliseconds that one case runs in one round. */
  readonly sliceMs?: number
}

export type Samples = ReadonlyMap<string, readonly number[]>

/**
 * CPU microseconds per run of each case, one sample a round. Every round runs every case, in random order, so that what
 * else goes on in the machine meets all of them alike.
 */
export async function measure(cases: readonly Case[], options: Options = {}): Promise<Samples> {
  const { rounds = 21, sliceMs = 40 } = options
  const counts = new Map<string, number>()
  for (const each of cases) {
    // Twice: the first pass is for the compiler.
    await timed(each, sliceMs * 3)
    counts.set(each.name, await timed(each, sliceMs))
  }
  const samples = new Map(cases.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of shuffled(cases)) {
      const count = counts.get(name)!
      // What a case leaves to the next turn of the event loop, such as collecting its garbage, it pays for itself.
      await nextTurn()
      const before = process.cpuUsage()
      await run(count)
      await nextTurn()
      const { user, system } = process.cpuUsage(before)
      samples.get(name)!.push((user + system) / count)
    }
  }
  return samples
}

/** How many runs fit in `ms`. */
async function timed(each: Case, ms: number): Promise<number> {
  let count = 0
  let chunk = 8
  const end = performance.now() + ms
  while (performance.now() < end) {
    await each.run(chunk)
    count += chunk
    chunk = Math.min(chunk * 2, 512)
  }
  return count
}

export function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}

export function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Below this share of its goal a ratio fails the command: machines differ, and a table is read by people. */
const SLACK = 0.85

/** Prints the cost of each case. */
export function printCosts(samples: Samples): void {
  for (const [name, values] of samples) {
    console.log(`  ${name.padEnd(44)}${median(values).toFixed(2).padStart(9)} us`)
  }
}

/** Prints each ratio beside its goal: the median over rounds, and the tenth and ninetieth percentile. */
export function printGoals(samples: Samples, goals: readonly Goal[]): void {
  for (const { of, against, atLeast } of goals) {
    const ratios = samples.get(against)!.map((cost, round) => cost / samples.get(of)![round]!)
    judge(`${of} / ${against}`, ratios, atLeast, 'at least')
  }
}

/** One line, with `ok`, `short` (of the goal) or `FAIL`, which also fails the command. */
export function judge(
  what: string,
  values: readonly number[],
  goal: number,
  kind: 'at least' | 'at most',
): void {
  const middle = median(values)
  const reached = kind === 'at least' ? middle / goal : goal / Math.max(middle, 1e-9)
  const verdict = reached >= 1 ? 'ok' : reached >= SLACK ? 'short' : 'FAIL'
  if (verdict === 'FAIL') process.exitCode = 1
  const [low, high] = [quantile(values, 0.1), quantile(values, 0.9)].map((v) => v.toFixed(2))
  console.log(
    `  ${what.padEnd(60)}${middle.toFixed(2).padStart(7)} [${low}..${high}]  ${kind} ${goal}  ${verdict}`,
  )
}

/** Gives the items one after the other, over and over. */
export function cycle<T>(items: readonly T[]): () => T {
  let at = 0
  return () => items[at++ % items.length]!
}
