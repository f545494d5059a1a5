import { concat, utf8 } from '../bytes.js'

type Data = string | ArrayBuffer | ArrayBufferView

/** SHA-256 and HMAC-SHA-256 by Web Crypto, in the form that the signer of the AWS SDK takes. */
export class WebSha256 {
  readonly #secret: Uint8Array<ArrayBuffer> | undefined
  #parts: Uint8Array[] = []

  constructor(secret?: Data) {
    this.#secret = secret === undefined ? undefined : bytesOf(secret)
  }

  update(data: Data): void {
    this.#parts.push(bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    const data = concat(...this.#parts)
    if (!this.#secret) return new Uint8Array(await crypto.subtle.digest('SHA-256', data))
    const hmac = { name: 'HMAC', hash: 'SHA-256' }
    const key = await crypto.subtle.importKey('raw', this.#secret, hmac, false, ['sign'])
    return new Uint8Array(await crypto.subtle.sign('HMAC', key, data))
  }

  reset(): void {
    this.#parts = []
  }
}

function bytesOf(data: Data): Uint8Array<ArrayBuffer> {
  if (typeof data === 'string') return utf8(data)
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0))
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
}
