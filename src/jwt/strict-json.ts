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
  if (text === undefined) return refuse('not_utf8')
  if (text.charCodeAt(0) === 0xfeff) return refuse('byte_order_mark')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('not_json')
  }
  const refusal = scan(text, Math.min(maxDepth, 128))
  if (refusal) return refuse(refusal)
  try {
    return { ok: true, value: frozen(value, text.includes('\\u')) }
  } catch (error) {
    if (error instanceof Refused) return refuse(error.refusal)
    throw error
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
const COMMA = 0x2c
const BACKSLASH = 0x5c

/** Walks once over text that is known to be JSON, and looks at depth and keys only. */
function scan(text: string, maxDepth: number): JsonRefusal | undefined {
  const open: (Set<string> | undefined)[] = [] // the keys of each open object; undefined for an array
  let keyIsNext = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at)
        if (keyIsNext) {
          const keys = open.at(-1)!
          const key = unescaped(text, at, end)
          if (keys.has(key)) return 'duplicate_key'
          keys.add(key)
          keyIsNext = false
        }
        at = end
        break
      }
      case 0x7b: // {
      case 0x5b: // [
        if (open.length >= maxDepth) return 'too_deep'
        keyIsNext = text[at] === '{'
        open.push(keyIsNext ? new Set() : undefined)
        break
      case 0x7d: // }
      case 0x5d: // ]
        open.pop()
        keyIsNext = false
        break
      case COMMA:
        keyIsNext = open.at(-1) !== undefined
    }
  }
  return undefined
}

/** Where the string that opens at `start` closes. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) return at
  }
}

function unescaped(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end)
  return raw.includes('\\') ? (JSON.parse(text.slice(start, end + 1)) as string) : raw
}

// The recursion is as deep as the text, which scan() has bounded.
function frozen(value: unknown, hasEscapes: boolean): unknown {
  if (typeof value === 'string') return wellFormed(value, hasEscapes)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Refused('number_out_of_range')
    return value
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return Object.freeze(value.map((item) => frozen(item, hasEscapes)))
  const out: Record<string, unknown> = Object.create(null)
  for (const [key, item] of Object.entries(value)) {
    out[wellFormed(key, hasEscapes)] = frozen(item, hasEscapes)
  }
  return Object.freeze(out)
}

// Decoded UTF-8 holds no lone surrogate, so that only an escape can make one.
function wellFormed(text: string, hasEscapes: boolean): string {
  if (hasEscapes && !isWellFormed(text)) throw new Refused('lone_surrogate')
  return text
}
