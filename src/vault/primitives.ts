import type { MaybePromise } from '../maybe-promise.js'

export const NONCE_BYTES = 12
export const TAG_BYTES = 16

/**
 * AES-256-GCM under one key (NIST SP 800-38D): nonces of 12 bytes, tags of 16. Both methods have read their arguments
 * by the time they return.
 */
export interface RowCipher {
  /** Ciphertext and tag. */
  seal(nonce: Uint8Array, additional: Uint8Array, plain: Uint8Array): MaybePromise<Uint8Array>
  /** The plaintext of the nonce, ciphertext and tag that stand in `row` from `from` on; `undefined` when the tag does not fit. */
  open(row: Uint8Array, from: number, additional: Uint8Array): MaybePromise<Uint8Array | undefined>
}

/** HMAC-SHA-256 (RFC 2104) under one key, as lower-case hexadecimal. */
export type RowMac = (bytes: Uint8Array<ArrayBuffer>) => MaybePromise<string>

/** What the vault needs of a platform's cryptography. */
export interface Primitives {
  /** HKDF-SHA-256 (RFC 5869) without salt: the input is a uniformly random key. */
  derive(bytes: Uint8Array, purpose: string, length: number): MaybePromise<Uint8Array>
  cipher(key: Uint8Array): MaybePromise<RowCipher>
  mac(key: Uint8Array): MaybePromise<RowMac>
  /** SHA-256 as lower-case hexadecimal. */
  sha256Hex(bytes: Uint8Array<ArrayBuffer>): MaybePromise<string>
}
