import { base64url, fromBase64url } from '../bytes.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isEd25519, type JwsAlgorithm } from './algorithm.js'
import { SegmentCodec } from './segment-codec.js'
import type { ParsedJws } from './strict-parse.js'

/** What is signed, and the signature. */
type SignedInput = Pick<ParsedJws, 'signingInput' | 'signature'>

/** Whether a signature verifies: known at once with `node:crypto`, later with Web Crypto. */
export type SignatureCheck = (jws: SignedInput) => boolean | Promise<boolean>

/** What is used of `node:crypto`; a key goes in bare wherever it can, since on Node 24 an options object doubles the cost. */
export interface NodeCrypto {
  createPublicKey(input: { key: JsonWebKey; format: 'jwk' }): object
  verify(
    hash: string | null,
    data: Uint8Array,
    key: object | { key: object; padding: number; saltLength: number },
    signature: Uint8Array,
  ): boolean
  readonly constants: { readonly RSA_PKCS1_PSS_PADDING: number }
}

/** Bytes of r and of s (RFC 7518 §3.4). */
const halfBytes: Partial<Record<JwsAlgorithm, number>> = { ES256: 32, ES384: 48, ES512: 66 }

/**
 * A check through `node:crypto`.
 *
 * @throws {@link InboundAuthError} `ERR_UNKNOWN_KEY`: the platform refuses the key, such as a point off its curve.
 */
export function nodeCheck(
  crypto: NodeCrypto,
  material: JsonWebKey,
  alg: JwsAlgorithm,
): SignatureCheck {
  let key: object
  try {
    key = crypto.createPublicKey({ key: material, format: 'jwk' })
  } catch {
    throw refusedKey()
  }
  const hash = isEd25519(alg) ? null : `sha${alg.slice(2)}`
  const half = halfBytes[alg]
  const way = alg.startsWith('PS')
    ? {
        key,
        padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
        saltLength: Number(alg.slice(2)) / 8, // RFC 7518 §3.5
      }
    : key
  const length = signatureLength(material, alg)
  const codec = new SegmentCodec()
  // Used over and over: V8 goes to the allocator of the system for each array beyond 64 bytes.
  const room = half === undefined ? undefined : new Uint8Array(2 * half + DER_EXTRA)
  return ({ signingInput, signature }) => {
    if (signature.length !== length) return false
    const form = half === undefined ? signature : ecdsaDer(signature, half, room)
    try {
      return form !== undefined && crypto.verify(hash, codec.ascii(signingInput), way, form)
    } catch {
      return false // nothing of the foreign error is kept: it can hold parts of the token
    }
  }
}

/**
 * A check through Web Crypto, with jose. jose is loaded here, and once a key: an import() costs more than a signature.
 *
 * @throws {@link InboundAuthError} `ERR_UNKNOWN_KEY`
 */
export async function webCheck(material: JsonWebKey, alg: JwsAlgorithm): Promise<SignatureCheck> {
  const { compactVerify, importJWK } = await import('jose')
  let key: CryptoKey
  try {
    key = (await importJWK({ ...material, kty: material.kty! }, alg)) as CryptoKey
  } catch {
    throw refusedKey()
  }
  const length = signatureLength(material, alg)
  return async ({ signingInput, signature }) => {
    if (signature.length !== length) return false
    try {
      await compactVerify(`${signingInput}.${base64url(signature)}`, key, { algorithms: [alg] })
      return true
    } catch {
      return false
    }
  }
}

/**
 * Bytes of a signature. Platforms leave the look at it out where a number is meant: of RSASSA-PSS, OpenSSL takes one
 * without its leading zeros ([RFC 8017 §8.1.2](https://www.rfc-editor.org/rfc/rfc8017#section-8.1.2) does not).
 */
function signatureLength(material: JsonWebKey, alg: JwsAlgorithm): number {
  const half = halfBytes[alg]
  if (half !== undefined) return 2 * half
  if (isEd25519(alg)) return 64
  const modulus = fromBase64url(material.n ?? '') ?? new Uint8Array()
  return modulus.length - modulus.findIndex((byte) => byte !== 0)
}

/** What DER adds at most: 3 bytes before the two numbers, and 3 to each. */
const DER_EXTRA = 9

/**
 * r || s (RFC 7518 §3.4) as the DER that OpenSSL reads; `undefined` when the length is wrong. Whether r and s lie
 * between 0 and the order of the curve is for the platform to see.
 *
 * @param der Room for `2 * half + 9` bytes; the answer stands until it is used again.
 */
export function ecdsaDer(
  signature: Uint8Array,
  half: number,
  der = new Uint8Array(2 * half + DER_EXTRA),
): Uint8Array | undefined {
  if (signature.length !== 2 * half) return undefined
  const r = firstByte(signature, 0, half)
  const s = firstByte(signature, half, 2 * half)
  // A leading zero keeps a number with the top bit set positive.
  const rLength = half - r + (signature[r]! >> 7)
  const sLength = 2 * half - s + (signature[s]! >> 7)
  const body = rLength + sLength + 4
  const head = body < 0x80 ? 2 : 3
  der[0] = 0x30
  if (head === 3) der[1] = 0x81
  der[head - 1] = body
  putInteger(der, head, signature, r, half, rLength)
  putInteger(der, head + 2 + rLength, signature, s, 2 * half, sLength)
  return new Uint8Array(der.buffer, der.byteOffset, head + body)
}

/** Where the number in `bytes[from..end)` begins: at its first byte that is not zero, or at its last. */
function firstByte(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end - 1 && bytes[at] === 0) at++
  return at
}

function putInteger(
  der: Uint8Array,
  at: number,
  bytes: Uint8Array,
  from: number,
  end: number,
  length: number,
): void {
  der[at] = 0x02
  der[at + 1] = length
  der[at + 2] = 0 // what keeps it positive, if anything must
  let to = at + 2 + length - (end - from)
  for (let i = from; i < end; i++) der[to++] = bytes[i]!
}

function refusedKey(): InboundAuthError {
  return new InboundAuthError('ERR_UNKNOWN_KEY', { reason: 'the key is not a valid public key' })
}
