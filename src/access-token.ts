import { checkObject } from './option-names.js'

const inspect = Symbol.for('nodejs.util.inspect.custom')

/** What an {@link AccessToken} shows of itself. */
export interface AccessTokenFacts {
  /** `Bearer` or `DPoP`, spelled as RFC 6750 and RFC 9449 spell it. */
  readonly tokenType: string
  /** Milliseconds since the epoch; absent when the server gave no lifetime. */
  readonly expiresAtMs?: number | undefined
  /** Scopes that the token was granted. */
  readonly scopes: readonly string[]
  /** Scopes that were asked for when the grant was made and that were not granted. */
  readonly missingScopes: readonly string[]
  readonly provider: string
  /** The account's label, where the grant is a user's. */
  readonly account?: string | undefined
}

/**
 * A token for the next service. `value` and `authorization` are getters on the prototype: printing and JSON show
 * `[redacted]`, spreading and cloning do not carry them.
 */
export class AccessToken implements AccessTokenFacts {
  readonly #value: string
  readonly tokenType: string
  declare readonly expiresAtMs?: number
  readonly scopes: readonly string[]
  readonly missingScopes: readonly string[]
  readonly provider: string
  declare readonly account?: string

  constructor(value: string, facts: AccessTokenFacts) {
    checkObject(facts, 'AccessToken', 'a token and its facts')
    this.#value = value
    this.tokenType = facts.tokenType
    if (facts.expiresAtMs !== undefined) this.expiresAtMs = facts.expiresAtMs
    this.scopes = Object.freeze([...facts.scopes])
    this.missingScopes = Object.freeze([...facts.missingScopes])
    this.provider = facts.provider
    if (facts.account !== undefined) this.account = facts.account
    Object.freeze(this)
  }

  /** The token. */
  get value(): string {
    return this.#value
  }

  /** The ready value of an `Authorization` header, such as `Bearer …`. */
  get authorization(): string {
    return `${this.tokenType} ${this.#value}`
  }

  toString(): string {
    return '[redacted: use .value or .authorization]'
  }

  toJSON(): AccessTokenFacts & { readonly value: string } {
    return { value: '[redacted]', ...this.#facts() }
  }

  [inspect](
    _depth: number,
    options: object,
    print: (value: unknown, options: object) => string,
  ): string {
    return `AccessToken ${print({ value: '[redacted]', ...this.#facts() }, options)}`
  }

  #facts(): AccessTokenFacts {
    const { tokenType, expiresAtMs, scopes, missingScopes, provider, account } = this
    return { tokenType, expiresAtMs, scopes, missingScopes, provider, account }
  }
}
