import { base64url, equalBytes, tuple, utf8 } from '../bytes.js'
import { MINUTE_MS } from '../clock.js'
import { resolveSecret, type SecretInput } from '../secret.js'
import { SharedWork } from '../shared-work.js'

/** A new nonce comes into use this often; it is accepted in its own span, and in the one before and after. */
const NONCE_SPAN_MS = 2 * MINUTE_MS
const MIN_SECRET_LENGTH = 32

/**
 * Nonces for DPoP proofs ([RFC 9449 §9](https://www.rfc-editor.org/rfc/rfc9449#section-9)) that nobody has to store: the
 * HMAC of the time. Processes with the same secret accept each other's.
 */
export class DpopNonces {
  readonly #secret: SecretInput
  #key: CryptoKey | undefined
  readonly #loading = new SharedWork<CryptoKey>()

  constructor(secret: SecretInput) {
    this.#secret = secret
  }

  /** The nonce to use now. */
  current(nowMs: number): Promise<string> {
    return this.#at(Math.floor(nowMs / NONCE_SPAN_MS))
  }

  async accepts(nonce: string, nowMs: number): Promise<boolean> {
    const span = Math.floor(nowMs / NONCE_SPAN_MS)
    const good = await Promise.all([span, span - 1, span + 1].map((one) => this.#at(one)))
    return good.some((one) => equalBytes(utf8(one), utf8(nonce)))
  }

  async #at(span: number): Promise<string> {
    // Only what was had is kept: a secret that cannot be had now is asked for again.
    this.#key ??= await this.#loading.run('key', () => importKey(this.#secret))
    const text = tuple('deputize dpop nonce', String(span))
    const mac = await crypto.subtle.sign('HMAC', this.#key, text)
    return base64url(new Uint8Array(mac))
  }
}

async function importKey(secret: SecretInput): Promise<CryptoKey> {
  const value = (await resolveSecret(secret, 'dpop.nonceSecret')).reveal()
  checkNonceSecret(value)
  return crypto.subtle.importKey('raw', utf8(value), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ])
}

/** @throws `TypeError` */
export function checkNonceSecret(value: string): void {
  if (value.length < MIN_SECRET_LENGTH) {
    throw new TypeError(
      `dpop.nonceSecret must have at least ${MIN_SECRET_LENGTH} characters, of random bytes.`,
    )
  }
}
