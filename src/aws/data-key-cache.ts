import type { Clock } from '../clock.js'
import type { VaultKey } from '../vault/key-ring.js'

interface Kept {
  readonly key: VaultKey
  readonly endsMs: number
}

/** Plaintext data keys, for a while and so many: wiped when their time is up or their place is taken. */
export class DataKeyCache {
  readonly #kept = new Map<string, Kept>()
  readonly #maxAgeMs: number
  readonly #maxKeys: number
  readonly #clock: Clock
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerEndsMs = 0

  constructor(options: { maxAgeMs: number; maxKeys: number; clock: Clock }) {
    this.#maxAgeMs = options.maxAgeMs
    this.#maxKeys = options.maxKeys
    this.#clock = options.clock
  }

  get(name: string): VaultKey | undefined {
    this.#sweep()
    const kept = this.#kept.get(name)
    return kept && kept.endsMs > this.#clock() ? kept.key : undefined
  }

  set(name: string, key: VaultKey): void {
    const before = this.#kept.get(name)
    if (before) this.#drop(name, before)
    const nowMs = this.#clock()
    // In the order in which they came, which is that in which their time is up.
    for (const [oldest, kept] of this.#kept) {
      if (this.#kept.size < this.#maxKeys && kept.endsMs > nowMs) break
      this.#drop(oldest, kept)
    }
    this.#kept.set(name, { key, endsMs: nowMs + this.#maxAgeMs })
    this.#arm()
  }

  /** Wipes what is over its time. */
  #sweep(): void {
    const nowMs = this.#clock()
    for (const [name, kept] of this.#kept) {
      if (kept.endsMs > nowMs) return // they lie in the order in which their time is up
      this.#drop(name, kept)
    }
  }

  #drop(name: string, kept: Kept): void {
    this.#kept.delete(name)
    kept.key.bytes.fill(0)
  }

  /** A process that has gone idle keeps no key beyond its time either. */
  #arm(): void {
    // One that should have fired belonged to a request that has ended.
    if (this.#timer !== undefined && this.#clock() <= this.#timerEndsMs) return
    clearTimeout(this.#timer)
    this.#timerEndsMs = this.#clock() + this.#maxAgeMs
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#sweep()
      if (this.#kept.size > 0) this.#arm()
    }, this.#maxAgeMs)
    const timer = this.#timer as { unref?: () => void }
    timer.unref?.()
  }
}
