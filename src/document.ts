import { DAY_MS, MINUTE_MS, SECOND_MS } from './clock.js'
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
  /** Milliseconds, redirects, headers and body together. Default {@link DOCUMENT_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined
  /** Follows redirects that stay within the origin. */
  readonly followWithinOrigin?: boolean | undefined
}

/** A JSON object that an issuer publishes. */
export interface IssuerDocument {
  readonly ok: true
  readonly fields: JsonObject
  /** For how long it counts as fresh. */
  readonly freshMs: number
}

/** What came back instead of a JSON object. */
export interface NoDocument {
  readonly ok: false
  /** For a message, such as `HTTP 404` or `no JSON object (not_json)`. Printable, and bounded. */
  readonly what: string
  /** Whether the same request may bring the document later. */
  readonly retryable: boolean
  /** The answer, where there was one. */
  readonly status?: number
  readonly headers?: Headers
  /** Where there was none. */
  readonly error?: NetworkError
}

/** A way to read documents. It does not reject. */
export type ReadDocument = (url: string) => Promise<IssuerDocument | NoDocument>

/** Reads JSON objects from issuers: bounded in time and size, strict JSON whatever the content type says. */
export function documentReader(options: DocumentOptions): ReadDocument {
  const get = safeFetch({
    ...options,
    timeoutMs: options.timeoutMs ?? DOCUMENT_TIMEOUT_MS,
    maxBytes: MAX_DOCUMENT_BYTES,
  })
  return async (url) => {
    let answer: Response
    try {
      answer = await get(url, { headers: { accept: 'application/json' } })
    } catch (error) {
      return noAnswer(error)
    }
    const { status, headers } = answer
    if (status !== 200) {
      const retryable = status === 408 || status === 429 || status >= 500
      return { ok: false, what: `HTTP ${status}`, retryable, status, headers }
    }
    const json = parseStrictJson(new Uint8Array(await answer.arrayBuffer()))
    if (!json.ok || !isJsonObject(json.value)) {
      const what = `no JSON object (${json.ok ? 'another value' : json.reason})`
      return { ok: false, what, retryable: false, status, headers }
    }
    return { ok: true, fields: json.value, freshMs: freshFor(headers.get('cache-control')) }
  }
}

function noAnswer(error: unknown): NoDocument {
  if (!(error instanceof NetworkError)) throw error
  // The message names the address, which the reader of this does, too; the advice in it stays behind.
  const [what = error.reason] = error.message.slice(error.url.length + 2).split(/[.;] /)
  return { ok: false, what: what.replace(/\.$/, ''), retryable: error.retryable, error }
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
