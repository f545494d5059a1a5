import { base64url, sha256, tuple } from '../bytes.js'
import { type Clock, MINUTE_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { NetworkError } from '../errors/outbound.js'
import { type Fetch, safeFetch } from '../http.js'
import { SharedWork } from '../shared-work.js'
import { isJsonObject, parseStrictJson } from '../strict-json.js'
import { type CallerArn, parseCallerArn } from './arn.js'
import { CallBudget } from './call-budget.js'
import type { SignedIdentity } from './signed-identity.js'

/** The longest that what STS said is used again. */
const MAX_CACHE_MS = MINUTE_MS
/** Identities, and refusals, that are kept. */
const MAX_CACHED = 10_000
const MAX_ANSWER_BYTES = 65_536
const TIMEOUT_MS = 5_000
/** How often STS is asked before it counts as away. */
const MAX_ATTEMPTS = 2

/** Who signed, as STS says. */
export interface CallerIdentity extends CallerArn {
  /** The unique id: it differs when a user or role is deleted and made again under its name. */
  readonly userId: string
}

/** Good from `sinceMs` on: a clock that was set back must not make it live longer. */
type Verdict = { readonly sinceMs: number; readonly untilMs: number } & (
  | { readonly identity: CallerIdentity }
  | { readonly identity?: undefined }
)

/** Asks STS who signed a request, and remembers the answer for a short while. */
export class CallerIdentityRelay {
  readonly #fetch: Fetch
  readonly #budget = new CallBudget()
  readonly #flights = new SharedWork<CallerIdentity>()
  readonly #verdicts = new Map<string, Verdict>()

  constructor(options: { readonly fetch?: Fetch | undefined }) {
    const { fetch } = options
    this.#fetch = safeFetch({ fetch, maxBytes: MAX_ANSWER_BYTES, timeoutMs: TIMEOUT_MS })
  }

  /**
   * Who signed. The same signed content is asked about once a minute at most.
   *
   * @throws {@link InboundAuthError} `ERR_BAD_SIGNATURE`: STS does not accept it. `ERR_STS_UNAVAILABLE`.
   */
  async identify(signed: SignedIdentity, clock: Clock): Promise<CallerIdentity> {
    const key = await keyOf(signed)
    const held = this.#verdicts.get(key)
    const nowMs = clock()
    if (held && held.sinceMs <= nowMs && nowMs < held.untilMs) return held.identity ?? reject()
    return this.#flights.run(key, () => this.#ask(key, signed, clock))
  }

  async #ask(key: string, signed: SignedIdentity, clock: Clock): Promise<CallerIdentity> {
    const identity = await this.#budget.run(
      await callerOf(signed),
      clock,
      () => this.#call(signed),
      (answer) => answer !== 'refused',
    )
    if (identity === undefined) throw unavailable('too many questions to STS at the moment')
    const sinceMs = clock()
    const untilMs = Math.min(sinceMs + MAX_CACHE_MS, signed.expiresAtMs)
    const times = { sinceMs, untilMs }
    this.#remember(key, identity === 'refused' ? times : { ...times, identity })
    if (identity === 'refused') throw refused()
    return identity
  }

  #remember(key: string, verdict: Verdict): void {
    this.#verdicts.delete(key)
    this.#verdicts.set(key, verdict)
    const [oldest] = this.#verdicts.keys()
    if (this.#verdicts.size > MAX_CACHED && oldest !== undefined) this.#verdicts.delete(oldest)
  }

  async #call(signed: SignedIdentity): Promise<CallerIdentity | 'refused'> {
    for (let attempt = 1; ; attempt++) {
      let failure: InboundAuthError
      try {
        const answer = await this.#send(signed)
        if (answer.status < 500) return await readAnswer(answer, signed)
        failure = unavailable(`STS answered with HTTP ${answer.status}`)
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error
        // Of the cause nothing is kept but its class: the address of a presigned request is itself the credential.
        failure = unavailable(`STS did not answer (${error.reason})`)
        if (!error.retryable) throw failure
      }
      if (attempt >= MAX_ATTEMPTS) throw failure
    }
  }

  #send({ endpoint, method, query, headers, body }: SignedIdentity): Promise<Response> {
    // The address is ours: an STS host by our table, the path that is always its own, and a query written anew.
    return this.#fetch(`https://${endpoint.host}/${query === '' ? '' : `?${query}`}`, {
      method,
      headers: [...headers.map(([name, value]): [string, string] => [name, value]), accept],
      ...(body === undefined ? {} : { body }),
    })
  }
}

const accept: [string, string] = ['accept', 'application/json']

/** Throttling comes as HTTP 400 in the query protocol. */
const throttled: ReadonlySet<unknown> = new Set([
  'Throttling',
  'ThrottlingException',
  'RequestThrottled',
  'RequestLimitExceeded',
  'ServiceUnavailable',
])

async function readAnswer(
  answer: Response,
  signed: SignedIdentity,
): Promise<CallerIdentity | 'refused'> {
  const parsed = parseStrictJson(new Uint8Array(await answer.arrayBuffer()), 8)
  const json = parsed.ok ? parsed.value : undefined
  if (answer.status !== 200) {
    const error = isJsonObject(json) && isJsonObject(json.Error) ? json.Error : {}
    if (![400, 401, 403].includes(answer.status) || throttled.has(error.Code)) {
      throw unavailable(`STS answered with HTTP ${answer.status}`)
    }
    return 'refused'
  }
  const type = answer.headers.get('content-type') ?? ''
  if (!/^application\/json(;|$)/i.test(type)) throw unavailable('the answer of STS is not JSON')
  const identity = identityIn(json)
  if (!identity) throw unavailable('the answer of STS has another form')
  if (identity.partition !== signed.endpoint.partition) {
    throw unavailable('the answer of STS names another partition')
  }
  return identity
}

/** The members that count, and nothing beside them: text of the caller's must not pass for an answer. */
function identityIn(json: unknown): CallerIdentity | undefined {
  const response = only(json, 'GetCallerIdentityResponse')
  if (!isJsonObject(response)) return undefined
  const { GetCallerIdentityResult: result, ResponseMetadata: _metadata, ...others } = response
  if (!isJsonObject(result) || Object.keys(others).length > 0) return undefined
  const { Account, Arn, UserId, ...more } = result
  if (Object.keys(more).length > 0) return undefined
  if (typeof Account !== 'string' || typeof Arn !== 'string' || typeof UserId !== 'string') {
    return undefined
  }
  const caller = parseCallerArn(Arn)
  if (caller?.accountId !== Account || !/^[\w+=,.@:-]{1,256}$/.test(UserId)) return undefined
  return Object.freeze({ ...caller, userId: UserId })
}

function only(json: unknown, name: string): unknown {
  return isJsonObject(json) && Object.keys(json).length === 1 ? json[name] : undefined
}

/** Everything that is sent, the signature among it, so that nothing else can find the answer; and the partition. */
async function keyOf({ endpoint, method, query, headers, body }: SignedIdentity): Promise<string> {
  const parts = [endpoint.partition, endpoint.host, method, query, body, ...headers.flat()]
  return base64url(await sha256(tuple(...parts)))
}

/** Whom a request says that it is from. Nobody but the caller knows the session token that goes with its key. */
async function callerOf({ accessKeyId, sessionToken }: SignedIdentity): Promise<string> {
  if (sessionToken === undefined) return accessKeyId
  return base64url(await sha256(tuple(accessKeyId, sessionToken)))
}

function refused(): InboundAuthError {
  return new InboundAuthError('ERR_BAD_SIGNATURE', { reason: 'STS does not accept the signature' })
}

function reject(): never {
  throw refused()
}

function unavailable(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_STS_UNAVAILABLE', { reason })
}
