import type { IncomingMessage } from 'node:http'
import { type Readable as BodyStream, pipeline, Transform } from 'node:stream'
import { ConfigurationError } from '../../errors/outbound.js'
import type { RawBody } from '../../inbound/authenticator.js'
import { hasBody } from './has-body.js'

export type { BodyStream }

const bodyKey = Symbol.for('deputize.rawBody')

/** Keeps the bytes of the body as they came, for whoever checks a signature over them. */
export function keepBody(message: object, bytes: Uint8Array): void {
  Object.defineProperty(message, bodyKey, { value: bytes, configurable: true })
}

/** Keeps a body while it passes, if it is whole and no longer than `maxBytes`. */
export function keepWhilePassing(message: object, body: BodyStream, maxBytes: number): BodyStream {
  const chunks: Uint8Array[] = []
  let length = 0
  const through = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      length += chunk.length
      if (length <= maxBytes) chunks.push(chunk)
      else chunks.length = 0
      done(null, chunk)
    },
    flush(done) {
      if (length <= maxBytes) keepBody(message, Buffer.concat(chunks))
      done()
    },
  })
  pipeline(body, through, () => {}) // an error reaches whoever reads `through`
  return through
}

/**
 * The body for an authenticator that asks for it: what was kept, or nothing where the request has none. The stream is
 * never read here, since the application would wait for it in vain.
 */
export function keptBody(message: IncomingMessage): RawBody | undefined {
  const bytes = (message as { [bodyKey]?: Uint8Array })[bodyKey]
  if (bytes) return bytes
  if (!hasBody(message)) return undefined
  return () => {
    throw new ConfigurationError(
      'The signature covers the body, whose bytes were not kept. Put authenticate() behind the body parser, and let keepRawBody keep them.',
    )
  }
}
