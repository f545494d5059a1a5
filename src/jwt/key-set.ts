import { describeAddress } from '../address.js'
import { type Clock, DAY_MS, MINUTE_MS, SECOND_MS } from '../clock.js'
import { type DocumentOptions, documentReader, type ReadDocument } from '../document.js'
import { InboundAuthError } from '../errors/inbound.js'
import { SharedWork } from '../shared-work.js'
import { discover, type IssuerMetadata, unavailable } from './issuer-metadata.js'
import { type HeldKeys, KeyList, type WantedKey } from './key-list.js'
import type { PublicKey } from './public-key.js'

/** Tokens with unknown keys have the keys fetched again this often at most, in this time, however many such tokens come. */
const UNKNOWN_KEY_FETCHES = 5
const UNKNOWN_KEY_SPAN_MS = 30 * SECOND_MS
/** A key that a fetch did not bring is not looked for again for this long. */
const ABSENT_MS = 10 * SECOND_MS
const MAX_ABSENT = 1_000
/** After a fetch that failed, the next one waits for this long; callers get what is held, or an error, at once. */
const FAILED_FETCH_COOL_DOWN_MS = 5 * SECOND_MS
/** For this long after a failed fetch, callers are served with held keys while the next fetch runs. */
const KNOWN_OUTAGE_MS = MINUTE_MS
/** Keys serve for this long after the last good fetch while the issuer cannot be reached. */
const MAX_STALE_MS = DAY_MS

/** Where an issuer publishes its keys. */
export type KeySource =
  | { readonly jwksUri: string }
  | { readonly discoveryUrls: readonly string[]; readonly issuers: readonly string[] }

interface Held {
  readonly list: KeyList
  readonly fetchedAtMs: number
  readonly freshMs: number
}

interface Discovered extends IssuerMetadata {
  readonly readAtMs: number
}

/**
 * The published keys of one issuer, fetched when first needed and kept for as long as the issuer says (60 seconds to
 * 24 hours). Many callers share one fetch; a token with an unknown key delays nobody but itself; an outage of the
 * issuer is bridged for {@link MAX_STALE_MS}.
 */
export class KeySet implements HeldKeys {
  readonly #source: KeySource
  readonly #read: ReadDocument
  readonly #readMetadata: ReadDocument
  readonly #flight = new SharedWork<void>()
  #discovered: Discovered | undefined
  #held: Held | undefined
  #epoch = 0
  /** How many good fetches there were. */
  #round = 0
  /** When keys were fetched for unknown keys. */
  #lookedAtMs: number[] = []
  /** Keys that the last fetches did not bring, and when; the oldest first. */
  readonly #absent = new Map<string, number>()
  #attemptedAtMs: number | undefined
  #failure: InboundAuthError | undefined

  constructor(source: KeySource, options: DocumentOptions = {}) {
    this.#source = source
    this.#read = documentReader(options)
    this.#readMetadata = documentReader({ ...options, followWithinOrigin: true })
  }

  /** The issuer as its metadata spells it, once {@link find} has given a key; `undefined` without discovery. */
  get issuer(): string | undefined {
    return this.#discovered?.issuer
  }

  /** Grows when a fetch brings other keys than are held, or another issuer. */
  get epoch(): number {
    return this.#epoch
  }

  peek(wanted: WantedKey, clock: Clock): PublicKey | undefined {
    const held = this.#held
    if (!held || !isWithin(held.fetchedAtMs, held.freshMs, clock())) return undefined
    return held.list.select(wanted)
  }

  async find(wanted: WantedKey, clock: Clock): Promise<PublicKey> {
    const round = this.#round
    if (!isWithin(this.#held?.fetchedAtMs, this.#held?.freshMs ?? 0, clock())) {
      const refreshed = this.#refresh(clock, FAILED_FETCH_COOL_DOWN_MS)
      // In an outage seen a moment ago, nobody waits for the next attempt while held keys may serve.
      const known = this.#failure && isWithin(this.#attemptedAtMs, KNOWN_OUTAGE_MS, clock())
      if (!known || !this.#mayServe(clock())) await refreshed
    }
    const held = this.#held
    if (!held || !this.#mayServe(clock())) {
      throw unavailable(this.#failure?.reason ?? 'the keys are too old', this.#failure?.cause)
    }
    const key = held.list.select(wanted)
    if (key) return key
    const id = JSON.stringify([wanted.alg, wanted.kid])
    // What was fetched since the token came says for certain that there is no such key.
    if (this.#round === round) {
      if (isWithin(this.#absent.get(id), ABSENT_MS, clock())) throw unknownKey()
      await this.#lookAgain(clock)
    }
    const added = this.#held?.list.select(wanted)
    if (added) return added
    // While the issuer cannot be reached, nobody knows whether the key is a new one.
    if (this.#failure) throw unavailable('the key is unknown, and the keys cannot be fetched again')
    this.#absent.delete(id)
    this.#absent.set(id, clock())
    const [oldest] = this.#absent.keys()
    if (this.#absent.size > MAX_ABSENT && oldest !== undefined) this.#absent.delete(oldest)
    throw unknownKey()
  }

  /**
   * Fetches the keys for a token whose key is unknown. Joins a fetch that runs, at no charge.
   *
   * @throws {@link InboundAuthError} `ERR_KEYS_UNAVAILABLE`: they were fetched too often. Nobody knows whose token it is.
   */
  async #lookAgain(clock: Clock): Promise<void> {
    if (this.#flight.size === 0) {
      const nowMs = clock()
      // After a failure callers get an error at once.
      if (this.#failure && isWithin(this.#attemptedAtMs, FAILED_FETCH_COOL_DOWN_MS, nowMs)) return
      const recent = this.#lookedAtMs.filter((at) => isWithin(at, UNKNOWN_KEY_SPAN_MS, nowMs))
      if (recent.length >= UNKNOWN_KEY_FETCHES) {
        throw unavailable(
          `the key is unknown, and the keys were fetched ${UNKNOWN_KEY_FETCHES} times in ${UNKNOWN_KEY_SPAN_MS / SECOND_MS} s for such tokens`,
        )
      }
      this.#lookedAtMs = [...recent, nowMs]
    }
    await this.#flight.run('keys', () => this.#fetch(clock))
  }

  #mayServe(nowMs: number): boolean {
    return isWithin(this.#held?.fetchedAtMs, MAX_STALE_MS, nowMs)
  }

  /** Fetches the keys, unless the last attempt ended less than `coolDownMs` ago. Joins a fetch that runs. */
  async #refresh(clock: Clock, coolDownMs: number): Promise<void> {
    if (this.#flight.size === 0 && isWithin(this.#attemptedAtMs, coolDownMs, clock())) return
    await this.#flight.run('keys', () => this.#fetch(clock))
  }

  /** Never rejects: it may run with nobody waiting. */
  async #fetch(clock: Clock): Promise<void> {
    try {
      const url = await this.#jwksUri(clock)
      const document = await this.#read(url)
      if (!document.ok) {
        const { what, error } = document
        throw unavailable(`the JWK set at ${describeAddress(url)} cannot be had: ${what}`, error)
      }
      const list = KeyList.read(document.fields)
      if (typeof list === 'string') throw unavailable(list)
      const same = this.#held !== undefined && list.equals(this.#held.list)
      if (!same) this.#epoch++
      // The same keys are kept as they are, ready to use.
      this.#held = {
        list: same ? this.#held!.list : list,
        fetchedAtMs: clock(),
        freshMs: document.freshMs,
      }
      this.#round++
      this.#failure = undefined
    } catch (error) {
      // What is held stays: it may serve on as stale.
      this.#failure =
        error instanceof InboundAuthError ? error : unavailable('the keys cannot be read', error)
    } finally {
      this.#attemptedAtMs = clock()
    }
  }

  async #jwksUri(clock: Clock): Promise<string> {
    if ('jwksUri' in this.#source) return this.#source.jwksUri
    const known = this.#discovered
    // After a failure the metadata is read again: the keys may have moved.
    if (known && !this.#failure && isWithin(known.readAtMs, known.freshMs, clock())) {
      return known.jwksUri
    }
    const { discoveryUrls, issuers } = this.#source
    const metadata = await discover(this.#readMetadata, discoveryUrls, issuers)
    if (known && known.issuer !== metadata.issuer) this.#epoch++
    this.#discovered = { ...metadata, readAtMs: clock() }
    return metadata.jwksUri
  }
}

/** Whether `nowMs` lies in the span that began at `sinceMs`. A clock that was set back ends the span. */
function isWithin(sinceMs: number | undefined, spanMs: number, nowMs: number): boolean {
  return sinceMs !== undefined && nowMs >= sinceMs && nowMs - sinceMs < spanMs
}

function unknownKey(): InboundAuthError {
  return new InboundAuthError('ERR_UNKNOWN_KEY', { reason: 'no key fits the token' })
}
