import { nodeBuiltin } from '../builtin.js'
import { fromBase64url } from '../bytes.js'
import { isJsonObject, type JsonObject } from '../strict-json.js'
import { isEd25519, isJwsAlgorithm, type JwsAlgorithm, keyKindOf } from './algorithm.js'
import { isRocaModulus } from './roca.js'
import { type NodeCrypto, nodeCheck, type SignatureCheck, webCheck } from './signature.js'
import { MAX_KID_LENGTH } from './strict-parse.js'

/** Sizes of an RSA modulus that are accepted, in bits ([RFC 7518 §3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)). */
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192

/** The exponent is read up to here: a longer one only makes every check slower. */
const MAX_RSA_EXPONENT_BYTES = 8

/** Bytes of one coordinate. */
const coordinateBytes: ReadonlyMap<string, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
  ['Ed25519', 32],
])

/** Private and symmetric parts (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const privateParts = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** A public signature key whose parameters are sound. */
export class PublicKey {
  readonly kid: string | undefined
  readonly #alg: unknown
  readonly #material: JsonWebKey
  readonly #verifiers = new Map<JwsAlgorithm, SignatureCheck>()

  private constructor(jwk: JsonObject, material: JsonWebKey) {
    this.kid = jwk.kid as string | undefined
    this.#alg = jwk.alg
    this.#material = material
  }

  /**
   * Reads one member of a JWK set ([RFC 7517 §4](https://www.rfc-editor.org/rfc/rfc7517#section-4)).
   *
   * @returns A text that says why, for a key that must not verify signatures.
   */
  static read(jwk: unknown): PublicKey | string {
    if (!isJsonObject(jwk)) return 'is not an object'
    if (privateParts.some((part) => part in jwk)) return 'is a private or symmetric key'
    if (jwk.use !== undefined && jwk.use !== 'sig') return 'is not for signatures (use)'
    if (jwk.key_ops !== undefined) {
      const ops = jwk.key_ops
      if (!Array.isArray(ops) || !ops.includes('verify')) return 'is not for verifying (key_ops)'
    }
    if (jwk.kid !== undefined) {
      if (typeof jwk.kid !== 'string' || jwk.kid === '' || jwk.kid.length > MAX_KID_LENGTH) {
        return `has a kid that is not a string of 1 to ${MAX_KID_LENGTH} characters`
      }
    }
    if (jwk.alg !== undefined && !isJwsAlgorithm(jwk.alg)) return 'is for an unknown algorithm'
    const material = readMaterial(jwk)
    return typeof material === 'string' ? material : new PublicKey(jwk, material)
  }

  /** Whether the key is of the kind that `alg` needs, and is not meant for another algorithm. */
  fits(alg: JwsAlgorithm): boolean {
    const kind = keyKindOf(alg)
    return (
      this.#material.kty === kind.kty &&
      this.#material.crv === kind.crv &&
      (this.#alg === undefined || this.#alg === alg || (isEd25519(this.#alg) && isEd25519(alg)))
    )
  }

  /** Whether both are one key with one purpose. */
  equals(other: PublicKey): boolean {
    return this.kid === other.kid && this.#alg === other.#alg && this.isSameKey(other)
  }

  /** Whether both verify the same signatures, whatever they are called. */
  isSameKey(other: PublicKey): boolean {
    const [a, b] = [this.#material, other.#material]
    return (['kty', 'crv', 'n', 'e', 'x', 'y'] as const).every((part) => a[part] === b[part])
  }

  /**
   * What verifies signatures of `alg` with this key; kept once it is made. Through `node:crypto` on Node, at once; through Web
   * Crypto elsewhere, where it is a promise at first.
   *
   * @throws {@link InboundAuthError} `ERR_UNKNOWN_KEY`: the platform refuses the key, such as a point off its curve.
   */
  verifier(
    alg: JwsAlgorithm,
    platform: () => NodeCrypto | undefined = nodeCrypto,
  ): SignatureCheck | Promise<SignatureCheck> {
    const made = this.#verifiers.get(alg)
    if (made) return made
    const crypto = platform()
    if (!crypto) return this.#load(alg)
    const check = nodeCheck(crypto, this.#material, alg)
    this.#verifiers.set(alg, check)
    return check
  }

  async #load(alg: JwsAlgorithm): Promise<SignatureCheck> {
    const check = await webCheck(this.#material, alg)
    this.#verifiers.set(alg, check)
    return check
  }
}

const nodeCrypto = () => nodeBuiltin<NodeCrypto>('node:crypto')

/** Only the fields that make the key go on to the platform. */
function readMaterial(jwk: JsonObject): JsonWebKey | string {
  const { kty, crv, n, e, x, y } = jwk
  if (kty === 'RSA') {
    const modulus = bytesOf(n)
    const exponent = bytesOf(e)
    if (!modulus || !exponent) return 'has no sound modulus and exponent'
    const bits = bitLength(modulus)
    if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
      return `has an RSA modulus outside ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits`
    }
    if (!isOdd(modulus)) return 'has an even modulus'
    if (isRocaModulus(modulus)) return 'has an RSA modulus that can be factored (CVE-2017-15361)'
    if (!isOdd(exponent) || bitLength(exponent) < 2 || exponent.length > MAX_RSA_EXPONENT_BYTES) {
      return 'has an RSA exponent that is even, 1 or too long'
    }
    return { kty, n: n as string, e: e as string }
  }
  if (kty !== 'EC' && kty !== 'OKP') return 'is of an unknown type (kty)'
  const size = typeof crv === 'string' ? coordinateBytes.get(crv) : undefined
  if (size === undefined || (kty === 'OKP') !== (crv === 'Ed25519')) return 'is on an unknown curve'
  if (bytesOf(x)?.length !== size) return 'has a coordinate of the wrong length'
  if (kty === 'OKP') return { kty, crv: crv as string, x: x as string }
  if (bytesOf(y)?.length !== size) return 'has a coordinate of the wrong length'
  return { kty, crv: crv as string, x: x as string, y: y as string }
}

function bytesOf(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' ? fromBase64url(value) : undefined
}

function bitLength(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => byte !== 0)
  return first === -1 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first]!) - 24)
}

function isOdd(bytes: Uint8Array): boolean {
  return ((bytes.at(-1) ?? 0) & 1) === 1
}
