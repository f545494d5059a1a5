import { MINUTE_MS } from '../clock.js'
import { SegmentCodec } from './segment-codec.js'

/** How much is remembered, and for how long. */
export interface CacheLimits {
  /** Tokens; default 10 000. */
  readonly maxTokens: number
  /** Bytes of memory, estimated and rounded up; default 32 MiB. */
  readonly maxBytes: number
  /** Milliseconds from the verification; default 60 000. */
  readonly maxAgeMs: number
}

export const DEFAULT_CACHE: CacheLimits = Object.freeze({
  maxTokens: 10_000,
  maxBytes: 33_554_432,
  maxAgeMs: MINUTE_MS,
})

/** What a token was found to mean, and when that holds. */
export interface Finding<T> {
  readonly value: T
  /** When it was found: before, the clock was another. */
  readonly sinceMs: number
  /** From then on it does not hold. */
  readonly untilMs: number
  /** The {@link KeyLookup.epoch} of the keys it was verified with. */
  readonly epoch: number
  /** What the value holds besides the token, in bytes of memory. */
  readonly bytes: number
}

interface Entry<T> extends Finding<T> {
  readonly token: string
}

/**
 * So much of the end of a token finds its entry, 70 bits of a signature; the whole token is then compared. V8 copies a
 * slice below 13 characters, and looks that copy up faster than a view of the token.
 */
const TAIL_LENGTH = 12
/** What an entry costs besides its token and what it was found to mean: a principal without its claims, and its places. */
const ENTRY_BYTES = 1024

/** How many tokens a picky cache knows by sight. */
const SIGHTINGS = 1024

/**
 * Remembers tokens that were verified in full, and nothing else: whoever sends rubbish changes nothing here. Bounded by
 * count and bytes; in two generations, so that what is used stays and what is not goes, without a list to keep in order.
 * A generation that fills up with tokens that do not come back makes the cache picky: the next one takes a token only
 * when it is verified for the second time. So a stream of tokens that are used once costs little and displaces nothing.
 *
 * V8 would have to hash the whole of a token that has just come in from the network; looking the last
 * {@link TAIL_LENGTH} characters up and comparing all of them is six times faster, and as exact.
 */
export class VerifiedCache<T> {
  readonly #limits: CacheLimits
  readonly #codec = new SegmentCodec()
  #young = new Map<string, Entry<T>>()
  #old = new Map<string, Entry<T>>()
  #youngBytes = 0
  #hits = 0
  #sightings: Int32Array | undefined

  constructor(limits: CacheLimits = DEFAULT_CACHE) {
    this.#limits = limits
  }

  /** What was found of exactly this token, if it holds now and with these keys. */
  get(token: string, nowMs: number, epoch: number): T | undefined {
    const tail = token.slice(-TAIL_LENGTH)
    const young = this.#young.get(tail)
    const entry = young ?? this.#old.get(tail)
    if (entry?.token !== token) return undefined
    if (nowMs >= entry.untilMs || nowMs < entry.sinceMs || entry.epoch !== epoch) return undefined
    if (young === undefined) this.#put(tail, entry)
    this.#hits++
    return entry.value
  }

  /** Remembers a finding, unless it is half of all. `token` is one that the cache {@link takes}, as {@link own} gave it. */
  set(token: string, finding: Finding<T>): void {
    const untilMs = Math.min(finding.untilMs, finding.sinceMs + this.#limits.maxAgeMs)
    const { value, sinceMs, epoch, bytes } = finding
    const entry = { token, value, sinceMs, untilMs, epoch, bytes }
    if (costOf(entry) <= this.#limits.maxBytes / 2) this.#put(token.slice(-TAIL_LENGTH), entry)
  }

  /** Whether a finding of this token would be remembered. Only for tokens that were verified. */
  takes(token: string): boolean {
    if (costOf({ token, bytes: 0 }) > this.#limits.maxBytes / 2) return false
    if (!this.#sightings) return true
    let hash = 0
    for (let at = token.length - 16; at < token.length; at++) {
      hash = (Math.imul(hash, 31) + token.charCodeAt(at)) | 0
    }
    const place = (hash >>> 8) % SIGHTINGS
    if (this.#sightings[place] === hash) return true
    this.#sightings[place] = hash
    return false
  }

  /** The same token in memory of its own, without the header that it was cut from. */
  own(token: string): string {
    return this.#codec.copy(token)
  }

  /** How many tokens are held, counting those twice that are in both generations. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  #put(tail: string, entry: Entry<T>): void {
    const bytes = costOf(entry)
    const { maxTokens, maxBytes } = this.#limits
    if (this.#young.size >= maxTokens / 2 || this.#youngBytes + bytes > maxBytes / 2) {
      const cameBack = this.#hits >= this.#young.size / 2
      this.#sightings = cameBack ? undefined : (this.#sightings ?? new Int32Array(SIGHTINGS))
      this.#hits = 0
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    const replaced = this.#young.get(tail)
    if (replaced) this.#youngBytes -= costOf(replaced)
    this.#young.set(tail, entry)
    this.#youngBytes += bytes
  }
}

/** A token is ASCII: a byte a character. */
function costOf({ token, bytes }: { readonly token: string; readonly bytes: number }): number {
  return token.length + ENTRY_BYTES + bytes
}
