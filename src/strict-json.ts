import { isWellFormed, textOf } from './bytes.js'

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
  const json = parseOpenText(textOf(bytes), maxDepth)
  return json.ok ? { ok: true, value: seal(json.value) } : json
}

/**
 * As {@link parseStrictJson}, for who seals the value later, or never: it is not frozen, and of its objects only the one
 * at the top has lost its prototype. {@link seal} an object below before looking into it.
 *
 * @param text Decoded strictly; `undefined` when it could not be.
 */
export function parseOpenText(text: string | undefined, maxDepth = MAX_JSON_DEPTH): StrictJson {
  if (text === undefined) return refuse('not_utf8')
  if (text.charCodeAt(0) === 0xfeff) return refuse('byte_order_mark')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('not_json')
  }
  const depth = Math.min(maxDepth, 128)
  const careful = text.indexOf('\\') !== -1 || isPolluted()
  try {
    // JSON.parse keeps the last of several members with one name, and so leaves out at least `"":0,`. A text with no
    // room for that is sound. In others, such as one with spaces, its members are counted.
    if (text.length - shortestLength(value, depth, careful) >= SHORTEST_MEMBER) {
      const written = countKeys(text, depth)
      if (written === undefined) return refuse('too_deep')
      if (written !== countMembers(value)) return refuse('duplicate_key')
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return refuse(countKeys(text, depth) === undefined ? 'too_deep' : error.refusal)
  }
  return { ok: true, value: isJsonObject(value) ? Object.setPrototypeOf(value, null) : value }
}

/** What JSON.parse made, frozen to the last level, its objects without a prototype. Sealed again, it is a copy. */
export function seal<T>(value: T): T
export function seal(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return Object.freeze(value.map(seal))
  // A copy, since V8 gives every single object that is frozen without its old prototype a hidden class of its own. And
  // not Object.create(null), which V8 makes a hash table, four times slower to fill and freeze.
  const copy: Record<string, unknown> = Object.setPrototypeOf({}, null)
  for (const [name, item] of Object.entries(value)) copy[name] = seal(item)
  return Object.freeze(copy)
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

/** Whether somebody gave all objects a member, which a loop over those of a parsed object would meet. */
function isPolluted(): boolean {
  for (const _ in {}) return true
  return false
}

/**
 * The fewest characters in which the value can be written.
 *
 * @param careful Whether text may hold a lone surrogate, and an object members that are not its own.
 * @throws {@link Refused}
 */
function shortestLength(value: unknown, depth: number, careful: boolean): number {
  if (typeof value === 'string') {
    if (careful) checkWellFormed(value)
    return value.length + 2
  }
  if (typeof value === 'number') return shortestNumber(value)
  if (typeof value !== 'object' || value === null) return value === false ? 5 : 4
  if (depth === 0) throw new Refused('too_deep')
  // Two brackets or braces, and a comma between two items; of a member also two quotes and a colon.
  let length = 1
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      length += shortestLength(value[at], depth - 1, careful) + 1
    }
  } else {
    const members = value as Record<string, unknown>
    for (const name in members) {
      if (careful && !isSoundName(members, name)) continue
      length += name.length + shortestLength(members[name], depth - 1, careful) + 4
    }
  }
  return Math.max(length, 2)
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value).reduce((sum: number, item) => sum + countMembers(item), 0)
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length)
}

/** The fewest characters of a number: its digits, when it is whole and an exponent saves none; else at least one. */
function shortestNumber(value: number): number {
  if (!Number.isFinite(value)) throw new Refused('number_out_of_range')
  if (!Number.isSafeInteger(value) || value < 10 || value % 1000 === 0) return 1
  let digits = 2
  for (let power = 100; value >= power; power *= 10) digits++
  return digits
}

function isSoundName(members: object, name: string): boolean {
  checkWellFormed(name)
  return Object.hasOwn(members, name)
}

// Decoded UTF-8 holds no lone surrogate, so that only an escape can make one.
function checkWellFormed(text: string): void {
  if (!isWellFormed(text)) throw new Refused('lone_surrogate')
}
