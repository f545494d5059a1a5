import { DAY_MS, MINUTE_MS, SECOND_MS } from './clock.js'
import { InboundAuthError } from './errors/inbound.js'
import { NetworkError } from './errors/outbound.js'
import { type Fetch, safeFetch } from './http.js'
import { isJsonObject, type JsonObject, parseStrictJson } from './strict-json.js'

/** The most that a metadata document or a JWK set may hold. */
const MAX_DOCUMENT_BYTES = 262_144
/** The longest that one of them may take. */
const DOCUMENT_TIMEOUT_MS = 5 * SECOND_MS

/** How long a document counts as fresh: what its `max-age` says, within these bounds. */
const MIN_FRESH_MS = MINUTE_MS
const DEFAULT_FRESH_MS = 10 * MINUTE_MS
const MAX_FRESH_MS = DAY_MS

/** How documents are fetched. */
export interface DocumentOptions {
  readonly fetch?: Fetch | undefined
  readonly allowInsecureLoopback?: boolean | undefined
  /** Milliseconds, headers and body together. Default {@link DOCUMENT_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined
}

/** A document that an issuer publishes. */
export interface IssuerDocument {
  readonly fields: JsonObject
  /** For how long it counts as fresh. */
  readonly freshMs: number
}

/** A way to read documents; it gives the HTTP status when that is not 200. */
export type ReadDocument = (url: string) => Promise<IssuerDocument | number>

/**
 * Reads JSON objects from issuers: no redirects, bounded in time and size, strict JSON whatever the content type says.
 */
export function documentReader(options: DocumentOptions): ReadDocument {
  const get = safeFetch({
    fetch: options.fetch,
    allowInsecureLoopback: options.allowInsecureLoopback,
    timeoutMs: options.timeoutMs ?? DOCUMENT_TIMEOUT_MS,
    maxBytes: MAX_DOCUMENT_BYTES,
  })
  return async (url) => {
    if (!URL.canParse(url)) throw unavailable('the issuer names an address that is not a URL')
    let answer: Response
    try {
      answer = await get(url, { headers: { accept: 'application/json' } })
    } catch (error) {
      const reason = error instanceof NetworkError ? error.reason : 'unreachable'
      throw unavailable(`a document of the issuer cannot be had: ${reason}`, error)
    }
    if (answer.status !== 200) return answer.status
    const json = parseStrictJson(new Uint8Array(await answer.arrayBuffer()))
    if (!json.ok) throw unavailable(`a document of the issuer is refused: ${json.reason}`)
    if (!isJsonObject(json.value)) throw unavailable('a document of the issuer is not an object')
    return { fields: json.value, freshMs: freshFor(answer.headers.get('cache-control')) }
  }
}

/** Milliseconds for which an answer with this `Cache-Control` counts as fresh. */
export function freshFor(cacheControl: string | null): number {
  let fresh = DEFAULT_FRESH_MS
  for (const directive of (cacheControl ?? '').toLowerCase().split(',')) {
    const [name, value = ''] = directive.trim().split('=', 2)
    if (name === 'no-store' || name === 'no-cache') return MIN_FRESH_MS
    if (name === 'max-age' && /^\d+$/.test(value)) fresh = Number(value) * SECOND_MS
  }
  return Math.min(Math.max(fresh, MIN_FRESH_MS), MAX_FRESH_MS)
}

/** The error for keys that cannot be had now. */
export function unavailable(reason: string, cause?: unknown): InboundAuthError {
  return new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason, cause })
}
