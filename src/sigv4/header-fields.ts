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
  readonly #repeated = new Set<string>()

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
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) {
        throw malformed('a header value holds a control character')
      }
      const before = this.#values.get(name)
      // The signature itself has one spelling: nothing about it is mended.
      const read = name === 'authorization' ? value : canonicalValue(value)
      this.#values.set(name, before === undefined ? read : `${before},${read}`)
      if (before !== undefined) this.#repeated.add(name)
    }
  }

  /** The canonical value; those of a repeated field joined with a comma. */
  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  isRepeated(name: string): boolean {
    return this.#repeated.has(name)
  }

  names(): IterableIterator<string> {
    return this.#values.keys()
  }
}

/** Trimmed, and runs of blanks as one space. */
function canonicalValue(value: string): string {
  if (!/^ | $| {2}|\t/.test(value)) return value
  return value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')
}
