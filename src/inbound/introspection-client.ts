import { base64url, sha256, utf8 } from '../bytes.js'
import { type Clock, HOUR_MS, SECOND_MS } from '../clock.js'
import { findMetadata, metadataUrls } from '../discovery.js'
import { documentReader } from '../document.js'
import { InboundAuthError } from '../errors/inbound.js'
import { type Fetch, safeFetch } from '../http.js'
import { type ClientIdentity, clientAuthenticator } from '../oauth/client-auth.js'
import { SharedWork } from '../shared-work.js'
import { isJsonObject, type JsonObject, parseStrictJson } from '../strict-json.js'
import { WaitingLine } from './waiting-line.js'

/** The longest that one introspection may take, and the most that its answer may hold. */
const TIMEOUT_MS = 5 * SECOND_MS
const MAX_ANSWER_BYTES = 32_768
/** The most answers that are kept. */
const MAX_KEPT = 1000
/** The most tokens that are remembered as active, by their hashes. */
const MAX_KNOWN = 10_000
/** How many tokens are asked about at once, and how many wait for that; each twice, see {@link IntrospectionClient}. */
const LINE = { running: 100, waiting: 1000, waitMs: TIMEOUT_MS, lostMs: 6 * TIMEOUT_MS }

/** Where, and as whom, to ask. */
export interface IntrospectionClientOptions {
  readonly issuer: string
  /** Default: what the issuer's metadata says. */
  readonly endpoint: string | undefined
  readonly client: ClientIdentity
  readonly cacheMs: number
  readonly allowInsecureLoopback: boolean | undefined
  readonly fetch: Fetch | undefined
}

interface Kept {
  readonly claims: JsonObject
  readonly sinceMs: number
  readonly untilMs: number
}

/**
 * Asks an authorization server what a token is ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). Answers for active
 * tokens are kept briefly, under a hash of the token; the same token is asked for once at a time. Tokens that were active
 * before have a line of their own, so that strangers' junk keeps none of their holders waiting.
 */
export class IntrospectionClient {
  readonly #options: IntrospectionClientOptions
  readonly #post: Fetch
  readonly #flight = new SharedWork<JsonObject>()
  readonly #discovery = new SharedWork<string>()
  readonly #kept = new Map<string, Kept>()
  readonly #known = new Set<string>()
  readonly #knownLine = new WaitingLine(LINE)
  readonly #strangersLine = new WaitingLine(LINE)
  #endpoint: { readonly url: string; readonly atMs: number } | undefined

  constructor(options: IntrospectionClientOptions) {
    this.#options = options
    const { fetch, allowInsecureLoopback } = options
    this.#post = safeFetch({
      fetch,
      allowInsecureLoopback,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
  }

  /**
   * What the server says of an active token.
   *
   * @throws {@link InboundAuthError} `ERR_TOKEN_INACTIVE`, `ERR_INTROSPECTION_UNAVAILABLE`.
   */
  async ask(token: string, clock: Clock): Promise<JsonObject> {
    const id = base64url(await sha256(utf8(token)))
    const kept = this.#kept.get(id)
    if (kept && clock() >= kept.sinceMs && clock() < kept.untilMs) return kept.claims
    return this.#flight.run(id, async () => {
      const line = this.#known.has(id) ? this.#knownLine : this.#strangersLine
      const claims = await line.run(() => this.#request(token, clock), clock)
      if (!claims) throw unavailable('too many introspections are under way')
      this.#know(id, claims.active === true)
      if (claims.active !== true) {
        this.#kept.delete(id) // a clock that is set back must not bring back what was said before
        throw new InboundAuthError('ERR_TOKEN_INACTIVE', { reason: 'the issuer says: not active' })
      }
      this.#keep(id, claims, clock())
      return claims
    })
  }

  #know(id: string, active: boolean): void {
    this.#known.delete(id) // a new entry goes to the end: the oldest is the first
    if (!active) return
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!)
    this.#known.add(id)
  }

  #keep(id: string, claims: JsonObject, nowMs: number): void {
    this.#kept.delete(id) // a new entry goes to the end: the oldest is the first
    if (this.#options.cacheMs === 0) return
    const expiresAtMs = typeof claims.exp === 'number' ? claims.exp * SECOND_MS : Infinity
    const untilMs = Math.min(nowMs + this.#options.cacheMs, expiresAtMs)
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    this.#kept.set(id, { claims, sinceMs: nowMs, untilMs })
  }

  async #request(token: string, clock: Clock): Promise<JsonObject> {
    const endpoint = this.#options.endpoint ?? (await this.#discover(clock))
    const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
    const headers = new Headers({ accept: 'application/json' })
    const authenticate = await clientAuthenticator(this.#options.client)
    authenticate({ body, headers })
    let answer: Response
    try {
      answer = await this.#post(endpoint, { method: 'POST', headers, body })
    } catch (cause) {
      throw unavailable('the introspection endpoint cannot be reached', cause)
    }
    if (answer.status === 401)
      throw unavailable('HTTP 401: check clientId, clientSecret and clientAuth')
    if (answer.status !== 200) throw unavailable(`HTTP ${answer.status}`)
    const json = parseStrictJson(new Uint8Array(await answer.arrayBuffer()))
    if (!json.ok || !isJsonObject(json.value)) throw unavailable('the answer is no JSON object')
    if (typeof json.value.active !== 'boolean')
      throw unavailable('active is neither true nor false')
    return json.value
  }

  async #discover(clock: Clock): Promise<string> {
    const known = this.#endpoint
    if (known && clock() >= known.atMs && clock() - known.atMs < HOUR_MS) return known.url
    return this.#discovery.run('endpoint', async () => {
      try {
        const url = await findEndpoint(this.#options)
        this.#endpoint = { url, atMs: clock() }
        return url
      } catch (error) {
        if (known) return known.url // endpoints seldom move
        throw error
      }
    })
  }
}

async function findEndpoint(options: IntrospectionClientOptions): Promise<string> {
  const { issuer, fetch, allowInsecureLoopback } = options
  const transport = { fetch, allowInsecureLoopback, timeoutMs: TIMEOUT_MS }
  const found = await findMetadata(documentReader({ ...transport, followWithinOrigin: true }), {
    urls: metadataUrls(issuer),
    issuers: [issuer],
    member: 'introspection_endpoint',
  })
  if (found.ok) return found.value
  const advice = found.reason === 'not_found' ? '; set introspectionEndpoint' : ''
  const { detail, attempts } = found
  throw unavailable(`the issuer's metadata cannot be had: ${detail}${advice}`, attempts[0]?.error)
}

function unavailable(reason: string, cause?: unknown): InboundAuthError {
  return new InboundAuthError('ERR_INTROSPECTION_UNAVAILABLE', {
    reason: `introspection: ${reason}`,
    cause,
  })
}
