import { isWellFormed, utf8 } from '../bytes.js'
import { malformed } from './refusal.js'

/**
 * How a service forms the canonical path. `normal`: `//`, `/./` and `/../` are resolved, and the path is encoded once
 * more. `s3`: the path as it is, encoded once.
 */
export type PathStyle = 'normal' | 's3'

/** A parameter of the query, name and value in canonical encoding. */
export interface QueryParameter {
  readonly name: string
  readonly value: string
}

/** A request target in two parts. */
export interface SplitTarget {
  readonly path: string
  /** In the order of the canonical request. */
  readonly query: readonly QueryParameter[]
  /** Its two lines of the canonical request of a signature in the header, once they were made. */
  lines?: { readonly style: PathStyle; readonly text: string } | undefined
}

/** How many targets are remembered. They are not checked against anything yet, so anybody can fill the memory. */
const MAX_TARGETS = 256
/** Longer ones are not remembered. */
const MAX_REMEMBERED_LENGTH = 1_024

/** Splits targets, and remembers those that hold no signature. */
export class TargetReader {
  #read = new Map<string, SplitTarget>()

  /** Only for a target that {@link remember} was called for. */
  known(target: string): SplitTarget | undefined {
    return this.#read.get(target)
  }

  /** @param split The target in parts, with no `X-Amz-*` that is part of a signature. */
  remember(target: string, split: SplitTarget): void {
    if (target.length > MAX_REMEMBERED_LENGTH) return
    if (this.#read.size >= MAX_TARGETS) this.#read = new Map()
    this.#read.set(target, split)
  }
}

/** The longest request target that is looked at. */
const MAX_TARGET_LENGTH = 65_536
const MAX_QUERY_PARAMETERS = 2_048

/**
 * Splits a raw request target in origin form ([RFC 9112 §3.2.1](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.1)).
 *
 * @throws `InboundAuthError`
 */
export function splitTarget(target: string): SplitTarget {
  if (target.length > MAX_TARGET_LENGTH) {
    throw malformed(`the request target is longer than ${MAX_TARGET_LENGTH} characters`)
  }
  if (!target.startsWith('/')) throw malformed('the request target is not a path')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\0-\x1f\x7f#]/.test(target)) {
    throw malformed('the request target holds a control character or #')
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(target))
    throw malformed('a % in the request target encodes nothing')
  const mark = target.indexOf('?')
  if (mark === -1) return { path: target, query: [] }
  return { path: target.slice(0, mark), query: readQuery(target.slice(mark + 1)) }
}

/**
 * Sorted by encoded name, then by encoded value. `+` is a space, as all that read forms take it; empty pieces between
 * two `&` are nothing.
 */
function readQuery(query: string): readonly QueryParameter[] {
  const found: QueryParameter[] = []
  for (const piece of query.split('&')) {
    if (piece === '') continue
    if (found.length === MAX_QUERY_PARAMETERS) {
      throw malformed(`the query has more than ${MAX_QUERY_PARAMETERS} parameters`)
    }
    const equals = piece.indexOf('=')
    found.push({
      name: encodeParameter(equals === -1 ? piece : piece.slice(0, equals)),
      value: equals === -1 ? '' : encodeParameter(piece.slice(equals + 1)),
    })
  }
  return found.sort((a, b) => order(a.name, b.name) || order(a.value, b.value))
}

/** The canonical query, without the parameter that is left out of what is signed. */
export function canonicalQuery(query: readonly QueryParameter[], without?: string): string {
  let out = ''
  for (const { name, value } of query) {
    if (name === without) continue
    out += out === '' ? `${name}=${value}` : `&${name}=${value}`
  }
  return out
}

/**
 * The path and the query in canonical form, a line each.
 *
 * @param without The parameter that is left out. What it is made of is not kept then.
 */
export function canonicalTarget(target: SplitTarget, style: PathStyle, without?: string): string {
  if (target.lines?.style === style && without === undefined) return target.lines.text
  const text = `${canonicalPath(target.path, style)}\n${canonicalQuery(target.query, without)}`
  if (without === undefined) target.lines = { style, text }
  return text
}

/** @param path As it stood on the wire. */
export function canonicalPath(path: string, style: PathStyle): string {
  if (style === 's3') return encode(path, /%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~/-]/gu)
  return encode(withoutDots(path), /[^A-Za-z0-9._~/-]/gu)
}

function withoutDots(path: string): string {
  if (!/\/[/.]/.test(path)) return path
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') out.pop()
    else out.push(segment)
  }
  const end = out.length > 0 && path.endsWith('/') ? '/' : ''
  return `/${out.join('/')}${end}`
}

function encodeParameter(text: string): string {
  return encode(text, /%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~-]/gu, '%20')
}

/** Encodes what `pattern` finds: a character, or an encoded byte, which gets its one spelling. */
function encode(text: string, pattern: RegExp, plus = '%2B'): string {
  if (/^[A-Za-z0-9._~/-]*$/.test(text) && !(plus === '%20' && text.includes('/'))) return text
  if (!isWellFormed(text)) throw malformed('the request target holds a lone surrogate')
  return text.replace(pattern, (found) => {
    if (found.length === 3 && found.startsWith('%')) return encodedByte(found)
    if (found === '+') return plus
    let out = ''
    for (const byte of utf8(found)) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    return out
  })
}

function encodedByte(triplet: string): string {
  const char = String.fromCharCode(Number.parseInt(triplet.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(char) ? char : triplet.toUpperCase()
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
