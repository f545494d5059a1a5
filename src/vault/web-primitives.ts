import { hex, sha256, utf8 } from '../bytes.js'
import { NONCE_BYTES, type Primitives, TAG_BYTES } from './primitives.js'

/** By Web Crypto, wherever there is no `node:crypto`. Whatever it is given is copied first: it reads later. */
export const webPrimitives: Primitives = {
  async derive(bytes, purpose, length) {
    const key = await crypto.subtle.importKey('raw', new Uint8Array(bytes), 'HKDF', false, [
      'deriveBits',
    ])
    const bits = await crypto.subtle.deriveBits(
      { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8(purpose) },
      key,
      length * 8,
    )
    return new Uint8Array(bits)
  },

  async cipher(bytes) {
    const key = await crypto.subtle.importKey('raw', new Uint8Array(bytes), 'AES-GCM', false, [
      'encrypt',
      'decrypt',
    ])
    return {
      async seal(nonce, additional, plain) {
        const sealed = await crypto.subtle.encrypt(
          parameters(nonce, additional),
          key,
          new Uint8Array(plain),
        )
        return new Uint8Array(sealed)
      },

      async open(row, from, additional) {
        const start = from + NONCE_BYTES
        if (row.length - TAG_BYTES < start) return undefined
        const nonce = row.subarray(from, start)
        try {
          const plain = await crypto.subtle.decrypt(
            parameters(nonce, additional),
            key,
            new Uint8Array(row.subarray(start)),
          )
          return new Uint8Array(plain)
        } catch {
          return undefined
        }
      },
    }
  },

  async mac(bytes) {
    const hmac = { name: 'HMAC', hash: 'SHA-256' }
    const key = await crypto.subtle.importKey('raw', new Uint8Array(bytes), hmac, false, ['sign'])
    return async (data) => hex(new Uint8Array(await crypto.subtle.sign('HMAC', key, data)))
  },

  async sha256Hex(bytes) {
    return hex(await sha256(bytes))
  },
}

function parameters(nonce: Uint8Array, additional: Uint8Array): AesGcmParams {
  return {
    name: 'AES-GCM',
    iv: new Uint8Array(nonce),
    additionalData: new Uint8Array(additional),
    tagLength: TAG_BYTES * 8,
  }
}
