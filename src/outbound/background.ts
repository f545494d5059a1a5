import { SECOND_MS } from '../clock.js'
import { Flight } from '../flight.js'
import { pause } from './pause.js'

/** The option `waitUntil`: keeps a request alive until a promise has settled. */
export type WaitUntil = (work: Promise<unknown>) => void

/** Pauses between two tries of one run, in milliseconds: each is twice as long as the one before. */
interface Pauses {
  readonly firstMs: number
  readonly longestMs: number
}

const PAUSES: Pauses = { firstMs: SECOND_MS / 4, longestMs: 2 * SECOND_MS }

/** Hands work to the platform, so that it goes on when the request ends. It may fail: whoever waits for it is told. */
export function keepAlive(waitUntil: WaitUntil | undefined, work: Promise<unknown>): void {
  if (!waitUntil) return
  try {
    waitUntil(work.then(nothing, nothing))
  } catch {
    // There is no request here. The work runs as it would without the option.
  }
}

/**
 * Tries something again and again until it is done, for nobody in particular. One run at a time: where the request that
 * began a run has ended, and the run with it, the next {@link start} begins another.
 */
export class BackgroundRun {
  readonly #attempt: () => Promise<boolean>
  readonly #waitUntil: WaitUntil | undefined
  readonly #pauses: Pauses
  #running: Flight<void> | undefined
  #closed = false

  /** @param attempt Whether it is done. It does not throw. */
  constructor(
    attempt: () => Promise<boolean>,
    waitUntil: WaitUntil | undefined,
    pauses: Pauses = PAUSES,
  ) {
    this.#attempt = attempt
    this.#waitUntil = waitUntil
    this.#pauses = pauses
  }

  start(): void {
    if (this.#closed || (this.#running && !this.#running.isSilent)) return
    const running: Flight<void> = new Flight(() => this.#run(() => this.#running === running))
    this.#running = running
    keepAlive(this.#waitUntil, running.own)
  }

  /** Ends it for good, after the attempt that runs now. */
  close(): void {
    this.#closed = true
  }

  /** @param isMine Whether no other run has begun, because this one stood still for long. */
  async #run(isMine: () => boolean): Promise<void> {
    for (let waitMs = this.#pauses.firstMs; ; waitMs *= 2) {
      await pause(Math.min(this.#pauses.longestMs, waitMs), true)
      if (this.#closed || !isMine()) return
      if (!(await this.#attempt())) continue
      if (isMine()) this.#running = undefined
      return
    }
  }
}

function nothing(): void {}
