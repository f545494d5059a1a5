import { Flight } from '../flight.js'

/** How long a row stays locked when its store neither answers nor fails, in milliseconds. */
const ABANDON_AFTER_MS = 60_000

const mark = Symbol.for('deputize.row-locks.1')

/**
 * One writer a row at a time, within a process. The locks belong to the object that they guard, so that everybody who
 * writes through that object meets the same ones.
 */
export class RowLocks {
  readonly #last = new Map<string, Flight<void>>()

  /** The locks of `guarded`, made at first use. */
  static of(guarded: object): RowLocks {
    const holder = guarded as { [mark]?: RowLocks }
    if (holder[mark] === undefined) {
      Object.defineProperty(holder, mark, { value: new RowLocks(), enumerable: false })
    }
    return holder[mark] as RowLocks
  }

  /**
   * Waits for the turn of `id`. The turn lasts until `release`, or until the promise given to it has settled: a store
   * that was too slow for its caller may still write, and the next writer must not be overtaken by that.
   */
  async enter(id: string): Promise<(work?: Promise<unknown>) => void> {
    const before = this.#last.get(id)
    let open = () => {}
    const mine = new Flight(
      () =>
        new Promise<void>((resolve) => {
          open = resolve
        }),
    )
    this.#last.set(id, mine)
    // Whose request has ended no longer holds the row.
    await before?.join()
    const leave = () => {
      if (this.#last.get(id) === mine) this.#last.delete(id)
      open()
    }
    return (work) => {
      if (work === undefined) return leave()
      const timer: unknown = setTimeout(leave, ABANDON_AFTER_MS)
      // In Node: does not keep the process alive. Elsewhere a timer is a number.
      ;(timer as { unref?: () => void }).unref?.()
      const settled = () => {
        clearTimeout(timer as number)
        leave()
      }
      work.then(settled, settled)
    }
  }
}
