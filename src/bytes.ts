/** Bytes and text: strict in both directions, so that two different inputs never become one. */

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }) // making one costs more than using it

/**
 * UTF-8 bytes of `text`.
 *
 * @throws `TypeError` when `text` holds a lone surrogate: the platform encoder would turn it into U+FFFD, and two
 *   different strings would share one row.
 */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  if (!isWellFormed(text))
    throw new TypeError('Text holds a lone surrogate; UTF-8 cannot carry it.')
  return encoder.encode(text)
}

/** Text of UTF-8 `bytes`; `undefined` when they are not valid UTF-8. A byte order mark is kept. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Whether `text` is free of lone surrogates. */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed()
}

/** Joins byte strings. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** A 32-bit big-endian length. */
export function uint32(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}

/**
 * One byte string for a tuple: each part behind its length, so that no two tuples meet (`a:b` + `c` is not
 * `a` + `b:c`). An absent part differs from an empty one.
 */
export function tuple(...parts: readonly (string | undefined)[]): Uint8Array<ArrayBuffer> {
  const texts = parts.map((part) => (part === undefined ? undefined : utf8(part)))
  const size = texts.reduce((sum, text) => sum + 4 + (text?.length ?? 0), 4)
  const out = new Uint8Array(size)
  const lengths = new DataView(out.buffer)
  lengths.setUint32(0, parts.length)
  let at = 4
  for (const text of texts) {
    lengths.setUint32(at, text?.length ?? 0xffffffff)
    if (text) out.set(text, at + 4)
    at += 4 + (text?.length ?? 0)
  }
  return out
}

/** SHA-256. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += byte.toString(16).padStart(2, '0')
  return out
}

/** Base64url without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  }
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Bytes of canonical base64url; `undefined` for anything that `base64url()` would not have written. */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const out = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at++) out[at] = binary.charCodeAt(at)
  return base64url(out) === text ? out : undefined
}

/** Compares in time that depends on the lengths alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let at = 0; at < a.length; at++) difference |= a[at]! ^ b[at]!
  return difference === 0
}

/** A fresh random value of 256 bits as base64url (43 characters). */
export function randomId(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}
