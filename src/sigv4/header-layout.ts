import { malformed } from './refusal.js'

/** Header fields as they came, in order. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** The most header fields that a signed request may have. */
const MAX_FIELDS = 512

/** The names of a header, in order: the same in all requests of one client. What follows from them is kept here. */
export class HeaderLayout {
  /** As they came. */
  readonly #spelled: readonly string[]
  readonly #slots = new Map<string, number>()
  readonly #repeated = new Set<string>()
  /** Where the value of each field goes; -1 for one that is passed over. */
  readonly slotOf: readonly number[]
  /** The slot of the signature, whose value is read elsewhere. */
  readonly authorization: number
  /** Of each field the last value that was in canonical form: session token, host and type seldom change. */
  readonly #plain: string[]
  #signed: SignedLayout | undefined

  /** @throws `InboundAuthError` */
  constructor(pairs: HeaderPairs) {
    if (pairs.length > MAX_FIELDS) throw malformed(`more than ${MAX_FIELDS} header fields`)
    this.slotOf = pairs.map(([spelled]) => {
      if (typeof spelled !== 'string') throw malformed('the header is not made of pairs of strings')
      // HTTP/2 (RFC 9113 §8.3.1): :authority is the host. The other three stand in the request itself.
      const name = spelled === ':authority' ? 'host' : spelled.toLowerCase()
      if (name.startsWith(':')) return -1
      if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) throw malformed('a header name is no token')
      const before = this.#slots.get(name)
      if (before !== undefined) {
        this.#repeated.add(name)
        return before
      }
      this.#slots.set(name, this.#slots.size)
      return this.#slots.size - 1
    })
    this.#spelled = pairs.map(([spelled]) => spelled)
    this.authorization = this.#slots.get('authorization') ?? -1
    this.#plain = pairs.map(() => '')
  }

  /** Whether these are the fields it was made of, name by name. */
  fits(pairs: HeaderPairs): boolean {
    const spelled = this.#spelled
    if (pairs.length !== spelled.length) return false
    for (let at = 0; at < spelled.length; at++) if (pairs[at]![0] !== spelled[at]) return false
    return true
  }

  /** Whether this value of the field at `at` was last seen to be in canonical form. */
  isKnown(at: number, value: string): boolean {
    return this.#plain[at] === value
  }

  know(at: number, value: string): void {
    if (value.length <= MAX_REMEMBERED_VALUE) this.#plain[at] = value
  }

  get hasRepeated(): boolean {
    return this.#repeated.size > 0
  }

  slot(name: string): number | undefined {
    return this.#slots.get(name)
  }

  isRepeated(name: string): boolean {
    return this.#repeated.has(name)
  }

  names(): IterableIterator<string> {
    return this.#slots.keys()
  }

  /**
   * @param list `SignedHeaders`, whose parts `names` are.
   * @throws `InboundAuthError` One is not there.
   */
  signed(list: string, names: readonly string[]): SignedLayout {
    if (this.#signed?.list === list) return this.#signed
    const slots = names.map((name) => {
      // Names of fields are in lower case, so another spelling is a name that is not there.
      const slot = this.#slots.get(name)
      if (slot === undefined) throw malformed('SignedHeaders names a header that is not there')
      return slot
    })
    this.#signed = { list, slots, before: names.map((name) => `\n${name}:`), covers: undefined }
    return this.#signed
  }
}

/** What follows from the names and from which of them are signed. */
export interface SignedLayout {
  readonly list: string
  /** Of the signed fields, in their order. */
  readonly slots: readonly number[]
  /** What stands in front of each value in the canonical request. */
  readonly before: readonly string[]
  /** The rules by which enough of them is signed, and none stands twice that may not. */
  covers: object | undefined
}

/** How many layouts are remembered: anybody can bring a new one, and finding one is a search. */
const MAX_LAYOUTS = 8
const MAX_REMEMBERED_FIELDS = 64
const MAX_REMEMBERED_LENGTH = 4_096
const MAX_REMEMBERED_VALUE = 2_048

/** Remembers layouts, the last one used first. */
export class HeaderLayouts {
  readonly #kept: HeaderLayout[] = []

  /** @throws `InboundAuthError` */
  of(pairs: HeaderPairs): HeaderLayout {
    const kept = this.#kept
    for (let at = 0; at < kept.length; at++) {
      const layout = kept[at]!
      if (!layout.fits(pairs)) continue
      if (at > 0) {
        kept[at] = kept[at - 1]!
        kept[at - 1] = layout
      }
      return layout
    }
    const made = new HeaderLayout(pairs)
    if (pairs.length <= MAX_REMEMBERED_FIELDS && lengthOf(pairs) <= MAX_REMEMBERED_LENGTH) {
      if (kept.length === MAX_LAYOUTS) kept.pop()
      kept.push(made)
    }
    return made
  }
}

function lengthOf(pairs: HeaderPairs): number {
  let length = 0
  for (const [name] of pairs) length += name.length
  return length
}
