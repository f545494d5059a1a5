/** A task waits this long at most for those before it: what they wait for may never come. */
const MAX_WAIT_MS = 2_000

/**
 * Lets one task a row run at a time in this process, in the order of asking. It spares tries; it is not what keeps a row
 * right, so a task that waited for two seconds goes on.
 */
export class RowQueue {
  readonly #tails = new Map<string, Promise<unknown>>()

  async run<T>(row: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(row)
    const mine = before === undefined ? task() : atMost(before, MAX_WAIT_MS).then(task)
    const tail = mine.catch(() => {})
    this.#tails.set(row, tail)
    try {
      return await mine
    } finally {
      if (this.#tails.get(row) === tail) this.#tails.delete(row)
    }
  }
}

async function atMost(task: Promise<unknown>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([task, over])
  clearTimeout(timer)
}
