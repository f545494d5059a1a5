import { isWellFormed, textOf } from '../bytes.js'

/** How deep objects and arrays may nest by default. */
const MAX_JSON_DEPTH = 32

/** Why bytes are not strict JSON. */
export type JsonRefusal =
  | 'not_utf8'
  | 'byte_order_mark'
  | 'not_json'
  | 'too_deep'
  | 'duplicate_key'
  | 'lone_surrogate'
  | 'number_out_of_range'

/** A parsed object: no prototype, so that a key such as `__proto__` is data like any other. */
export type JsonObject = Readonly<Record<string, unknown>>

export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: JsonRefusal }

/**
 * Parses JSON of which every reader sees the same value: the subset of
 * [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) that
 * [RFC 7493](https://www.rfc-editor.org/rfc/rfc7493#section-2) (I-JSON) asks for, with a limit on depth. The value is
 * deeply frozen and its objects have no prototype. Never throws.
 *
 * @param maxDepth How deep objects and arrays may nest; default {@link MAX_JSON_DEPTH}, at most 128.
 */
export function parseStrictJson(bytes: Uint8Array, maxDepth = MAX_JSON_DEPTH): StrictJson {
  const text = textOf(bytes)
  return text === undefined ? refuse('not_utf8') : parseStrictText(text, maxDepth)
}

/** As {@link parseStrictJson}, for text that was decoded strictly. */
export function parseStrictText(text: string, maxDepth = MAX_JSON_DEPTH): StrictJson {
  if (text.charCodeAt(0) === 0xfeff) return refuse('byte_order_mark')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('not_json')
  }
  const depth = Math.min(maxDepth, 128)
  const hasEscapes = text.indexOf('\\') !== -1
  const seen: Seen = { keys: 0, length: 0, hasEscapes, isPolluted: isPolluted() }
  try {
    const frozenValue = frozen(value, seen, depth)
    // JSON.parse keeps the last of several members with one name, and so leaves out at least `"":0,`. A text with no
    // room for that is sound. In others, such as one with spaces, its members are counted.
    if (text.length - seen.length < SHORTEST_MEMBER) return { ok: true, value: frozenValue }
    const keysWritten = countKeys(text, depth)
    if (keysWritten === undefined) return refuse('too_deep')
    return seen.keys === keysWritten ? { ok: true, value: frozenValue } : refuse('duplicate_key')
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return refuse(countKeys(text, depth) === undefined ? 'too_deep' : error.refusal)
  }
}

/** Whether a parsed value is an object, and not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refuse(reason: JsonRefusal): StrictJson {
  return { ok: false, reason }
}

class Refused extends Error {
  constructor(readonly refusal: JsonRefusal) {
    super(refusal)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** How many members text that is known to be JSON writes: one a colon outside strings. `undefined` when it is too deep. */
function countKeys(text: string, maxDepth: number): number | undefined {
  let keys = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at)
        break
      case 0x3a: // :
        keys++
        break
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > maxDepth) return undefined
        break
      case 0x7d: // }
      case 0x5d: // ]
        depth--
    }
  }
  return keys
}

/** Where the string that opens at `start` closes: at the first quote behind an even number of backslashes. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    let first = at
    while (text.charCodeAt(first - 1) === BACKSLASH) first--
    if ((at - first) % 2 === 0) return at
  }
}

/** What a member takes that is written once more: two quotes, a colon, a comma and a value of one character. */
const SHORTEST_MEMBER = 5

/** What was found in a value. */
interface Seen {
  keys: number
  /** The fewest characters in which the value can be written. */
  length: number
  readonly hasEscapes: boolean
  readonly isPolluted: boolean
}

/** Whether somebody gave all objects a member, which a loop over those of a parsed object would meet. */
function isPolluted(): boolean {
  for (const _ in {}) return true
  return false
}

function frozen(value: unknown, seen: Seen, depth: number): unknown {
  if (typeof value === 'string') {
    seen.length += value.length + 2
    return wellFormed(value, seen.hasEscapes)
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Refused('number_out_of_range')
    seen.length += shortestNumber(value)
    return value
  }
  if (typeof value !== 'object' || value === null) {
    seen.length += value === false ? 5 : 4
    return value
  }
  if (depth === 0) throw new Refused('too_deep')
  if (Array.isArray(value)) {
    // Two brackets, and a comma between two items.
    seen.length += value.length === 0 ? 2 : value.length + 1
    for (let at = 0; at < value.length; at++) {
      const item: unknown = value[at]
      if (typeof item === 'string' && !seen.hasEscapes) seen.length += item.length + 2
      else value[at] = frozen(item, seen, depth - 1)
    }
    return Object.freeze(value)
  }
  // Not Object.create(null), which V8 makes a hash table, four times slower to fill and freeze.
  const out: Record<string, unknown> = Object.setPrototypeOf({}, null)
  const fields = value as Record<string, unknown>
  let keys = 0
  let length = 0
  for (const key in fields) {
    if (seen.isPolluted && !Object.hasOwn(fields, key)) continue
    const item = fields[key]
    keys++
    length += key.length
    if (seen.hasEscapes) wellFormed(key, true)
    if (typeof item === 'string' && !seen.hasEscapes) {
      length += item.length + 2
      out[key] = item
    } else {
      out[key] = frozen(item, seen, depth - 1)
    }
  }
  seen.keys += keys
  // Two braces, and of each member two quotes, a colon and a comma, but for the last.
  seen.length += length + (keys === 0 ? 2 : keys * 4 + 1)
  return Object.freeze(out)
}

/** The fewest characters of a number: its digits, when it is whole and an exponent saves none; else at least one. */
function shortestNumber(value: number): number {
  if (!Number.isSafeInteger(value) || value < 10 || value % 1000 === 0) return 1
  let digits = 2
  for (let power = 100; value >= power; power *= 10) digits++
  return digits
}

// Decoded UTF-8 holds no lone surrogate, so that only an escape can make one.
function wellFormed(text: string, hasEscapes: boolean): string {
  if (hasEscapes && !isWellFormed(text)) throw new Refused('lone_surrogate')
  return text
}
