import { malformed } from './refusal.js'

/** Header fields as they came, in order. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** The most header fields that a signed request may have. */
const MAX_FIELDS = 512
/** The most that their values may hold together. */
const MAX_FIELDS_LENGTH = 131_072

/**
 * The header of a signed request: names in lower case, values in canonical form, which is also the form to act on. What
 * two readers could read differently is refused: control characters, folded lines, names that are no tokens.
 */
export class HeaderFields {
  readonly #values = new Map<string, string>()
  #repeated: Set<string> | undefined

  /** @throws `InboundAuthError` */
  constructor(pairs: HeaderPairs) {
    if (pairs.length > MAX_FIELDS) throw malformed(`more than ${MAX_FIELDS} header fields`)
    let length = 0
    for (const [spelled, value] of pairs) {
      if (typeof spelled !== 'string' || typeof value !== 'string') {
        throw malformed('the header is not made of pairs of strings')
      }
      length += value.length
      if (length > MAX_FIELDS_LENGTH) {
        throw malformed(`header fields hold more than ${MAX_FIELDS_LENGTH} characters`)
      }
      // HTTP/2 (RFC 9113 §8.3.1): :authority is the host. The other three stand in the request itself.
      const name = spelled === ':authority' ? 'host' : spelled.toLowerCase()
      if (name.startsWith(':')) continue
      if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) throw malformed('a header name is no token')
      const before = this.#values.get(name)
      // The signature itself has one spelling: nothing about it is mended.
      const plain = isPlain(value)
      const read = plain || name === 'authorization' ? value : canonicalValue(value)
      this.#values.set(name, before === undefined ? read : `${before},${read}`)
      if (before !== undefined) {
        this.#repeated ??= new Set()
        this.#repeated.add(name)
      }
    }
  }

  /** The canonical value; those of a repeated field joined with a comma. */
  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  isRepeated(name: string): boolean {
    return this.#repeated?.has(name) ?? false
  }

  names(): IterableIterator<string> {
    return this.#values.keys()
  }
}

/**
 * Whether a value is in canonical form already: no blank at its ends, no two together.
 *
 * @throws `InboundAuthError` It holds a control character.
 */
function isPlain(value: string): boolean {
  let plain = true
  let before = 0x20
  // Not a regular expression: this reads every character of every header, and takes half the time.
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code <= 0x20 || code === 0x7f) {
      if (code !== 0x20 && code !== 0x09)
        throw malformed('a header value holds a control character')
      if (code === 0x09 || before === 0x20) plain = false
    }
    before = code
  }
  return plain && (before !== 0x20 || value === '')
}

/** Trimmed, and runs of blanks as one space. */
function canonicalValue(value: string): string {
  return value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')
}
