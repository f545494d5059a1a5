/** Random numbers that a seed makes come again (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 up to `end`, without it. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * end)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }

  /** Code units from all over, lone surrogates among them. */
  text(length: number): string {
    return Array.from({ length }, () =>
      String.fromCharCode(this.below(this.pick([0x80, 0x80, 0x100, 0x10000]))),
    ).join('')
  }

  /** `text` with a piece missing. */
  cut(text: string): string {
    const from = this.below(text.length + 1)
    return text.slice(0, from) + text.slice(from + this.below(8) + 1)
  }

  /** `text` with one character changed. */
  change(text: string): string {
    const at = this.below(text.length + 1)
    return (
      text.slice(0, at) +
      this.pick(['A', '-', '_', '.', ' ', '=', '\u00e9', '0']) +
      text.slice(at + 1)
    )
  }
}
