import { hex, sha256, utf8 } from '../bytes.js'
import { type Primitives, TAG_BYTES } from './primitives.js'

/** By Web Crypto, wherever there is no `node:crypto`. Its methods read what they are given later: so they get copies. */
export const webPrimitives: Primitives = {
  async derive(bytes, purpose, length) {
    const key = await crypto.subtle.importKey('raw', bytes.slice(), 'HKDF', false, ['deriveBits'])
    const bits = await crypto.subtle.deriveBits(
      { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8(purpose) },
      key,
      length * 8,
    )
    return new Uint8Array(bits)
  },

  async cipher(bytes) {
    const key = await crypto.subtle.importKey('raw', bytes.slice(), 'AES-GCM', false, [
      'encrypt',
      'decrypt',
    ])
    return {
      async seal(nonce, additional, plain) {
        const sealed = await crypto.subtle.encrypt(
          parameters(nonce, additional),
          key,
          plain.slice(),
        )
        return new Uint8Array(sealed)
      },

      async open(nonce, additional, body) {
        try {
          const plain = await crypto.subtle.decrypt(
            parameters(nonce, additional),
            key,
            body.slice(),
          )
          return new Uint8Array(plain)
        } catch {
          return undefined
        }
      },
    }
  },

  async sha256Hex(bytes) {
    return hex(await sha256(bytes))
  },
}

function parameters(nonce: Uint8Array, additional: Uint8Array): AesGcmParams {
  return {
    name: 'AES-GCM',
    iv: nonce.slice(),
    additionalData: additional.slice(),
    tagLength: TAG_BYTES * 8,
  }
}
