import type { AccessToken } from '../access-token.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import type { TokenRequest } from '../context/credential-source.js'
import type { Flow } from '../providers/provider.js'
import { type Acting, actingKey, ownerKey } from '../workload/acting.js'
import { consentScopes } from './grant.js'

/** How long tokens in memory are served, in milliseconds. Tests and proofs pass shorter times. */
export interface CacheTiming {
  /** After this time a token in memory is looked up again, while it is still served. */
  readonly cacheCheckMs: number
  /** A token in memory older than this waits for the look-up. */
  readonly cacheMaxAgeMs: number
  /** The same, while the store does not answer. */
  readonly cacheOutageMs: number
}

export const cacheTiming: CacheTiming = Object.freeze({
  cacheCheckMs: 10 * SECOND_MS,
  cacheMaxAgeMs: 30 * SECOND_MS,
  cacheOutageMs: 5 * MINUTE_MS,
})

/** How many tokens are kept in memory by default. */
export const CACHE_MAX_TOKENS = 10_000
/** Different wishes that one (workload, user) may have in memory; the oldest gives way. */
const MAX_OF_ONE = 64
/** What they may take together, as it is estimated. */
export const CACHE_MAX_BYTES = 67_108_864
/** An entry without its token and scopes. */
const ENTRY_BYTES = 512
/** While the store does not answer, it is asked again no sooner than this. */
const RETRY_MS = 1_000

/** What may be served without a look into the vault. */
export interface CachedToken {
  readonly token: AccessToken
  readonly flow: Flow
  readonly account: string | undefined
  /** When the user's list of accounts said so, in milliseconds since the epoch. */
  readonly accountReadMs: number
  /** The row that it is from. */
  readonly row: string
  /** What it serves: the scopes of token and grant together. */
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly usableUntilMs: number
  readonly renewFromMs: number
}

/** A token, and for which wishes it is. */
interface Entry extends CachedToken {
  readonly asked: Pick<TokenRequest, 'provider' | 'flow' | 'resource' | 'account'>
  readonly sinceMs: number
  readonly slot: Slot
  readonly bytes: number
  untilMs: number
  checkFromMs: number
}

/** What one (workload, user) has in memory. */
interface Slot {
  readonly key: string
  readonly entries: Entry[]
  used: boolean
}

/**
 * Decrypted tokens in this process's memory. Bounded in number and bytes: over the limit, whoever was not served for longest
 * goes first.
 *
 * A token is served for ten seconds; then it is served on while the vault is asked once. After thirty seconds without an
 * answer callers wait for one; while the store fails, five minutes are the end. What this process changes is dropped at
 * once.
 */
export class TokenCache {
  readonly #maxTokens: number
  readonly #timing: CacheTiming
  readonly #slots = new Map<string, Slot>()
  readonly #byRow = new Map<string, Set<Entry>>()
  #size = 0
  #bytes = 0
  #epoch = 0
  #ownerEpoch = 0

  constructor(maxTokens: number, timing: CacheTiming) {
    this.#maxTokens = maxTokens
    this.#timing = timing
  }

  get size(): number {
    return this.#size
  }

  /** About what they take. */
  get bytes(): number {
    return this.#bytes
  }

  /** Grows whenever something was dropped: what was read before may be old by now. */
  get epoch(): number {
    return this.#epoch
  }

  /** Grows whenever connections have changed: a token that was renewed meanwhile may be of one that has ended. */
  get ownerEpoch(): number {
    return this.#ownerEpoch
  }

  /** The token for exactly this wish. The look-up compares every part by itself, so no two wishes can meet. */
  find(acting: Acting, request: TokenRequest, nowMs: number): CachedToken | undefined {
    const entry = this.#entry(acting, request)
    if (entry === undefined || nowMs >= entry.untilMs || nowMs < entry.sinceMs) return undefined
    return nowMs < entry.usableUntilMs ? entry : undefined
  }

  /** Whether the vault should be asked about `found`; says so once, and again a second later. */
  takeCheck(found: CachedToken, nowMs: number): boolean {
    const entry = found as Entry
    if (nowMs < entry.checkFromMs) return false
    entry.checkFromMs = nowMs + RETRY_MS
    return true
  }

  /** The token for this wish, though the vault should have been asked: for when the store does not answer. */
  lastResort(acting: Acting, request: TokenRequest, nowMs: number): CachedToken | undefined {
    const entry = this.#entry(acting, request)
    if (entry === undefined || entry.token.value === request.rejected?.value) return undefined
    this.outage(entry, nowMs)
    return this.find(acting, request, nowMs)
  }

  /** The store did not answer when it was asked about `found`. */
  outage(found: CachedToken, nowMs: number): void {
    const entry = found as Entry
    entry.untilMs = entry.sinceMs + this.#timing.cacheOutageMs
    entry.checkFromMs = nowMs + RETRY_MS
  }

  put(acting: Acting, request: TokenRequest, cached: CachedToken, nowMs: number): void {
    const key = actingKey(acting)
    if (key === undefined) return
    let slot = this.#slots.get(key)
    if (!slot) {
      slot = { key, entries: [], used: false }
      this.#slots.set(key, slot)
    }
    const { provider, flow, resource, account } = request
    const old = this.#in(slot, request)
    if (old) this.#remove(old)
    if (slot.entries.length >= MAX_OF_ONE) this.#remove(slot.entries[0]!)
    this.#slots.set(key, slot)
    const { cacheCheckMs, cacheMaxAgeMs } = this.#timing
    const entry: Entry = {
      ...cached,
      asked: { provider, flow, resource, account },
      sinceMs: nowMs,
      slot,
      bytes: bytesOf(cached),
      untilMs: nowMs + cacheMaxAgeMs,
      // Past its time the look-up that brought it has begun to renew it: looking again at once would only read the vault.
      checkFromMs:
        cached.renewFromMs > nowMs
          ? Math.min(nowMs + cacheCheckMs, cached.renewFromMs)
          : nowMs + Math.min(RETRY_MS, cacheCheckMs),
    }
    slot.entries.push(entry)
    const sameRow = this.#byRow.get(cached.row)
    if (sameRow) sameRow.add(entry)
    else this.#byRow.set(cached.row, new Set([entry]))
    this.#size++
    this.#bytes += entry.bytes
    if (!this.#fits()) this.#makeRoom()
  }

  /** Drops the token for this wish: the vault was asked, and has none. */
  dropWish(acting: Acting, request: TokenRequest): void {
    const entry = this.#entry(acting, request)
    if (entry) this.drop(entry)
  }

  drop(found: CachedToken): void {
    this.#epoch++
    this.#remove(found as Entry)
  }

  /** Drops every token of a row. */
  dropRow(row: string): void {
    this.#epoch++
    for (const entry of this.#byRow.get(row) ?? []) this.#remove(entry)
  }

  /** Drops every token of a (workload, user): its connections have changed. */
  dropOwner(acting: Pick<Acting, 'workload' | 'user'>): void {
    this.#epoch++
    this.#ownerEpoch++
    for (const entry of [...(this.#slots.get(ownerKey(acting))?.entries ?? [])]) this.#remove(entry)
  }

  clear(): void {
    this.#epoch++
    this.#ownerEpoch++
    this.#slots.clear()
    this.#byRow.clear()
    this.#size = 0
    this.#bytes = 0
  }

  #entry(acting: Acting, request: TokenRequest): Entry | undefined {
    const key = actingKey(acting)
    if (key === undefined) return undefined
    const slot = this.#slots.get(key)
    if (slot === undefined) return undefined
    slot.used = true
    const entry = this.#in(slot, request)
    return entry !== undefined && covers(entry.scopes, request.scopes) ? entry : undefined
  }

  #in(slot: Slot, request: TokenRequest): Entry | undefined {
    const { entries } = slot
    const { provider, flow, resource, account } = request
    for (let i = 0; i < entries.length; i++) {
      const { asked } = entries[i]!
      if (
        asked.provider === provider &&
        asked.account === account &&
        asked.resource === resource &&
        asked.flow === flow
      ) {
        return entries[i]
      }
    }
    return undefined
  }

  #remove(entry: Entry): void {
    const { slot, row } = entry
    const at = slot.entries.indexOf(entry)
    if (at < 0) return
    slot.entries.splice(at, 1)
    if (slot.entries.length === 0) this.#slots.delete(slot.key)
    const sameRow = this.#byRow.get(row)
    sameRow?.delete(entry)
    if (sameRow?.size === 0) this.#byRow.delete(row)
    this.#size--
    this.#bytes -= entry.bytes
  }

  #fits(): boolean {
    return this.#size <= this.#maxTokens && this.#bytes <= CACHE_MAX_BYTES
  }

  /** Second chance: who was served since the last round goes to the end of the queue instead. */
  #makeRoom(): void {
    for (const [key, slot] of this.#slots) {
      if (slot.used) {
        slot.used = false
        this.#slots.delete(key)
        this.#slots.set(key, slot)
        continue
      }
      for (const entry of [...slot.entries]) this.#remove(entry)
      if (this.#fits()) return
    }
  }
}

/** Two bytes a character, at the most. Of scopes it holds a list of its own. */
function bytesOf({ token, scopes }: CachedToken): number {
  let characters = token.value.length
  for (const scope of scopes) characters += scope.length + 8
  for (const scope of token.scopes) characters += scope.length + 8
  return ENTRY_BYTES + 2 * characters
}

function covers(scopes: readonly string[], wanted: readonly string[] | undefined): boolean {
  if (wanted === undefined) return true
  if (!Array.isArray(wanted)) return false // a mistake, which the long way explains
  const many = wanted.length > 8 ? new Set(scopes) : undefined
  for (let i = 0; i < wanted.length; i++) {
    const scope = wanted[i] as string
    if (!(many ? many.has(scope) : scopes.includes(scope)) && !consentScopes.has(scope))
      return false
  }
  return true
}
