import { fromBase64url, isWellFormed, textOf } from '../bytes.js'
import { InboundAuthError } from '../errors/inbound.js'
import {
  isJsonObject,
  type JsonObject,
  parseOpenText,
  type StrictJson,
  seal,
} from '../strict-json.js'
import { SegmentCodec } from './segment-codec.js'

/** The longest token that is looked at by default. */
export const MAX_TOKEN_BYTES = 16_384
/** The longest `kid`, in UTF-16 code units. */
export const MAX_KID_LENGTH = 256

/** The header fields that a verifier acts on. `jwk`, `jku`, `x5u`, `x5c` and `x5t` are never read. */
export interface JwsHeader {
  readonly alg: string
  readonly kid?: string
  readonly typ?: string
}

/** A compact JWS whose form is sound. Nothing in it is verified yet. */
export interface ParsedJws {
  readonly header: JwsHeader
  /** The claims: deeply frozen, objects without a prototype. */
  readonly payload: JsonObject
  /** What the signature is over: the first two segments and the dot between them, as presented. */
  readonly signingInput: string
  readonly signature: Uint8Array<ArrayBuffer>
}

class Jws implements ParsedJws {
  readonly header: JwsHeader
  readonly signingInput: string
  readonly signature: Uint8Array<ArrayBuffer>
  readonly #open: JsonObject
  #payload: JsonObject | undefined

  constructor(
    header: JwsHeader,
    payload: JsonObject,
    signingInput: string,
    signature: Uint8Array<ArrayBuffer>,
  ) {
    this.header = header
    this.signingInput = signingInput
    this.signature = signature
    this.#open = payload
  }

  // Sealing costs as much as a tenth of all else that is not the signature, and few ask.
  get payload(): JsonObject {
    this.#payload ??= seal(this.#open)
    return this.#payload
  }

  static open(jws: ParsedJws): JsonObject {
    return #open in jws ? jws.#open : jws.payload
  }
}

/** The claims as {@link parseOpenText} leaves them, for who reads them, {@link seal}s what lies below, and keeps none. */
export const openPayload: (jws: ParsedJws) => JsonObject = Jws.open

/**
 * Takes a compact JWS ([RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)) with a JSON object as
 * payload apart, and refuses whatever two readers could understand differently: base64url that is not canonical,
 * duplicate keys, invalid UTF-8, `crit`, `b64`, `zip`.
 *
 * @param maxBytes Default {@link MAX_TOKEN_BYTES}.
 * @throws {@link InboundAuthError} `ERR_TOKEN_TOO_LARGE`, `ERR_MALFORMED_TOKEN`; `ERR_ALG_NOT_ALLOWED` for `none`.
 */
export function parseJws(token: string, maxBytes = MAX_TOKEN_BYTES): ParsedJws {
  return new JwsParser().parse(token, maxBytes)
}

/** How many headers a parser remembers, and of which length: an issuer's tokens share a few. */
const MAX_HEADERS = 64
const MAX_HEADER_LENGTH = 512

interface KnownHeader {
  /** The segment as it stood, with the dot behind it. */
  readonly text: string
  readonly header: JwsHeader
}

/** {@link parseJws} for many tokens: remembers what the last headers said. */
export class JwsParser {
  readonly #codec: SegmentCodec
  readonly #headers = new Map<string, KnownHeader>()
  /** That of the last token: comparing its text costs less than hashing it. */
  #last: KnownHeader | undefined

  constructor(codec = new SegmentCodec()) {
    this.#codec = codec
  }

  /** As {@link parseJws}. */
  parse(token: string, maxBytes = MAX_TOKEN_BYTES): ParsedJws {
    if (typeof token !== 'string') throw malformed('the token is not a string')
    if (token.length > maxBytes) {
      throw new InboundAuthError('ERR_TOKEN_TOO_LARGE', {
        reason: `the token is longer than ${maxBytes} bytes`,
      })
    }
    // V8 compares a slice four times faster than startsWith() does.
    const last = this.#last?.text
    const known = last !== undefined && token.slice(0, last.length) === last
    const first = known ? last.length - 1 : token.indexOf('.')
    const second = token.indexOf('.', first + 1)
    if (first === -1 || second === -1 || token.indexOf('.', second + 1) !== -1) {
      throw malformed('the token does not have three segments')
    }
    const codec = this.#codec.reads(token) ? this.#codec : undefined
    const { header } = known ? this.#last! : this.#find(token.slice(0, first), codec)
    const tail = token.slice(second + 1)
    const signature = codec?.bytes(tail) ?? fromBase64url(tail)
    if (!signature) throw malformed('the signature is not canonical base64url')
    if (signature.length === 0) throw malformed('the signature is empty')
    const payload = objectOf(token.slice(first + 1, second), 'payload', codec)
    return new Jws(header, payload, token.slice(0, second), signature)
  }

  #find(segment: string, codec: SegmentCodec | undefined): KnownHeader {
    const known = this.#headers.get(segment)
    if (known) {
      this.#last = known
      return known
    }
    const header = readHeader(objectOf(segment, 'header', codec))
    const found = { text: this.#codec.copy(`${segment}.`), header }
    if (segment.length > MAX_HEADER_LENGTH) return found
    if (this.#headers.size >= MAX_HEADERS) this.#headers.clear()
    this.#headers.set(found.text.slice(0, -1), found)
    this.#last = found
    return found
  }
}

function objectOf(
  segment: string,
  part: 'header' | 'payload',
  codec: SegmentCodec | undefined,
): JsonObject {
  const text = codec?.text(segment)
  const json = text === undefined ? readSegment(segment, part) : parseOpenText(text)
  if (!json.ok) throw malformed(`the ${part} is refused: ${json.reason}`)
  if (!isJsonObject(json.value)) throw malformed(`the ${part} is not a JSON object`)
  return json.value
}

function readSegment(segment: string, part: 'header' | 'payload'): StrictJson {
  const bytes = fromBase64url(segment)
  if (!bytes) throw malformed(`the ${part} is not canonical base64url`)
  return parseOpenText(textOf(bytes))
}

function readHeader(fields: JsonObject): JwsHeader {
  const { alg, kid, typ } = fields
  if (typeof alg !== 'string' || alg === '') throw malformed('alg is not a string')
  if (alg.toLowerCase() === 'none') {
    throw new InboundAuthError('ERR_ALG_NOT_ALLOWED', { reason: 'the token is not signed' })
  }
  // No extension is understood here, and RFC 7515 §4.1.11 has us refuse what crit names. b64 and zip change what the
  // payload means, with or without crit.
  for (const name of ['crit', 'b64', 'zip']) {
    if (name in fields) throw malformed(`the header carries ${name}`)
  }
  if (kid !== undefined && !isKid(kid)) {
    throw malformed(`kid is not a string of 1 to ${MAX_KID_LENGTH} characters`)
  }
  if (typ !== undefined && typeof typ !== 'string') throw malformed('typ is not a string')
  return Object.freeze({
    alg,
    ...(kid === undefined ? {} : { kid }),
    ...(typ === undefined ? {} : { typ }),
  })
}

function isKid(kid: unknown): kid is string {
  return typeof kid === 'string' && kid !== '' && kid.length <= MAX_KID_LENGTH && isWellFormed(kid)
}

function malformed(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_MALFORMED_TOKEN', { reason })
}
