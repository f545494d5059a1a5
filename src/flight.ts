import { MINUTE_MS, SECOND_MS } from './clock.js'
import { Moment } from './moment.js'

/** A running task says this often that the request which started it still is. */
const BEAT_MS = SECOND_MS / 4
/** Who waits looks this often whether it was said. */
const LOOK_MS = SECOND_MS / 2
/** Looks in a row that saw nothing: then the task is dead. Counted, so that a process that stood still kills nothing. */
const MISSED_LOOKS = 2
/** The same for who comes later, by the clock. */
const SILENT_MS = 2 * SECOND_MS
/** However alive: nobody waits for longer than this for what another request has begun. */
const MAX_MS = MINUTE_MS

/** How a task ended. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: unknown }

/**
 * A task that one request has begun and others may wait for.
 *
 * On Cloudflare Workers all that a request has begun ends with it: its fetches and its timers, and a promise of it then
 * never settles. So who waits for another request's task waits with a timer of its own, and gives it up as dead once it
 * no longer beats.
 */
export class Flight<T> {
  /** For who began the task. Everybody else asks {@link join}. */
  readonly own: Promise<T>
  /** The task that was begun in the place of this one, which was dead. */
  next: Flight<T> | undefined
  readonly #began = new Moment()
  #beatAt = this.#began
  #beats = 0
  #outcome: Outcome<T> | undefined

  /** Begins `task`, not before the caller's turn has ended. */
  constructor(task: () => Promise<T>) {
    const pulse = idle(
      setInterval(() => {
        this.#beats++
        this.#beatAt = new Moment()
      }, BEAT_MS),
    )
    this.own = Promise.resolve()
      .then(task)
      .then(
        (value) => {
          this.#outcome = { ok: true, value }
          return value
        },
        (error: unknown) => {
          this.#outcome = { ok: false, error }
          throw error
        },
      )
      .finally(() => clearInterval(pulse))
  }

  /** Whether nothing will come of it for anybody but who began it. */
  get isDead(): boolean {
    if (this.#outcome) return false
    return this.isSilent || this.#began.elapsedMs() >= MAX_MS
  }

  /** Whether it runs no more, or not now: it has ended, the request that began it has, or the process stood still. */
  get isSilent(): boolean {
    return this.#outcome !== undefined || this.#beatAt.elapsedMs() >= SILENT_MS
  }

  /** How the task ended; `undefined` once it is dead. It may still end then: nobody knows whether it has begun to act. */
  async join(): Promise<Outcome<T> | undefined> {
    if (this.isDead) return undefined
    let look: ReturnType<typeof setInterval> | undefined
    let seen = this.#beats
    let missed = 0
    const over = new Promise<void>((resolve) => {
      look = setInterval(() => {
        missed = this.#beats === seen ? missed + 1 : 0
        seen = this.#beats
        const isLate = this.#began.elapsedMs() >= MAX_MS
        if (this.#outcome || missed >= MISSED_LOOKS || isLate) resolve()
      }, LOOK_MS)
      idle(look)
    })
    try {
      await Promise.race([this.own.then(nothing, nothing), over])
    } catch {
      // The platform does not let this request wait for the other's promise.
    } finally {
      clearInterval(look)
    }
    return this.#outcome
  }
}

function nothing(): void {}

/** In Node: does not keep the process alive. Elsewhere a timer is a number. */
function idle<T>(timer: T): T {
  ;(timer as { unref?: () => void }).unref?.()
  return timer
}
