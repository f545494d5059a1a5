import type { Digest, SigningKey, Soon } from './digest.js'

/** How many callers' keys are kept. */
export const MAX_SIGNING_KEYS = 1_000

interface Kept {
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

  constructor(digest: Digest, region: string, service: string) {
    this.#digest = digest
    this.#region = region
    this.#service = service
  }

  /** @param date `YYYYMMDD`. */
  get(accessKeyId: string, secret: string, date: string): Soon<SigningKey> {
    const id = `${date}/${accessKeyId}`
    const kept = this.#kept.get(id)
    if (kept !== undefined && kept.secret === secret) return kept.key
    const scope = [date, this.#region, this.#service, 'aws4_request']
    const key = this.#digest.signingKey(secret, scope)
    if (key instanceof Promise) return key.then((made) => this.#keep(id, secret, made))
    return this.#keep(id, secret, key)
  }

  get size(): number {
    return this.#kept.size
  }

  #keep(id: string, secret: string, key: SigningKey): SigningKey {
    this.#kept.delete(id)
    // The oldest goes first, and with it yesterday's.
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MAX_SIGNING_KEYS) break
      this.#kept.delete(oldest)
    }
    this.#kept.set(id, { secret, key })
    return key
  }
}
