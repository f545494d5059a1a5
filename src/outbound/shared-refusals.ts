import { HOUR_MS } from '../clock.js'

const MAX_CODES = 16

/**
 * Which rows a provider refused in words that may mean the row or the client. Where two rows met the same words within an
 * hour, and none was renewed between, the client is meant: users cannot mend that, and are not asked.
 */
export class SharedRefusals {
  /** The two rows of each provider and code that met it last, and when. */
  readonly #seen = new Map<string, Map<string, Map<string, number>>>()

  /** Notes a refusal. @returns Whether another row met the same one. */
  note(provider: string, code: string, row: string, nowMs: number): boolean {
    const codes = this.#seen.get(provider) ?? new Map<string, Map<string, number>>()
    this.#seen.set(provider, codes)
    const rows = codes.get(code) ?? new Map<string, number>()
    codes.delete(code)
    codes.set(code, rows)
    dropOldest(codes, MAX_CODES)
    rows.delete(row)
    rows.set(row, nowMs)
    dropOldest(rows, 2)
    return [...rows].some(([other, atMs]) => other !== row && Math.abs(nowMs - atMs) < HOUR_MS)
  }

  /** The provider renewed a grant: the client is in order. */
  clear(provider: string): void {
    this.#seen.delete(provider)
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
