/** Measures cases against each other in one process: in each round every case runs once, in random order. */

/** Runs `count` operations. */
export type Case = (count: number) => void | Promise<void>

export interface Measured {
  /** Median CPU time of all threads, in microseconds an operation. */
  readonly cpuUs: number
  /** CPU time in the same round over that of the first case: median, and where the middle four fifths are. */
  readonly ratio: number
  readonly p10: number
  readonly p90: number
}

const WARM_UP_MS = 200

/**
 * CPU time a case, and its ratio to the first case of the same round: the machine may be busy, but then it is busy for
 * both.
 *
 * @param options.windowMs How long a case runs in a round. Default 30.
 */
export async function measure<Name extends string>(
  cases: Readonly<Record<Name, Case>>,
  options: { readonly rounds?: number; readonly windowMs?: number } = {},
): Promise<Record<Name, Measured>> {
  const { rounds = 24, windowMs = 30 } = options
  const names = Object.keys(cases) as Name[]
  const counts = new Map<Name, number>()
  for (const name of names) {
    let done = 0
    let batch = 16
    const start = performance.now()
    while (performance.now() - start < WARM_UP_MS) {
      await cases[name](batch)
      done += batch
      batch = Math.min(batch * 2, 1_024)
    }
    counts.set(name, Math.max(1, Math.round((done * windowMs) / (performance.now() - start))))
  }
  const taken = new Map(names.map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const name of shuffled(names)) {
      const count = counts.get(name)!
      const before = process.cpuUsage()
      await cases[name](count)
      const { user, system } = process.cpuUsage(before)
      taken.get(name)!.push((user + system) / count)
    }
  }
  const base = taken.get(names[0]!)!
  const result = {} as Record<Name, Measured>
  for (const name of names) {
    const own = taken.get(name)!
    const ratios = own.map((us, round) => us / base[round]!)
    result[name] = {
      cpuUs: quantile(own, 0.5),
      ratio: quantile(ratios, 0.5),
      p10: quantile(ratios, 0.1),
      p90: quantile(ratios, 0.9),
    }
  }
  return result
}

/** One line a case. */
export function table(measured: Readonly<Record<string, Measured>>): string {
  const width = Math.max(...Object.keys(measured).map((name) => name.length))
  const lines = Object.entries(measured).map(
    ([name, { cpuUs, ratio, p10, p90 }]) =>
      `${name.padEnd(width)}  ${cpuUs.toFixed(2).padStart(9)} us  x${ratio.toFixed(3)} [${p10.toFixed(3)}..${p90.toFixed(3)}]`,
  )
  return lines.join('\n')
}

function shuffled<T>(items: readonly T[]): T[] {
  const out = [...items]
  for (let at = out.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[out[at], out[other]] = [out[other]!, out[at]!]
  }
  return out
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!
}
