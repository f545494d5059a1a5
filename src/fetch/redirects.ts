import { refuseUrl } from '../address.js'
import { OriginNotAllowedError } from '../errors/outbound.js'

/** As many as browsers follow. */
export const MAX_REDIRECTS = 20

/** What goes over to another origin: nothing that says who calls, and nothing that the caller set for the first one. */
const carried: ReadonlySet<string> = new Set(['accept', 'accept-language', 'user-agent'])

/** One hop of a request. */
export interface Hop {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: BodyInit | null
  /** Whether the body can be sent a second time. */
  readonly replayable: boolean
  /** Whether every hop so far was on the origin that the caller named. */
  readonly home: boolean
}

/**
 * The hop that a redirect leads to (Fetch standard §4.4), or `undefined` when the answer is none. Away from the first
 * origin neither credential nor body goes along, and a later hop back does not bring them back.
 *
 * @throws {@link OriginNotAllowedError} A body would go to another origin, https would become http, or the address is one
 *   that may not be called: a private, link-local or other special one, to which an open redirect of the API may lead.
 * @throws `TypeError` A body that is a stream would have to be sent again.
 */
export function nextHop(
  hop: Hop,
  answer: Response,
  provider: string,
  allowInsecureLoopback: boolean,
): Hop | undefined {
  const { status } = answer
  if (![301, 302, 303, 307, 308].includes(status)) return undefined
  const location = answer.headers.get('location')
  if (location === null || !URL.canParse(location, hop.url)) return undefined
  const url = new URL(location, hop.url)
  const refuse = (reason: string) =>
    new OriginNotAllowedError({ provider, origin: url.origin, allowed: [hop.url.origin], reason })
  if (url.protocol !== 'https:' && hop.url.protocol === 'https:') {
    throw refuse('a redirect leaves https')
  }
  const refusal = refuseUrl(url, allowInsecureLoopback)
  if (refusal) throw refuse(`a redirect leads to an address that ${refusal.replace(/[.;].*/, '')}`)
  if (url.hash === '') url.hash = hop.url.hash

  const toGet =
    (status === 303 && hop.method !== 'GET' && hop.method !== 'HEAD') ||
    ((status === 301 || status === 302) && hop.method === 'POST')
  const home = hop.home && url.origin === hop.url.origin
  const headers = new Headers()
  hop.headers.forEach((value, name) => {
    const framing = /^(content-|transfer-encoding$)/.test(name)
    if (home ? !(toGet && framing) : carried.has(name)) headers.set(name, value)
  })
  const body = toGet ? null : hop.body
  if (!home && body !== null)
    throw refuse('a redirect would send the request body to another origin')
  if (body !== null && !hop.replayable) {
    throw new TypeError('The server redirected a request whose body is a stream: it is spent.')
  }
  return { ...hop, url, method: toGet ? 'GET' : hop.method, headers, body, home }
}
