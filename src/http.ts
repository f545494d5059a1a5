import { describeAddress, refuseUrl } from './address.js'
import { concat, utf8 } from './bytes.js'
import { ConfigurationError, NetworkError } from './errors/outbound.js'

/** The longest that one request to a server of the identity provider may take, answer included. */
export const REQUEST_TIMEOUT_MS = 10_000
/** The most that an answer may hold. */
export const MAX_ANSWER_BYTES = 1_048_576

/** The most redirects that one request may follow. */
const MAX_REDIRECTS = 5

/** A `fetch`, or what stands in for one. */
export type Fetch = typeof globalThis.fetch

/** How {@link safeFetch} talks. */
export interface SafeFetchOptions {
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean | undefined
  /** Milliseconds, headers and body together. Default {@link REQUEST_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined
  /** Default {@link MAX_ANSWER_BYTES}. */
  readonly maxBytes?: number | undefined
  /** Follows up to {@link MAX_REDIRECTS} redirects that stay within the origin. For requests without body and secret. */
  readonly followWithinOrigin?: boolean | undefined
}

/**
 * A `fetch` for servers that get our secrets: https only, no redirects unless asked for, no special-purpose address,
 * bounded in time and size. The answer is read in full before it is returned.
 *
 * @throws {@link NetworkError} With `status` once the head of an answer has come.
 * @throws {@link ConfigurationError} A `fetch` of the application's own gave no response.
 */
export function safeFetch(options: SafeFetchOptions = {}): Fetch {
  const { timeoutMs = REQUEST_TIMEOUT_MS, maxBytes = MAX_ANSWER_BYTES } = options
  return async (input, init) => {
    const address = isRequest(input) ? input.url : String(input)
    const shown = describeAddress(address)
    const refusal = URL.canParse(address)
      ? refuseUrl(new URL(address), options.allowInsecureLoopback ?? false)
      : 'is no absolute URL.'
    if (refusal) {
      throw new NetworkError({ url: shown, reason: 'address_not_allowed', detail: refusal })
    }
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), timeoutMs)
    const outer = init?.signal ?? undefined
    const signal = outer ? AbortSignal.any([outer, deadline.signal]) : deadline.signal
    // A stand-in for fetch may not listen to the signal: the race keeps the deadline in any case.
    const aborted = new Promise<never>((_, reject) => {
      const stop = () => reject(new Error('aborted'))
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
    aborted.catch(() => {})
    const ask = (target: RequestInfo | URL) =>
      (options.fetch ?? fetch)(target, { ...init, redirect: 'manual', signal })
    let status: number | undefined
    let bytes: Uint8Array
    let headers: [string, string][]
    try {
      let answer = await Promise.race([ask(input), aborted])
      checkResponse(answer)
      if (options.followWithinOrigin) {
        let from = address
        for (let hops = 0; hops < MAX_REDIRECTS; hops++) {
          const to = nextWithinOrigin(answer, from)
          if (to === undefined) break
          chunksOf(answer).cancel()
          from = to
          answer = await Promise.race([ask(to), aborted])
          checkResponse(answer)
        }
      }
      status = answer.status
      if (isRedirect(answer)) {
        chunksOf(answer).cancel()
        throw new NetworkError({
          url: shown,
          reason: 'redirected',
          detail: `answered with a redirect (HTTP ${answer.status}${targetOf(answer)}); ${
            options.followWithinOrigin
              ? `only ${MAX_REDIRECTS} redirects within the origin are followed.`
              : 'it is not followed, since it would carry secrets elsewhere.'
          } Configure the final address.`,
        })
      }
      headers = [...answer.headers]
      bytes = await readBounded(answer, maxBytes, shown, aborted)
      if (!(status >= 200 && status <= 599)) throw new Error('no status of an answer')
    } catch (error) {
      if (error instanceof NetworkError || error instanceof ConfigurationError) throw error
      if (outer?.aborted) {
        throw new NetworkError({
          url: shown,
          reason: 'aborted',
          detail: 'the request was aborted.',
          status,
        })
      }
      if (deadline.signal.aborted) {
        throw new NetworkError({
          url: shown,
          reason: 'timeout',
          detail: `no complete answer within ${timeoutMs} ms. Try again later.`,
          status,
        })
      }
      throw new NetworkError({
        url: shown,
        reason: 'unreachable',
        detail:
          status === undefined
            ? 'could not be reached. Check the address and the network, then try again.'
            : `the answer broke off after its head (HTTP ${status}). Try again later.`,
        status,
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
    // What fails from here on is a mistake of this process, and nobody's who answered.
    const body = status === 204 || status === 205 ? null : (bytes as BodyInit)
    return new Response(body, { status, headers })
  }
}

/** Told by what it has: another package may have replaced the class. */
export function isRequest(value: unknown): value is Request {
  const { url, method, headers } = (value ?? {}) as Partial<Request>
  return typeof url === 'string' && typeof method === 'string' && typeof headers === 'object'
}

/** Told by what it has, likewise. */
export function isStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof (value as Partial<ReadableStream> | null | undefined)?.getReader === 'function'
}

function isRedirect({ type, status }: Response): boolean {
  return type === 'opaqueredirect' || (status >= 300 && status < 400)
}

/** Where a redirect leads, if that is the same origin. */
function nextWithinOrigin(answer: Response, from: string): string | undefined {
  const location = answer.headers.get('location')
  if (!isRedirect(answer) || location === null || !URL.canParse(location, from)) return undefined
  const { origin, href, username, password } = new URL(location, from)
  return origin === new URL(from).origin && username + password === '' ? href : undefined
}

function targetOf(answer: Response): string {
  const location = answer.headers.get('location')
  return location === null ? '' : ` to ${describeAddress(location)}`
}

/** What is used of a response: packages bring `Response` classes of their own. */
type AnyResponse = Pick<Response, 'status' | 'headers' | 'arrayBuffer'> & {
  readonly body?: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string> | null
}

function checkResponse(answer: Partial<Response> | undefined): void {
  if (
    typeof answer?.status === 'number' &&
    typeof answer.headers?.get === 'function' &&
    typeof answer.headers[Symbol.iterator] === 'function' &&
    typeof answer.arrayBuffer === 'function'
  ) {
    return
  }
  throw new ConfigurationError(
    'The option fetch must give a Response, with status, headers and arrayBuffer(); what it gave is none.',
    { reason: 'fetch_gave_no_response' },
  )
}

async function readBounded(
  answer: AnyResponse,
  maxBytes: number,
  shown: string,
  aborted: Promise<never>,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = 0
  const chunks = chunksOf(answer)
  try {
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), aborted])
      if (done) break
      size += value.length
      if (size > maxBytes) {
        throw new NetworkError({
          url: shown,
          reason: 'too_large',
          detail: `the answer is larger than ${maxBytes} bytes and was not read on. Check that the address is right.`,
          status: answer.status,
        })
      }
      parts.push(value)
    }
  } catch (error) {
    chunks.cancel()
    throw error
  }
  return concat(...parts)
}

interface Chunks {
  next(): Promise<{ done: true; value?: undefined } | { done: false; value: Uint8Array }>
  cancel(): void
}

/** The body piece by piece where it can be had so, else in one. */
function chunksOf(answer: AnyResponse): Chunks {
  const { body } = answer
  if (body && 'getReader' in body) {
    const reader = body.getReader()
    return {
      next: () => reader.read() as ReturnType<Chunks['next']>,
      cancel: () => void reader.cancel().catch(() => {}),
    }
  }
  const pieces = body?.[Symbol.asyncIterator]?.() ?? whole(answer)
  return {
    async next() {
      const { done, value } = await pieces.next()
      if (done) return { done: true }
      return { done: false, value: typeof value === 'string' ? utf8(value) : value }
    },
    cancel: () => void Promise.resolve(pieces.return?.()).catch(() => {}),
  }
}

async function* whole(answer: AnyResponse): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(await answer.arrayBuffer())
}
