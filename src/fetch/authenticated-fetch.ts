import { abortable } from '../abortable.js'
import type { AccessToken } from '../access-token.js'
import { describeAddress } from '../address.js'
import { type CallerOptions, callerScope } from '../context/caller.js'
import type { TokenRequest } from '../context/credential-source.js'
import type { Scope } from '../context/run-context.js'
import { type Fetch, isRequest, isStream } from '../http.js'
import { checkFunction, checkOptionNames, type KnownOptions } from '../option-names.js'
import { checkScopes } from '../providers/options.js'
import type { Provider } from '../providers/provider.js'
import { guardOrigin } from './origin-guard.js'
import { type Hop, MAX_REDIRECTS, nextHop } from './redirects.js'
import { readAhead } from './request-body.js'
import { signedCall } from './signed-call.js'
import { stepUp } from './step-up.js'

/** Whose credential the requests carry. */
export interface AuthenticatedFetchOptions
  extends CallerOptions,
    Omit<TokenRequest, 'rejected' | 'signal'> {
  /** The `fetch` to wrap. Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

const known: KnownOptions<AuthenticatedFetchOptions> = {
  provider: true,
  scopes: true,
  flow: true,
  resource: true,
  account: true,
  onAuthorizationRequired: true,
  returnUrl: true,
  acting: true,
  credentials: true,
  fetch: true,
}

/**
 * A `fetch` whose requests carry the credential of a provider, to that provider's `origins` only. Redirects are followed
 * by hand: away from the first origin neither credential nor body goes along, and a request that is signed for AWS is not
 * redirected at all. A 401 is answered once with a newer token, where the body can be sent again: any but a stream, an
 * async iterable, and a `Request` with more than 1 MiB. A 403 that names scopes which the user has not granted asks for
 * them.
 *
 * The returned function rejects with {@link OriginNotAllowedError} before any credential is fetched, with what
 * `getToken()` rejects with, and otherwise like `fetch`.
 *
 * @throws `TypeError` An option is wrong; it is named.
 */
export function authenticatedFetch(options: AuthenticatedFetchOptions): Fetch {
  checkOptionNames(options, 'authenticatedFetch()', known)
  const { provider: name, scopes = [] } = options
  if (typeof name !== 'string' || name === '') {
    throw new TypeError(
      'authenticatedFetch() needs the option provider: a name of the option providers.',
    )
  }
  checkScopes(scopes, 'scopes')
  checkFunction(options.fetch, 'fetch')
  const what = `authenticatedFetch({ provider: ${JSON.stringify(name)} })`

  const run = async (asked: ReadRequest, scope: Scope): Promise<Response> => {
    const provider = scope.credentials.provider(name)
    guardOrigin(name, provider, asked.url)
    if (provider.kind === 'aws-iam') {
      const credentials = await scope.credentials.getAwsCredentials(scope.acting, {
        provider: name,
      })
      return signedCall(await withBody(asked), options.fetch ?? fetch, (unsigned) =>
        provider.sign(unsigned, credentials),
      )
    }
    const credential = credentialHeader(provider)
    if (asked.headers.has(credential)) {
      throw new TypeError(
        `${what} sets the header ${credential} itself; leave it out of the request.`,
      )
    }
    const request = await withBody(asked)
    const send = (hop: Hop) =>
      (options.fetch ?? fetch)(hop.url.href, {
        ...request.init,
        method: hop.method,
        headers: hop.headers,
        body: hop.body,
        redirect: 'manual',
        ...(isStream(hop.body) ? ({ duplex: 'half' } as RequestInit) : {}),
      })
    const once = async (rejected?: AccessToken, more?: readonly string[]) => {
      const hop = { ...request, headers: new Headers(request.headers), home: true }
      const wanted = more ? { ...options, scopes: unionScopes(scopes, more) } : options
      const token = await attach(wanted, scope, provider, hop, request.init.signal, rejected)
      return { token, run: () => follow(hop, send, name, provider, request.redirect) }
    }
    const first = await once()
    const { answer, last } = await first.run()
    // Another method than the first: that request was met, and sending it again would repeat what it did.
    if (!first.token || !last.home || last.method !== request.method) return answer
    const drop = () => answer.body?.cancel().catch(() => {})
    const again = await newer(answer, first.token, request.replayable, once).catch(
      async (error: unknown) => {
        await drop()
        throw error
      },
    )
    if (!again || again.token?.value === first.token.value || !request.replayable) return answer
    await drop()
    return (await again.run()).answer
  }
  return async (input, init) => {
    const asked = readRequest(input, init)
    const scope = callerScope(options, what, [input, init])
    // A key function, a store or a body that never ends does not hear the signal; the caller is let go all the same.
    return abortable(run(asked, scope), asked.init.signal)
  }
}

/** What to try after a refusal: with a newer token, or with the scopes that were missing. */
async function newer<T>(
  answer: Response,
  token: AccessToken,
  replayable: boolean,
  once: (rejected?: AccessToken, more?: readonly string[]) => Promise<T>,
): Promise<T | undefined> {
  if (answer.status === 401) return replayable ? once(token) : undefined
  if (answer.status !== 403 || token.account === undefined) return undefined
  return stepUp(answer, (more) => once(undefined, more))
}

function unionScopes(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])]
}

interface ReadRequest extends Omit<Hop, 'home' | 'replayable'> {
  readonly init: RequestInit
  readonly redirect: RequestRedirect
  /** The body of a `Request`, still to be read. */
  readonly stream?: ReadableStream<Uint8Array> | undefined
}

/** Takes `fetch` arguments apart. The headers are a copy, to which the credential is added. */
function readRequest(input: RequestInfo | URL, init: RequestInit = {}): ReadRequest {
  const from = isRequest(input) ? input : undefined
  const address = from ? from.url : String(input)
  if (!URL.canParse(address)) {
    throw new TypeError(
      `authenticatedFetch() needs an absolute URL, since the credential goes to known origins only; got ${describeAddress(address)}.`,
    )
  }
  const url = new URL(address)
  const { method, headers, body, redirect, signal, ...rest } = init
  if (from?.bodyUsed && body === undefined) {
    throw new TypeError('The body of the Request was used already.')
  }
  return {
    url,
    method: (method ?? from?.method ?? 'GET').toUpperCase(),
    headers: new Headers(headers ?? from?.headers),
    body: body ?? null,
    stream: body === undefined ? (from?.body ?? undefined) : undefined,
    redirect: redirect ?? from?.redirect ?? 'follow',
    // As the Fetch standard has it: `undefined` is a signal that was left out, and `null` is none.
    init: { ...rest, signal: signal === undefined ? (from?.signal ?? null) : signal },
  }
}

async function withBody(request: ReadRequest): Promise<ReadRequest & { replayable: boolean }> {
  const { stream, init } = request
  const body = stream ? await readAhead(stream, init.signal) : request.body
  return { ...request, body, replayable: !isStream(body) && !isIterable(body) }
}

/** Node takes async iterables as bodies; they can be read once. */
function isIterable(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

function credentialHeader(provider: Provider): string {
  return provider.kind === 'api-key' ? provider.header : 'authorization'
}

/** Fetches the credential and sets it. Gives the token, where it is one. */
async function attach(
  options: AuthenticatedFetchOptions,
  scope: Scope,
  provider: Provider,
  hop: Hop,
  signal: AbortSignal | null | undefined,
  rejected?: AccessToken,
): Promise<AccessToken | undefined> {
  const { acting: _acting, credentials: _credentials, fetch: _fetch, ...request } = options
  if (provider.kind === 'api-key') {
    const key = await scope.credentials.getApiKey(scope.acting, { provider: request.provider })
    hop.headers.set(provider.header, key.reveal())
    return undefined
  }
  const token = await scope.credentials.getToken(scope.acting, {
    ...request,
    rejected,
    signal: signal ?? undefined,
  })
  hop.headers.set('authorization', token.authorization)
  return token
}

async function follow(
  first: Hop,
  send: (hop: Hop) => Promise<Response>,
  name: string,
  provider: Provider,
  redirect: RequestRedirect,
): Promise<{ readonly answer: Response; readonly last: Hop }> {
  let hop = first
  for (let count = 0; ; count++) {
    const answer = await send(hop)
    if (redirect === 'manual') return { answer, last: hop }
    const next = nextHop(hop, answer, name, provider.allowInsecureLoopback)
    if (!next) return { answer, last: hop }
    await answer.body?.cancel().catch(() => {})
    if (redirect === 'error') {
      throw new TypeError('The server answered with a redirect, and the request forbids them.')
    }
    if (count >= MAX_REDIRECTS) {
      throw new TypeError(`The server redirected more than ${MAX_REDIRECTS} times.`)
    }
    hop = next
  }
}
