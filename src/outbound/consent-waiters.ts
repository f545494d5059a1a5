import { abortable } from '../abortable.js'

/** How often another process's outcome is looked for. */
const POLL_MS = 1_000

/** Wakes whoever waits for a consent: at once when it is settled in this process, else by looking every second. */
export class ConsentWaiters {
  readonly #sleepers = new Map<string, Set<() => void>>()
  #isClosed = false

  /** Ends when the session is settled here, when a second has passed, or rejects with the reason of an abort. */
  async next(sessionId: string, signal: AbortSignal | undefined): Promise<void> {
    this.#refuseClosed()
    let wake!: () => void
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    const timer = setTimeout(wake, POLL_MS)
    const sleepers = this.#sleepers.get(sessionId) ?? new Set()
    this.#sleepers.set(sessionId, sleepers.add(wake))
    try {
      await abortable(woken, signal)
      this.#refuseClosed()
    } finally {
      clearTimeout(timer)
      sleepers.delete(wake)
      if (sleepers.size === 0) this.#sleepers.delete(sessionId)
    }
  }

  wake(sessionId: string): void {
    for (const resolve of this.#sleepers.get(sessionId) ?? []) resolve()
  }

  /** Ends every wait, now and later. */
  close(): void {
    this.#isClosed = true
    for (const sleepers of this.#sleepers.values()) for (const wake of sleepers) wake()
  }

  #refuseClosed(): void {
    if (!this.#isClosed) return
    throw new DOMException('The OutboundCredentialProvider was closed.', 'AbortError')
  }
}
