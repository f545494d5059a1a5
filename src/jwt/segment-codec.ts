import { nodeBuiltin } from '../builtin.js'

/** What is used of Node's `Buffer`. */
interface NodeBuffer extends Uint8Array<ArrayBuffer> {
  toString(encoding?: string): string
  // Behind write() and toString(), without the search for the encoding.
  base64urlWrite(text: string, offset: number): number
  latin1Write(text: string, offset: number): number
  utf8Write(text: string, offset: number): number
  utf8Slice(start: number, end: number): string
}
interface BufferModule {
  readonly Buffer: {
    readonly prototype: NodeBuffer
    from(text: string, encoding: string): NodeBuffer
    allocUnsafeSlow(size: number): NodeBuffer
  }
}

const direct = ['base64urlWrite', 'latin1Write', 'utf8Write', 'utf8Slice'] as const

/** The length of a token of the default size, and room for it as UTF-8 whatever it is made of. */
const MAX_LENGTH = 16_384
const SCRATCH_BYTES = 3 * MAX_LENGTH

/**
 * The characters that a canonical segment may end with, by how many are left over from its groups of 4: those whose
 * unused bits are zero. One alone is too short for a byte.
 */
const lastCharacters: readonly string[] = ['', '', 'AQgw', 'AEIMQUYcgkosw048']

/**
 * Base64url through Node's `Buffer`, several times faster than portable code. Says `undefined` to whatever it is not
 * sure of, and everywhere but on Node: the portable functions then decide.
 */
export class SegmentCodec {
  readonly #buffer = nodeBuffer()
  #scratch: NodeBuffer | undefined

  /**
   * Whether {@link bytes} and {@link text} may be asked about what is cut from `token`: it is ASCII, of which `Buffer`
   * would take other characters by their lower bits, and has none of the other alphabet, which `Buffer` takes as well.
   */
  reads(token: string): boolean {
    return (
      this.#room(token)?.utf8Write(token, 0) === token.length &&
      token.indexOf('+') === -1 &&
      token.indexOf('/') === -1
    )
  }

  /** Bytes of a canonical segment. */
  bytes(segment: string): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.#buffer?.from(segment, 'base64url')
    return bytes && isWhole(segment, bytes.length) ? bytes : undefined
  }

  /** Text of a canonical segment of UTF-8. */
  text(segment: string): string | undefined {
    const scratch = this.#room(segment)
    if (!scratch) return undefined
    const length = scratch.base64urlWrite(segment, 0)
    if (!isWhole(segment, length)) return undefined
    const text = scratch.utf8Slice(0, length)
    return text.indexOf('\ufffd') === -1 ? text : undefined // that is what invalid UTF-8 becomes
  }

  /** Bytes of text that is known to be ASCII. They stand until the next call of this codec. */
  ascii(text: string): Uint8Array {
    const scratch = this.#room(text)
    if (!scratch) return new TextEncoder().encode(text)
    return new Uint8Array(scratch.buffer, 0, scratch.latin1Write(text, 0))
  }

  /** The same ASCII text in memory of its own: a slice keeps all that it was cut from. */
  copy(text: string): string {
    if (this.#buffer) return this.#buffer.from(text, 'latin1').toString('latin1')
    return new TextDecoder().decode(new TextEncoder().encode(text))
  }

  /** Memory that is used over and over, when the text fits. */
  #room(text: string): NodeBuffer | undefined {
    if (text.length > MAX_LENGTH) return undefined
    this.#scratch ??= this.#buffer?.allocUnsafeSlow(SCRATCH_BYTES)
    return this.#scratch
  }
}

/** Whether a segment is canonical, of which `Buffer`, which passes over what is not base64url, made `length` bytes. */
function isWhole(segment: string, length: number): boolean {
  const left = segment.length & 3
  if (length !== (segment.length * 3) >> 2) return false
  return left === 0 || lastCharacters[left]!.includes(segment[segment.length - 1]!)
}

/** Node's `Buffer`, if it has what is used here. */
function nodeBuffer(): BufferModule['Buffer'] | undefined {
  const found = nodeBuiltin<BufferModule>('node:buffer')?.Buffer
  return direct.every((name) => typeof found?.prototype[name] === 'function') ? found : undefined
}
