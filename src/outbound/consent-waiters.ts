/** How often another process's outcome is looked for. */
const POLL_MS = 1_000

/** Wakes whoever waits for a consent: at once when it is settled in this process, else by looking every second. */
export class ConsentWaiters {
  readonly #sleepers = new Map<string, Set<() => void>>()
  readonly #closed = new AbortController()

  /** Ends when the session is settled here, when a second has passed, or rejects with the reason of an abort. */
  async next(sessionId: string, signal: AbortSignal | undefined): Promise<void> {
    const ends = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    ends.throwIfAborted()
    const { promise, resolve, reject } = withResolvers()
    const timer = setTimeout(resolve, POLL_MS)
    const abort = () => reject(ends.reason)
    ends.addEventListener('abort', abort, { once: true })
    const sleepers = this.#sleepers.get(sessionId) ?? new Set()
    this.#sleepers.set(sessionId, sleepers.add(resolve))
    try {
      await promise
    } finally {
      clearTimeout(timer)
      ends.removeEventListener('abort', abort)
      sleepers.delete(resolve)
      if (sleepers.size === 0) this.#sleepers.delete(sessionId)
    }
  }

  wake(sessionId: string): void {
    for (const resolve of this.#sleepers.get(sessionId) ?? []) resolve()
  }

  /** Ends every wait, now and later. */
  close(): void {
    this.#closed.abort(new DOMException('The OutboundCredentialProvider was closed.', 'AbortError'))
  }
}

function withResolvers() {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
