import { utf8 } from '../bytes.js'
import { NONCE_BYTES, type Primitives, type RowCipher, TAG_BYTES } from './primitives.js'

/** What is used of `node:crypto`. */
export interface NodeCrypto {
  createSecretKey(bytes: Uint8Array): object
  createCipheriv(
    algorithm: 'aes-256-gcm',
    key: object,
    nonce: Uint8Array,
    options: { readonly authTagLength: number },
  ): NodeCipher & { getAuthTag(): Uint8Array }
  createDecipheriv(
    algorithm: 'aes-256-gcm',
    key: object,
    nonce: Uint8Array,
    options: { readonly authTagLength: number },
  ): NodeCipher & { setAuthTag(tag: Uint8Array): unknown }
  createHash(algorithm: 'sha256'): NodeHash
  createHmac(algorithm: 'sha256', key: object): NodeHash
  hkdfSync(
    hash: 'sha256',
    key: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ): ArrayBuffer
}

interface NodeHash {
  update(bytes: Uint8Array): { digest(encoding: 'hex'): string }
}

interface NodeCipher {
  setAAD(additional: Uint8Array): unknown
  update(bytes: Uint8Array): Uint8Array
  final(): Uint8Array
}

/** Without it Node takes tags of 4 bytes (DEP0182). */
const options = { authTagLength: TAG_BYTES } as const

/** By `node:crypto`, at once. */
export function nodePrimitives(crypto: NodeCrypto): Primitives {
  return {
    derive(bytes, purpose, length) {
      return new Uint8Array(
        crypto.hkdfSync('sha256', bytes, new Uint8Array(0), utf8(purpose), length),
      )
    },

    // A key object, not bytes: on Node 24 bytes cost four times as much a call.
    cipher: (key) => nodeCipher(crypto, crypto.createSecretKey(key)),

    mac: (bytes) => {
      const key = crypto.createSecretKey(bytes)
      return (data) => crypto.createHmac('sha256', key).update(data).digest('hex')
    },

    sha256Hex: (bytes) => crypto.createHash('sha256').update(bytes).digest('hex'),
  }
}

function nodeCipher(crypto: NodeCrypto, key: object): RowCipher {
  // Made once: a view costs more than copying what it would show.
  const nonce = new Uint8Array(NONCE_BYTES)
  const tag = new Uint8Array(TAG_BYTES)
  return {
    seal(nonce, additional, plain) {
      const cipher = crypto.createCipheriv('aes-256-gcm', key, nonce, options)
      cipher.setAAD(additional)
      const sealed = new Uint8Array(plain.length + TAG_BYTES)
      sealed.set(cipher.update(plain))
      cipher.final()
      sealed.set(cipher.getAuthTag(), plain.length)
      return sealed
    },

    open(row, from, additional) {
      const start = from + NONCE_BYTES
      const end = row.length - TAG_BYTES
      if (end < start) return undefined
      for (let at = 0; at < NONCE_BYTES; at++) nonce[at] = row[from + at]!
      for (let at = 0; at < TAG_BYTES; at++) tag[at] = row[end + at]!
      try {
        const decipher = crypto.createDecipheriv('aes-256-gcm', key, nonce, options)
        decipher.setAAD(additional)
        decipher.setAuthTag(tag)
        const plain = decipher.update(row.subarray(start, end))
        decipher.final() // throws before anybody has seen what `update` gave
        return plain
      } catch {
        return undefined
      }
    },
  }
}
