import { utf8 } from '../bytes.js'
import type { Clock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isJsonObject, parseStrictJson } from '../strict-json.js'
import type { JwsAlgorithm } from './algorithm.js'
import { PublicKey } from './public-key.js'

/** The most members that a JWK set may have. */
const MAX_KEYS = 100

/** What a token says about its key. */
export interface WantedKey {
  readonly alg: JwsAlgorithm
  readonly kid?: string
}

/** Where a verifier takes keys from. */
export interface KeyLookup {
  /**
   * The one key that `wanted` names.
   *
   * @throws {@link InboundAuthError} `ERR_UNKNOWN_KEY`, or `ERR_KEYS_UNAVAILABLE` when it cannot be told now.
   */
  find(wanted: WantedKey, clock: Clock): Promise<PublicKey>
  /** The same without waiting; `undefined` when {@link find} has to be asked. */
  peek?(wanted: WantedKey, clock: Clock): PublicKey | undefined
}

/** Keys that are kept, and may be others later. */
export interface HeldKeys extends KeyLookup {
  peek(wanted: WantedKey, clock: Clock): PublicKey | undefined
  /** Another number whenever other keys are held: what was verified before may no longer be trusted. */
  readonly epoch: number
}

/** A JWK set, as a literal in options. */
export interface JsonWebKeySet {
  readonly keys: readonly JsonWebKey[]
}

/** The usable keys of one JWK set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). */
export class KeyList implements HeldKeys {
  readonly epoch = 0
  readonly #keys: readonly PublicKey[]
  /** Why members were left out, each with its place. */
  readonly leftOut: readonly string[]

  private constructor(keys: readonly PublicKey[], leftOut: readonly string[]) {
    this.#keys = keys
    this.leftOut = leftOut
  }

  /** Keys of a parsed JWK set; a text that says why when it is none. Members that must not verify are left out. */
  static read(set: unknown): KeyList | string {
    const members = isJsonObject(set) ? set.keys : undefined
    if (!Array.isArray(members)) return 'the JWK set has no list of keys'
    if (members.length > MAX_KEYS) return `the JWK set has more than ${MAX_KEYS} keys`
    const keys: PublicKey[] = []
    const leftOut: string[] = []
    for (const [place, member] of members.entries()) {
      const key = PublicKey.read(member)
      if (typeof key === 'string') leftOut.push(`keys[${place}] ${key}`)
      else keys.push(key)
    }
    return new KeyList(keys, leftOut)
  }

  /**
   * Keys written in options.
   *
   * @throws `TypeError` when one of them is not a public signature key, or there is none.
   */
  static fromOptions(jwks: JsonWebKeySet, option: string): KeyList {
    const json = parseStrictJson(utf8(JSON.stringify(jwks) ?? ''))
    const list = json.ok ? KeyList.read(json.value) : 'it is not JSON'
    if (typeof list === 'string') throw new TypeError(`${option} is not usable: ${list}.`)
    const [first] = list.leftOut
    if (first !== undefined) throw new TypeError(`${option}.${first}. Leave it out.`)
    if (list.size === 0) throw new TypeError(`${option} holds no key. Add a public key.`)
    return list
  }

  get size(): number {
    return this.#keys.length
  }

  /**
   * The key that `wanted` names; `undefined` when there is none. A token without a `kid` gets the only key that fits. One
   * key that is in the set twice is one key.
   *
   * @throws {@link InboundAuthError} `ERR_UNKNOWN_KEY`: several keys fit, and trying them in turn would be a guess.
   */
  select(wanted: WantedKey): PublicKey | undefined {
    let fitting: PublicKey | undefined
    for (const key of this.#keys) {
      if (wanted.kid !== undefined && key.kid !== wanted.kid) continue
      if (!key.fits(wanted.alg)) continue
      if (fitting && !fitting.isSameKey(key)) {
        throw new InboundAuthError('ERR_UNKNOWN_KEY', {
          reason: 'more than one key fits the token',
        })
      }
      fitting ??= key
    }
    return fitting
  }

  peek(wanted: WantedKey): PublicKey | undefined {
    return this.select(wanted)
  }

  /** Whether the other list holds the same keys in the same order. */
  equals(other: KeyList): boolean {
    const [own, others] = [this.#keys, other.#keys]
    return own.length === others.length && own.every((key, at) => key.equals(others[at]!))
  }

  async find(wanted: WantedKey): Promise<PublicKey> {
    const key = this.select(wanted)
    if (!key) throw new InboundAuthError('ERR_UNKNOWN_KEY', { reason: 'no key fits the token' })
    return key
  }
}
