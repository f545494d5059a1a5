import { concat } from '../bytes.js'
import { isDeputizeError } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { Digest, Soon } from './digest.js'

/** The body of a request: bytes, a stream of them, or a function that gives either. */
export type Body =
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | (() => Uint8Array | AsyncIterable<Uint8Array> | Promise<Uint8Array>)

/** SHA-256 of nothing. */
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
/** From this size on a body is hashed aside, or part by part: a megabyte at once would hold up the others. */
const ASIDE_BYTES = 65_536

/**
 * SHA-256 of a body as it was received.
 *
 * @throws `InboundAuthError` `ERR_BODY_MISMATCH`: it is larger than `maxBytes`, or broke off.
 */
export function hashBody(body: Body | undefined, digest: Digest, maxBytes: number): Soon<string> {
  if (body === undefined) return EMPTY_HASH
  if (body instanceof Uint8Array) return hashBytes(body, digest, maxBytes)
  return hashSlowly(body, digest, maxBytes)
}

function hashBytes(bytes: Uint8Array, digest: Digest, maxBytes: number): Soon<string> {
  if (bytes.length > maxBytes) throw tooLarge(maxBytes)
  return bytes.length < ASIDE_BYTES ? digest.sha256(bytes) : digest.sha256Aside(bytes)
}

async function hashSlowly(
  body: Exclude<Body, Uint8Array>,
  digest: Digest,
  maxBytes: number,
): Promise<string> {
  try {
    const given = typeof body === 'function' ? await body() : body
    if (given instanceof Uint8Array) return await hashBytes(given, digest, maxBytes)
    const hash = digest.running?.()
    const parts: Uint8Array[] = []
    let size = 0
    for await (const part of given) {
      if (!(part instanceof Uint8Array))
        throw unreadable('the body gives something else than bytes')
      size += part.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      if (hash) hash.update(part)
      else parts.push(part)
    }
    return hash ? hash.digest() : await digest.sha256Aside(concat(...parts))
  } catch (error) {
    // The application has not kept the bytes: the mistake is not the caller's.
    if (error instanceof InboundAuthError || isDeputizeError(error, 'ERR_CONFIGURATION'))
      throw error
    throw unreadable('the body cannot be read', error)
  }
}

function tooLarge(maxBytes: number): InboundAuthError {
  return unreadable(`the body is larger than ${maxBytes} bytes`)
}

function unreadable(reason: string, cause?: unknown): InboundAuthError {
  return new InboundAuthError('ERR_BODY_MISMATCH', { reason, cause })
}
