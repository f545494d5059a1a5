import { HeaderLayout, type HeaderLayouts, type HeaderPairs } from './header-layout.js'
import { malformed } from './refusal.js'

/** The most that the values of all fields may hold together. */
const MAX_FIELDS_LENGTH = 131_072

/**
 * The header of a signed request: names in lower case, values in canonical form, which is also the form to act on. What
 * two readers could read differently is refused: control characters, folded lines, names that are no tokens.
 */
export class HeaderFields {
  readonly layout: HeaderLayout
  /** Canonical, by slot; those of a repeated field joined with a comma. */
  readonly values: readonly string[]
  /** Whether all values are ASCII. Other characters stand for bytes as they came: U+00E9 for the byte E9. */
  readonly isAscii: boolean

  /** @throws `InboundAuthError` */
  constructor(pairs: HeaderPairs, layouts?: HeaderLayouts) {
    const layout = layouts ? layouts.of(pairs) : new HeaderLayout(pairs)
    const { slotOf, authorization, hasRepeated } = layout
    const values: string[] = []
    let length = 0
    let isAscii = true
    for (let at = 0; at < slotOf.length; at++) {
      const value = pairs[at]![1]
      if (typeof value !== 'string') throw malformed('the header is not made of pairs of strings')
      length += value.length
      if (length > MAX_FIELDS_LENGTH) {
        throw malformed(`header fields hold more than ${MAX_FIELDS_LENGTH} characters`)
      }
      const slot = slotOf[at]!
      if (slot === -1) continue
      // The signature itself has one spelling: nothing about it is mended, and whoever reads it checks it.
      const asIs = slot === authorization || isKnownPlain(layout, at, value)
      const read = asIs ? value : canonicalValue(value)
      if (!asIs && !ascii.test(value)) isAscii = false
      // Slots are numbered as names come, so that only a name that came before has one that is filled.
      if (hasRepeated && slot < values.length) values[slot] += `,${read}`
      else values.push(read)
    }
    this.layout = layout
    this.values = values
    this.isAscii = isAscii
  }

  get(name: string): string | undefined {
    const slot = this.layout.slot(name)
    return slot === undefined ? undefined : this.values[slot]
  }
}

/** To compare a value with the one before costs a tenth of reading it. */
function isKnownPlain(layout: HeaderLayout, at: number, value: string): boolean {
  if (layout.isKnown(at, value)) return true
  if (!isPlain(value)) return false
  layout.know(at, value)
  return true
}

/** Shorter values are read faster by a loop than by a regular expression. */
const SHORT = 24
const printable = /^[\x20-\x7e]*$/
const ascii = /^[\0-\x7f]*$/

/**
 * Whether a value is ASCII and in canonical form already: no blank at its ends, no two together.
 *
 * @throws `InboundAuthError` It holds a control character.
 */
export function isPlain(value: string): boolean {
  // Two searches, and together a third of the time of the loop, which would read every character of every header.
  if (value.length >= SHORT && printable.test(value)) {
    return (
      value.charCodeAt(0) !== 0x20 &&
      value.charCodeAt(value.length - 1) !== 0x20 &&
      !value.includes('  ')
    )
  }
  let plain = true
  let before = 0x20
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code <= 0x20 || code === 0x7f) {
      if (code !== 0x20 && code !== 0x09)
        throw malformed('a header value holds a control character')
      if (code === 0x09 || before === 0x20) plain = false
    } else if (code > 0x7f) {
      plain = false
    }
    before = code
  }
  return plain && (before !== 0x20 || value === '')
}

/** Trimmed, and runs of blanks as one space. */
function canonicalValue(value: string): string {
  return value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')
}
