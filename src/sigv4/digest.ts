import { builtin } from '../builtin.js'
import { concat, hex, sha256, utf8 } from '../bytes.js'
import { isPromise } from '../maybe-promise.js'
import { TextComparison } from './same-text.js'

/** A value at once where the platform can, else a promise of it. */
export type Soon<T> = T | Promise<T>

/** Goes on with a value, at once where it is there: a promise too many costs as much as a hash. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return isPromise(value) ? value.then(next) : next(value)
}

/** A key for one caller, day, region and service. */
export interface SigningKey {
  /**
   * A signature: 64 lower-case hexadecimal digits.
   *
   * @param ahead What is signed, up to the hash.
   * @param hash SHA-256 of the canonical request.
   */
  sign(ahead: string, hash: string): Soon<string>
}

/** SHA-256 and what is built on it. Hashes are lower-case hexadecimal. */
export interface Digest {
  sha256(data: string | Uint8Array): Soon<string>
  /** Without holding up other work; for bytes of which there are many. */
  sha256Aside(data: Uint8Array): Promise<string>
  /** Whether two texts are the same, in time that depends on their lengths alone. */
  same(a: string, b: string): boolean
  /** A hash of parts as they come; `undefined` where the platform has none, and parts must be gathered. */
  readonly running: (() => RunningHash) | undefined
  /** @see {@link https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key} */
  signingKey(secret: string, scope: readonly string[]): Soon<SigningKey>
}

interface RunningHash {
  update(part: Uint8Array): void
  digest(): string
}

/** What is used of `node:crypto`. */
interface NodeCrypto {
  hash?(algorithm: 'sha256', data: string | Uint8Array, encoding: 'hex' | 'binary'): string
  createHash(algorithm: 'sha256'): NodeHash
  createHmac(algorithm: 'sha256', key: unknown): NodeHash
  createSecretKey(key: Uint8Array): unknown
}

interface NodeHash {
  update(data: string | Uint8Array): NodeHash
  digest(): Uint8Array<ArrayBuffer>
  digest(encoding: 'hex'): string
}

/** By `node:crypto` where there is one: it answers at once, and Web Crypto takes longer to ask than to answer. */
export function platformDigest(): Digest {
  const node = builtin<NodeCrypto>('node:crypto')
  return node ? nodeDigest(node) : webDigest()
}

function nodeDigest(node: NodeCrypto): Digest {
  const mac = (key: unknown, text: string) => node.createHmac('sha256', key).update(text)
  const oneShot = node.hash
  const comparison = new TextComparison()
  return {
    same: (a, b) => comparison.same(a, b),
    sha256: oneShot
      ? (data) => oneShot('sha256', data, 'hex')
      : (data) => node.createHash('sha256').update(data).digest('hex'),
    sha256Aside,
    running: () => {
      const hash = node.createHash('sha256')
      return { update: (part) => void hash.update(part), digest: () => hash.digest('hex') }
    },
    signingKey: (secret, scope) => {
      let key: Uint8Array = utf8(`AWS4${secret}`)
      for (const part of scope) key = mac(key, part).digest()
      if (oneShot) return new TwoHashKey(key, oneShot)
      const handle = node.createSecretKey(key)
      return { sign: (ahead, hash) => mac(handle, ahead + hash).digest('hex') }
    },
  }
}

const BLOCK = 64

/**
 * HMAC ([RFC 2104 §2](https://www.rfc-editor.org/rfc/rfc2104#section-2)) as the two hashes it is made of: making a native
 * object for each message takes as long as both.
 */
class TwoHashKey implements SigningKey {
  readonly #hash: NonNullable<NodeCrypto['hash']>
  readonly #outer = new Uint8Array(BLOCK + 32)
  #inner = new Uint8Array(BLOCK)
  #ahead: string | undefined
  #tail = this.#inner

  /** @param key 32 bytes. One that is longer than a block would have to be hashed first. */
  constructor(key: Uint8Array, hash: NonNullable<NodeCrypto['hash']>) {
    this.#hash = hash
    for (let at = 0; at < BLOCK; at++) {
      this.#inner[at] = (key[at] ?? 0) ^ 0x36
      this.#outer[at] = (key[at] ?? 0) ^ 0x5c
    }
  }

  sign(ahead: string, hash: string): string {
    // The same for all requests of a second.
    if (ahead !== this.#ahead) this.#prepare(ahead)
    const { read, written } = encoder.encodeInto(hash, this.#tail)
    if (read !== hash.length || read !== HASH_LENGTH || written !== HASH_LENGTH) {
      throw new TypeError('Not a hash.')
    }
    const inner = this.#hash('sha256', this.#inner, 'binary')
    for (let at = 0; at < 32; at++) this.#outer[BLOCK + at] = inner.charCodeAt(at)
    return this.#hash('sha256', this.#outer, 'hex')
  }

  #prepare(ahead: string): void {
    const inner = concat(this.#inner.subarray(0, BLOCK), utf8(ahead), new Uint8Array(HASH_LENGTH))
    this.#inner = inner
    this.#tail = inner.subarray(inner.length - HASH_LENGTH)
    this.#ahead = ahead
  }
}

const HASH_LENGTH = 64
const encoder = new TextEncoder()

/** By Web Crypto, which every platform has. */
export function webDigest(): Digest {
  const { subtle } = globalThis.crypto
  const importKey = (bytes: Uint8Array<ArrayBuffer>) =>
    subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const mac = async (key: CryptoKey, text: string) =>
    new Uint8Array(await subtle.sign('HMAC', key, utf8(text)))
  const comparison = new TextComparison()
  return {
    same: (a, b) => comparison.same(a, b),
    sha256: (data) => (typeof data === 'string' ? sha256(utf8(data)).then(hex) : sha256Aside(data)),
    sha256Aside,
    running: undefined,
    signingKey: async (secret, scope) => {
      let key = await importKey(utf8(`AWS4${secret}`))
      for (const part of scope) key = await importKey(await mac(key, part))
      return { sign: async (ahead, hash) => hex(await mac(key, ahead + hash)) }
    },
  }
}

async function sha256Aside(data: Uint8Array): Promise<string> {
  // A view of shared memory could change under the hash; a copy cannot.
  const own = data.buffer instanceof ArrayBuffer ? (data as Uint8Array<ArrayBuffer>) : concat(data)
  return hex(await sha256(own))
}
