import { after, type Digest, type SigningKey, type Soon } from './digest.js'

/** How many callers' keys are kept. */
export const MAX_SIGNING_KEYS = 1_000

interface Kept {
  readonly accessKeyId: string
  readonly date: string
  readonly secret: string
  readonly key: SigningKey
}

/**
 * Signing keys of one region and service, kept by access key id and day: deriving one costs four times a verification.
 * A new secret for the id replaces the key.
 */
export class SigningKeys {
  readonly #digest: Digest
  readonly #region: string
  readonly #service: string
  readonly #kept = new Map<string, Kept>()
  #last: Kept | undefined

  constructor(digest: Digest, region: string, service: string) {
    this.#digest = digest
    this.#region = region
    this.#service = service
  }

  /**
   * The key, if it is kept.
   *
   * @param date `YYYYMMDD`.
   */
  kept(accessKeyId: string, secret: string, date: string): SigningKey | undefined {
    const last = this.#last
    // Whoever comes several times in a row needs no look-up.
    if (last?.accessKeyId === accessKeyId && last.date === date && last.secret === secret) {
      return last.key
    }
    const kept = this.#kept.get(`${date}/${accessKeyId}`)
    if (kept === undefined || kept.secret !== secret) return undefined
    this.#last = kept
    return kept.key
  }

  /** A key that is not kept: it is derived, and kept from now on. */
  make(accessKeyId: string, secret: string, date: string): Soon<SigningKey> {
    return after(this.derive(secret, date), (key) =>
      this.#keep(`${date}/${accessKeyId}`, { accessKeyId, date, secret, key }),
    )
  }

  /** A key that is kept by nobody. */
  derive(secret: string, date: string): Soon<SigningKey> {
    return this.#digest.signingKey(secret, [date, this.#region, this.#service, 'aws4_request'])
  }

  get size(): number {
    return this.#kept.size
  }

  #keep(id: string, made: Kept): SigningKey {
    this.#kept.delete(id)
    // The oldest goes first, and with it yesterday's.
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MAX_SIGNING_KEYS) break
      this.#kept.delete(oldest)
    }
    this.#kept.set(id, made)
    this.#last = made
    return made.key
  }
}
