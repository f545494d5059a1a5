import type { VaultScan } from './store.js'

/**
 * Pages of a list that costs much to make: it is made at the first page and kept until the last. Ids that come later need
 * not be listed.
 */
export class IdPages {
  readonly #pageRows: number
  #sorted: readonly string[] | undefined

  constructor(pageRows: number) {
    this.#pageRows = pageRows
  }

  /** The page after `cursor`, the last id of the page before, which another process may have been given. */
  async page(cursor: string, list: () => Promise<readonly string[]>): Promise<VaultScan> {
    let sorted = cursor === '' ? undefined : this.#sorted
    sorted ??= [...(await list())].sort()
    const from = firstAfter(sorted, cursor)
    const ids = sorted.slice(from, from + this.#pageRows)
    const isLast = from + ids.length >= sorted.length
    this.#sorted = isLast ? undefined : sorted
    return isLast ? { ids } : { ids, cursor: ids.at(-1)! }
  }
}

/** Where the first id greater than `id` stands, or would stand. */
function firstAfter(sorted: readonly string[], id: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! > id) high = middle
    else low = middle + 1
  }
  return low
}
