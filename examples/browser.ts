/**
 * A small browser for examples and tests: it keeps cookies, follows redirects, signs in at the pages of
 * `startOpenIdProvider()` and consents there.
 */

export interface BrowserOptions {
  /** What to type into the provider's login form. */
  readonly login?: string
  /** Headers for one origin's requests, such as your application's session cookie. */
  readonly headers?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

export interface OpenOptions {
  readonly login?: string
  /** Sign in, then cancel on the consent page. */
  readonly deny?: boolean
  /** Return before this address is requested: a test may hand it to somebody else. */
  readonly stopAt?: (url: URL) => boolean
}

export interface Page {
  /** Where the browser is; with `stopAt`, where it would have gone. */
  readonly url: string
  /** 0 when stopped before the request. */
  readonly status: number
  readonly body: string
  readonly headers: Headers
  /** Every request, such as `GET http://127.0.0.1:1234/auth?…`. */
  readonly trail: readonly string[]
}

interface Cookie {
  readonly name: string
  readonly value: string
  readonly host: string
  readonly path: string
}

interface Request {
  readonly url: URL
  readonly form?: URLSearchParams | undefined
}

const MAX_STEPS = 40
const TIMEOUT_MS = 10_000

/** One user's browser. */
export class Browser {
  readonly #options: BrowserOptions
  #cookies: Cookie[] = []

  constructor(options: BrowserOptions = {}) {
    this.#options = options
  }

  /** Sets a cookie by hand, for every port of the host, as browsers do. */
  setCookie(url: string, name: string, value: string, path = '/'): void {
    this.#keep({ name, value, host: new URL(url).hostname, path })
  }

  /** Opens `url` and goes on until a page that is not one of the provider's forms. */
  async open(url: string, options: OpenOptions = {}): Promise<Page> {
    const trail: string[] = []
    let next: Request = { url: new URL(url) }
    for (let step = 0; step < MAX_STEPS; step++) {
      if (options.stopAt?.(next.url)) {
        return { url: next.url.href, status: 0, body: '', headers: new Headers(), trail }
      }
      trail.push(`${next.form ? 'POST' : 'GET'} ${next.url.href}`)
      const response = await this.#send(next)
      const location = response.headers.get('location')
      if (location && response.status >= 300 && response.status < 400) {
        await response.body?.cancel()
        const target = new URL(location, next.url)
        // 307 and 308 keep the method and the body; the others become GET (RFC 9110 §15.4).
        next = { url: target, form: response.status >= 307 ? next.form : undefined }
        continue
      }
      const { status, headers } = response
      const page: Page = { url: next.url.href, status, body: await response.text(), headers, trail }
      const onward = this.#answer(page, options)
      if (!onward) return page
      next = onward
    }
    throw new Error(`No end after ${MAX_STEPS} requests:\n${trail.join('\n')}`)
  }

  /** The provider's own pages: a form with `prompt`, and a link that ends in /abort. */
  #answer(page: Page, options: OpenOptions): Request | undefined {
    const prompt = /name="prompt" value="(login|consent)"/.exec(page.body)?.[1]
    const action = /<form[^>]* action="([^"]+)"/.exec(page.body)?.[1]
    if (!prompt || !action) return undefined
    const at = (link: string) => new URL(link.replaceAll('&amp;', '&'), page.url)
    if (prompt === 'consent') {
      const abort = /href="([^"]+\/abort)"/.exec(page.body)?.[1]
      if (options.deny && abort) return { url: at(abort) }
      return { url: at(action), form: new URLSearchParams({ prompt }) }
    }
    const login = options.login ?? this.#options.login
    if (login === undefined) {
      throw new Error(`${page.url} asks who is there. Give the browser the option login.`)
    }
    return { url: at(action), form: new URLSearchParams({ prompt, login, password: 'any' }) }
  }

  async #send({ url, form }: Request): Promise<Response> {
    const headers = new Headers({ accept: 'text/html', ...this.#options.headers?.[url.origin] })
    const cookies = this.#cookies
      .filter((cookie) => cookie.host === url.hostname && underPath(url.pathname, cookie.path))
      .map((cookie) => `${cookie.name}=${cookie.value}`)
    const given = headers.get('cookie')
    if (given) cookies.unshift(given)
    if (cookies.length > 0) headers.set('cookie', cookies.join('; '))
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(form ? { body: form } : {}),
    })
    for (const line of response.headers.getSetCookie()) this.#receive(line, url)
    return response
  }

  #receive(line: string, url: URL): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const cut = pair.indexOf('=')
    if (cut < 1) return
    const attribute = new Map(
      attributes.map((text) => {
        const [key = '', value = ''] = text.split('=')
        return [key.toLowerCase(), value]
      }),
    )
    const expires = attribute.get('expires')
    const maxAge = attribute.get('max-age')
    const gone =
      maxAge === undefined
        ? expires !== undefined && Date.parse(expires) <= Date.now()
        : Number(maxAge) <= 0
    const path = attribute.get('path') || url.pathname.replace(/\/[^/]*$/, '') || '/'
    const cookie = {
      name: pair.slice(0, cut),
      value: pair.slice(cut + 1),
      host: url.hostname,
      path,
    }
    this.#keep(cookie, gone)
  }

  #keep(cookie: Cookie, gone = false): void {
    this.#cookies = this.#cookies.filter(
      (old) => old.name !== cookie.name || old.host !== cookie.host || old.path !== cookie.path,
    )
    if (!gone) this.#cookies.push(cookie)
  }
}

/** RFC 6265 §5.1.4. */
function underPath(path: string, cookiePath: string): boolean {
  if (path === cookiePath) return true
  return path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`)
}
