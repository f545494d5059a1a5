import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { actingFor, agent, FakeCredentials } from '../../test/support/credentials.js'
import { type LocalServer, listen, listenWhole } from '../../test/support/local-server.js'
import { AuthorizationRequiredError } from '../errors/consent.js'
import { OriginNotAllowedError } from '../errors/outbound.js'
import { NoActingContextError } from '../errors/workload.js'
import type { Fetch } from '../http.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { apiKey } from '../providers/api-key.js'
import { oauth2 } from '../providers/oauth2.js'
import { startAuthorizationServer } from '../testing/authorization-server.js'
import { authenticatedFetch } from './authenticated-fetch.js'

const ada = actingFor('ada')
type Api = Awaited<ReturnType<typeof listenWhole>>

/** An API that answers by path; `/again` takes nothing but a renewed token. */
let api: Api
let credentials: FakeCredentials
let call: Fetch
const tokenAsks = () => credentials.asked.length
const make = (options: Partial<Parameters<typeof authenticatedFetch>[0]> = {}) =>
  authenticatedFetch({ provider: 'api', acting: ada, credentials, ...options })
const open: Api[] = []

async function start(answer: Parameters<typeof listenWhole>[0]): Promise<Api> {
  const server = await listenWhole(answer)
  open.push(server)
  return server
}

beforeAll(async () => {
  api = await start((seen, response) => {
    const renewed = /\.[1-9]\d*$/.test(seen.headers.authorization ?? '')
    const path = seen.target.split('?')[0]
    if (path === '/again') response.writeHead(renewed ? 200 : 401).end(seen.body)
    else if (path === '/never') response.writeHead(401).end('no')
    else if (path === '/to-again-307') response.writeHead(307, { location: '/again' }).end()
    else if (path === '/to-never-303') response.writeHead(303, { location: '/never' }).end()
    else if (path === '/to-ok') response.writeHead(302, { location: '/ok' }).end()
    else if (path === '/to-ok-307') response.writeHead(307, { location: '/ok' }).end()
    else if (path === '/loop') response.writeHead(302, { location: '/loop' }).end()
    else if (path === '/204') response.writeHead(204).end()
    else if (path === '/304') response.writeHead(304, { etag: '"x"' }).end()
    else response.writeHead(200, { 'x-seen': seen.method }).end('fine')
  })
})
afterAll(async () => {
  await Promise.all(open.map((server) => server[Symbol.asyncDispose]()))
})

function fresh(): void {
  credentials = new FakeCredentials([api.origin])
  call = make()
  api.seen.length = 0
}

describe('authenticatedFetch', () => {
  it('has the type of fetch, and sends the token in the header', async () => {
    fresh()
    expectTypeOf(call).toEqualTypeOf<typeof fetch>()
    const response = await call(`${api.origin}/x?y=%20`)
    expect([response.status, await response.text()]).toEqual([200, 'fine'])
    expect(api.seen[0]).toMatchObject({ method: 'GET', target: '/x?y=%20' })
    expect(api.seen[0]?.headers.authorization).toBe('Bearer ada.api..0')
  })

  it('takes what fetch takes', async () => {
    fresh()
    const headers = { 'x-a': '1', 'content-type': 'text/csv' }
    await call(new URL(`${api.origin}/url`), { method: 'post', body: 'a,b', headers })
    await call(new Request(`${api.origin}/req`, { method: 'PUT', body: 'a,b', headers }))
    await call(new Request(`${api.origin}/req`, { method: 'PUT', body: 'old' }), {
      method: 'PATCH',
      body: 'a,b',
      headers,
    })
    expect(api.seen.map((one) => one.method)).toEqual(['POST', 'PUT', 'PATCH'])
    for (const one of api.seen) {
      expect(one.body).toBe('a,b')
      expect(one.headers).toMatchObject({ ...headers, 'content-length': '3' })
      expect(one.headers.authorization).toBe('Bearer ada.api..0')
    }
  })

  it('does not change the Request or the headers that it is given', async () => {
    fresh()
    const headers = new Headers({ 'x-a': '1' })
    const request = new Request(`${api.origin}/x`, { headers })
    await call(request)
    await call(`${api.origin}/x`, { headers })
    expect([headers.has('authorization'), request.headers.has('authorization')]).toEqual([
      false,
      false,
    ])
  })

  it('leaves HEAD, 204 and 304 as they are', async () => {
    fresh()
    const head = await call(`${api.origin}/x`, { method: 'HEAD' })
    expect([head.headers.get('x-seen'), await head.text()]).toEqual(['HEAD', ''])
    expect((await call(`${api.origin}/204`)).body).toBeNull()
    const notModified = await call(`${api.origin}/304`, { headers: { 'if-none-match': '"x"' } })
    expect([notModified.status, notModified.headers.get('etag')]).toEqual([304, '"x"'])
  })

  it('hands the answer on while it still comes in', async () => {
    let finish!: () => void
    await using slow = await listen((_, response) => {
      response.write('first')
      finish = () => response.end('last')
    })
    const response = await make({ credentials: new FakeCredentials([slow.origin]) })(slow.origin)
    const reader = response.body!.getReader()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('first')
    finish()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('last')
  })

  it('sends a stream while it is still written', async () => {
    fresh()
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const sent = call(`${api.origin}/x`, { method: 'POST', body: readable })
    const writer = writable.getWriter()
    await writer.write(Buffer.from('one '))
    await writer.write(Buffer.from('two'))
    await writer.close()
    expect((await sent).status).toBe(200)
    expect(api.seen[0]?.body).toBe('one two')
  })

  it('wraps the fetch that it is given, with plain arguments', async () => {
    fresh()
    const calls: [string, RequestInit][] = []
    const wrapped = make({
      fetch: async (input, init) => {
        calls.push([String(input), init!])
        return fetch(input, init)
      },
    })
    await wrapped(`${api.origin}/x`, { keepalive: true })
    expect(calls[0]?.[0]).toBe(`${api.origin}/x`)
    expect(calls[0]?.[1]).toMatchObject({ redirect: 'manual', keepalive: true })
  })

  it('finds who acts in the scope, by value, and as a function of the call', async () => {
    fresh()
    const scoped = authenticatedFetch({ provider: 'api' })
    await expect(scoped(api.origin)).rejects.toBeInstanceOf(NoActingContextError)
    await credentials.runAs(actingFor('bob'), () => scoped(api.origin))
    await make({
      acting: (url: URL) => actingFor(url.searchParams.get('for') ?? ''),
      credentials: () => credentials,
    })(new URL(`${api.origin}/?for=eve`))
    expect(credentials.asked.map((one) => one.subject)).toEqual(['bob', 'eve'])
  })

  it('W12 refuses a credential that the caller set, before it fetches one', async () => {
    fresh()
    const headers = { AUTHORIZATION: 'Bearer mine' }
    await expect(call(`${api.origin}/x`, { headers })).rejects.toThrow(/authorization itself/)
    await expect(call(new Request(`${api.origin}/x`, { headers }))).rejects.toThrow(TypeError)
    const keyed = make({ provider: 'keyed' })
    await expect(keyed(api.origin, { headers: { 'x-api-key': 'mine' } })).rejects.toThrow(TypeError)
    expect([tokenAsks(), credentials.keysAsked, api.seen.length]).toEqual([0, 0, 0])
  })

  it('places an API key in its header, and does not retry it', async () => {
    fresh()
    expect((await make({ provider: 'keyed' })(`${api.origin}/never`)).status).toBe(401)
    expect(api.seen).toHaveLength(1)
    expect(api.seen[0]?.headers).toMatchObject({ 'x-api-key': 'key.ada.keyed' })
    expect(api.seen[0]?.headers).not.toHaveProperty('authorization')
  })

  it.each([[{}], [{ provider: '' }], [{ provider: 'api', scopes: ['a b'] }]])(
    'refuses the options %j at construction',
    (options) => {
      expect(() => authenticatedFetch(options as never)).toThrow(TypeError)
    },
  )
})

describe('W02 a URL that a model chose', () => {
  const strict = new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: 'https://idp.example',
        clientId: 'c',
        clientSecret: 's',
        origins: ['https://api.example.com'],
      }),
      key: apiKey({
        key: () => {
          throw new Error('the key was fetched')
        },
        origins: ['https://api.example.com'],
      }),
    },
  })
  const refusing: Fetch = async () => {
    throw new Error('a request was sent')
  }

  it.each([
    'https://evil.example/',
    'https://api.example.com@evil.example/',
    'https://api.example.com:443@evil.example/',
    'https://user:pass@api.example.com/',
    'https://@evil.example/',
    'https://evil.example/https://api.example.com/',
    'https://evil.example#@api.example.com/',
    'https://evil.example\\@api.example.com/',
    'https:\\\\evil.example/',
    'https://api.example.com.evil.example/',
    'https://api.example.com./',
    'https://sub.api.example.com/',
    'https://example.com/',
    'https://api.example.com:8443/',
    'http://api.example.com/',
    'http://api.example.com:443/',
    'https://аpi.example.com/',
    'https://api.example.com\t.evil.example/',
    'blob:https://api.example.com/7e2c',
    'data:text/plain,x',
    'file:///etc/passwd',
    'javascript:1',
    'wss://api.example.com/',
    'https://169.254.169.254/latest/',
    'https://2852039166/',
    'https://127.0.0.1/',
    'https://api%2eexample.com.evil.example/',
  ])('%s gets no credential', async (url) => {
    for (const provider of ['api', 'key']) {
      const guarded = make({ provider, credentials: strict, fetch: refusing })
      const error = await guarded(url).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(OriginNotAllowedError)
      expect(error).toMatchObject({ code: 'ERR_ORIGIN_NOT_ALLOWED' })
      expect(String(error)).not.toContain('pass')
    }
  })

  it.each(['//evil.example/', '/path', 'api.example.com', ''])(
    '%j is no address at all',
    async (url) => {
      const guarded = make({ credentials: strict, fetch: refusing })
      await expect(guarded(url)).rejects.toBeInstanceOf(TypeError)
    },
  )

  it.each([
    'HTTPS://API.EXAMPLE.COM/x',
    'https://api.example.com:443/x',
    'https:\\\\api.example.com/x',
    'https://ａpi.example.com/x',
    ' https://api.example.com/x',
  ])('%j is the allowed origin, differently written', async (url) => {
    const sent: string[] = []
    const own = new FakeCredentials()
    own.provider = (name) => strict.provider(name)
    await make({
      credentials: own,
      fetch: async (input) => {
        sent.push(String(input))
        return new Response()
      },
    })(url)
    expect(sent).toEqual(['https://api.example.com/x'])
  })

  it('a provider without origins sends its credential nowhere', async () => {
    const nowhere = make({ credentials: new FakeCredentials(), fetch: refusing })
    await expect(nowhere('https://api.example.com')).rejects.toThrow(/Allowed: none/)
  })
})

describe('W01 redirects', () => {
  const SECRETS = /ada\.api|key\.ada|session=|private-note|the-body/
  let sink: Api
  let hop: LocalServer & { readonly seen: Api['seen'] }
  beforeAll(async () => {
    sink = await start((seen, response) => {
      const back = new URL(seen.target, 'http://x').searchParams.get('back')
      if (back) response.writeHead(302, { location: back }).end()
      else response.writeHead(200).end('sink')
    })
    hop = await start((seen, response) => {
      const query = new URL(seen.target, 'http://x').searchParams
      const to = query.get('to')
      if (to) response.writeHead(Number(query.get('status')), { location: to }).end()
      else response.writeHead(200).end('home')
    })
  })

  const statuses = [301, 302, 303, 307, 308]
  const ways = ['other port', 'other host', 'by another hop', 'and back'] as const
  const carriers = ['Bearer', 'API key'] as const
  const table = statuses.flatMap((status) =>
    ways.flatMap((way) =>
      carriers.flatMap((carrier) =>
        [false, true].map((withBody) => [status, way, carrier, withBody] as const),
      ),
    ),
  )

  const address = (status: number, to: string) => {
    const query = new URLSearchParams({ status: String(status), to })
    return `${hop.origin}/start?${query}`
  }
  const headers = { cookie: 'session=1', 'x-note': 'private-note', 'accept-language': 'pt' }

  it.each(table)('%i, %s, %s, body %s: nothing goes along', async (status, way, carrier, body) => {
    sink.seen.length = 0
    hop.seen.length = 0
    const own = new FakeCredentials([hop.origin])
    const elsewhere =
      way === 'other host' ? sink.origin.replace('127.0.0.1', 'localhost') : sink.origin
    const target =
      way === 'and back'
        ? `${elsewhere}/?back=${encodeURIComponent(`${hop.origin}/home`)}`
        : `${elsewhere}/`
    const url =
      way === 'by another hop' ? address(status, address(status, target)) : address(status, target)
    const provider = carrier === 'Bearer' ? 'api' : 'keyed'
    const init = body ? { method: 'POST', body: 'the-body', headers } : { headers }
    const outcome = await make({ provider, credentials: own })(url, init).then(
      (response) => response.text(),
      (error: unknown) => error,
    )
    if (body && status >= 307) expect(outcome).toBeInstanceOf(OriginNotAllowedError)
    else expect(outcome).toBe(way === 'and back' ? 'home' : 'sink')
    expect(JSON.stringify(sink.seen)).not.toMatch(SECRETS)
    const home = hop.seen.filter((one) => one.target === '/home')
    expect(JSON.stringify(home)).not.toMatch(SECRETS)
    for (const one of sink.seen) expect(one.headers['accept-language']).toBe('pt')
  })

  it.each(statuses)('%i within the origin keeps credential and headers', async (status) => {
    hop.seen.length = 0
    const own = new FakeCredentials([hop.origin])
    const typed = { ...headers, 'content-type': 'text/csv' }
    const init = { method: 'POST', body: 'the-body', headers: typed }
    await make({ credentials: own })(address(status, 'home#part'), init)
    const last = hop.seen[1]
    expect(last?.headers).toMatchObject({ ...headers, authorization: 'Bearer ada.api..0' })
    const kept = status >= 307
    expect([last?.method, last?.body]).toEqual(kept ? ['POST', 'the-body'] : ['GET', ''])
    expect('content-type' in (last?.headers ?? {})).toBe(kept)
    expect(own.asked).toHaveLength(1)
  })

  it.each([
    'http://api.example.com/',
    'https://user:pw@api.example.com/',
    'ftp://api.example.com/',
    'data:text/plain,x',
  ])('from https to %s is refused', async (location) => {
    const own = new FakeCredentials()
    own.provider = () => ({
      ...new FakeCredentials().provider('api'),
      origins: ['https://api.example.com'],
    })
    let sent = 0
    const guarded = make({
      credentials: own,
      fetch: async () => {
        sent++
        return new Response(null, { status: 302, headers: { location } })
      },
    })
    await expect(guarded('https://api.example.com/')).rejects.toBeInstanceOf(OriginNotAllowedError)
    expect(sent).toBe(1)
  })

  it('to another origin from https keep nothing, allow-listed or not', async () => {
    const own = new FakeCredentials()
    own.provider = () => ({
      ...new FakeCredentials().provider('api'),
      origins: ['https://api.example.com', 'https://other.example.com'],
    })
    const seen: [string, string[]][] = []
    await make({
      credentials: own,
      fetch: async (input, init) => {
        seen.push([String(input), [...new Headers(init?.headers).keys()]])
        return seen.length === 1
          ? Response.redirect('https://other.example.com/', 302)
          : new Response()
      },
    })('https://api.example.com/', { headers })
    expect(seen[1]).toEqual(['https://other.example.com/', ['accept-language']])
  })

  it('are returned with "manual", refused with "error", and end after 20', async () => {
    fresh()
    const manual = await call(`${api.origin}/to-ok`, { redirect: 'manual' })
    expect([manual.status, manual.headers.get('location')]).toEqual([302, '/ok'])
    const error = call(new Request(`${api.origin}/to-ok`, { redirect: 'error' }))
    await expect(error).rejects.toBeInstanceOf(TypeError)
    expect(api.seen).toHaveLength(2)
    await expect(call(`${api.origin}/loop`)).rejects.toThrow(/more than 20/)
    expect(api.seen).toHaveLength(2 + 21)
  })

  it('W10 send the body of a Request again, and say when a stream is spent', async () => {
    fresh()
    const request = new Request(`${api.origin}/to-ok-307`, { method: 'POST', body: 'x' })
    expect((await call(request)).status).toBe(200)
    expect(api.seen.map((one) => one.body)).toEqual(['x', 'x'])
    const stream = call(`${api.origin}/to-ok-307`, { method: 'POST', body: streamOf('x') })
    await expect(stream).rejects.toThrow(/a stream: it is spent/)
  })
})

function streamOf(text: string): ReadableStream<Uint8Array> {
  return new Response(text).body!
}

describe('after a 401', () => {
  const form = new FormData()
  form.set('a', 'same')
  const bodies: [string, () => RequestInit['body'], RegExp][] = [
    ['a string', () => 'same', /^same$/],
    ['bytes', () => Buffer.from('same'), /^same$/],
    ['a buffer', () => new TextEncoder().encode('same').buffer, /^same$/],
    ['URLSearchParams', () => new URLSearchParams({ a: 'same' }), /^a=same$/],
    ['FormData', () => form, /name="a"\r\n\r\nsame\r\n/],
    ['a Blob', () => new Blob(['same']), /^same$/],
    ['none', () => null, /^$/],
  ]

  it.each(bodies)('W10 replays a body once: %s', async (_, body, expected) => {
    fresh()
    const response = await call(`${api.origin}/again`, { method: 'POST', body: body() ?? null })
    expect(response.status).toBe(200)
    expect(await response.text()).toMatch(expected)
    expect(api.seen).toHaveLength(2)
    expect(api.seen[0]?.body.replace(/-{2,}\S+/g, '')).toBe(
      api.seen[1]?.body.replace(/-{2,}\S+/g, ''),
    )
    expect(credentials.asked[1]?.rejected?.value).toBe('ada.api..0')
  })

  it.each(bodies.slice(0, -1))('W10 replays the body of a Request once: %s', async (_, body) => {
    fresh()
    const request = new Request(`${api.origin}/again`, { method: 'POST', body: body() ?? null })
    expect((await call(request)).status).toBe(200)
    expect(api.seen[1]?.body).toBe(api.seen[0]?.body)
    expect(api.seen[1]?.headers['content-type']).toBe(api.seen[0]?.headers['content-type'])
  })

  it('W10 keeps a Request of more than 1 MiB a stream: whole, and not replayed', async () => {
    fresh()
    const big = `${'x'.repeat(3_000_000)}end`
    const request = () => new Request(`${api.origin}/again`, { method: 'POST', body: big })
    expect((await call(request())).status).toBe(401)
    expect(api.seen).toHaveLength(1)
    expect(api.seen[0]?.body === big).toBe(true)
  })

  it('W10 refuses a Request whose body was read before, in whole or in part', async () => {
    fresh()
    const whole = new Request(`${api.origin}/x`, { method: 'POST', body: 'x' })
    await whole.text()
    await expect(call(whole)).rejects.toThrow(/used already/)
    const part = new Request(`${api.origin}/x`, { method: 'POST', body: 'x' })
    const reader = part.body!.getReader()
    await reader.read()
    reader.releaseLock()
    await expect(call(part)).rejects.toThrow(/used already/)
    expect((await call(part, { body: 'y' })).status).toBe(200)
    expect(api.seen.map((one) => one.body)).toEqual(['y'])
  })

  it.each([
    ['a stream', () => streamOf('once')],
    [
      'an async iterable',
      () =>
        (async function* () {
          yield Buffer.from('once')
        })() as never,
    ],
  ])('W10 does not replay %s', async (_, body) => {
    fresh()
    const init = { method: 'POST', body: body(), duplex: 'half' }
    expect((await call(`${api.origin}/again`, init)).status).toBe(401)
    expect(api.seen.map((one) => one.body)).toEqual(['once'])
    expect(tokenAsks()).toBe(1)
  })

  it('W10 does not repeat a POST that was met, when only the page behind its 303 refuses', async () => {
    fresh()
    const response = await call(`${api.origin}/to-never-303`, { method: 'POST', body: 'pay' })
    expect(response.status).toBe(401)
    expect(api.seen.map((one) => one.method)).toEqual(['POST', 'GET'])
  })

  it('does not renew the token for a refusal on another origin, or on the way back from one', async () => {
    let home = ''
    await using other = await listen((message, response) => {
      if (message.url === '/never') response.writeHead(401).end()
      else if (message.url === '/two') response.writeHead(302, { location: '/never' }).end()
      else response.writeHead(302, { location: `${home}/last` }).end()
    })
    await using first = await listenWhole((seen, response) => {
      if (!seen.headers.authorization) response.writeHead(401).end()
      else response.writeHead(302, { location: `${other.origin}${seen.target}` }).end()
    })
    home = first.origin
    for (const path of ['/never', '/two', '/back']) {
      const own = new FakeCredentials([home])
      expect((await make({ credentials: own })(home + path)).status).toBe(401)
      expect(own.asked).toHaveLength(1)
    }
    expect(first.seen.map((one) => one.target)).toEqual(['/never', '/two', '/back', '/last'])
  })

  it('goes through a redirect of the same kind again', async () => {
    fresh()
    const response = await call(`${api.origin}/to-again-307`, { method: 'POST', body: 'x' })
    expect(response.status).toBe(200)
    expect(api.seen.map((one) => one.method)).toEqual(['POST', 'POST', 'POST', 'POST'])
  })

  it('W10 does not retry after a network error', async () => {
    fresh()
    let sent = 0
    const failing = make({
      fetch: async () => {
        sent++
        throw new TypeError('fetch failed')
      },
    })
    await expect(failing(api.origin)).rejects.toThrow('fetch failed')
    expect([sent, tokenAsks()]).toEqual([1, 1])
  })

  it('O35 a server that always refuses sees two requests, and its answer comes back', async () => {
    fresh()
    const response = await call(`${api.origin}/never`)
    expect([response.status, await response.text()]).toEqual([401, 'no'])
    expect(api.seen).toHaveLength(2)
  })

  it('O35 does not try again with the same token', async () => {
    fresh()
    const token = await credentials.getToken(ada, { provider: 'api' })
    credentials.getToken = async () => token
    const response = await call(`${api.origin}/never`)
    expect([response.status, await response.text()]).toEqual([401, 'no'])
    expect(api.seen).toHaveLength(1)
  })

  it('O35 fails with what the new token fails with', async () => {
    fresh()
    const get = credentials.getToken.bind(credentials)
    credentials.getToken = async (acting, request) => {
      if (request.rejected) throw new Error('no new token')
      return get(acting, request)
    }
    await expect(call(`${api.origin}/never`)).rejects.toThrow('no new token')
  })

  it('O35 an API that refuses every token costs one new token a minute, and not one a call', async () => {
    const server = await startAuthorizationServer()
    try {
      const { issuer, clientId, clientSecret } = server
      let nowMs = Date.now()
      const own = new OutboundCredentialProvider({
        providers: {
          api: oauth2({
            ...{ issuer, clientId, clientSecret },
            origins: ['https://api.example'],
            allowInsecureLoopback: true,
          }),
        },
        allowInsecureLoopback: true,
        clock: () => nowMs,
      })
      const refusing = authenticatedFetch({
        provider: 'api',
        acting: agent.actAsSelf(),
        credentials: own,
        fetch: async () => new Response(null, { status: 401 }),
      })
      const tokens = () => server.requests.filter((one) => one === 'POST /token').length
      for (let n = 0; n < 20; n++) expect((await refusing('https://api.example/')).status).toBe(401)
      expect(tokens()).toBe(2)
      nowMs += 60_000
      for (let n = 0; n < 20; n++) await refusing('https://api.example/')
      expect(tokens()).toBe(3)
      await own.close()
    } finally {
      await server.close()
    }
  })

  it('O35 many refusals at once cause one new token', async () => {
    await using server = await startAuthorizationServer()
    const good = new Set<string>()
    await using guarded = await listenWhole((seen, response) => {
      const token = seen.headers.authorization ?? ''
      response.writeHead(good.has(token) ? 200 : 401).end()
    })
    const own = new OutboundCredentialProvider({
      providers: {
        api: oauth2({
          issuer: server.issuer,
          clientId: server.clientId,
          clientSecret: server.clientSecret,
          origins: [guarded.origin],
          allowInsecureLoopback: true,
        }),
      },
      allowInsecureLoopback: true,
      audit: () => {},
    })
    const self = agent.actAsSelf()
    const rejected = await own.getToken(self, { provider: 'api' })
    const wrapped = make({ acting: self, credentials: own })
    const posts = () => server.requests.filter((one) => one === 'POST /token').length
    expect(posts()).toBe(1)
    const answers = Array.from({ length: 30 }, () => wrapped(guarded.origin))
    const statuses = (await Promise.all(answers)).map((one) => one.status)
    expect(new Set(statuses)).toEqual(new Set([401]))
    expect(posts()).toBe(2)
    expect(guarded.seen).toHaveLength(60)
    const newer = await own.getToken(self, { provider: 'api' })
    expect(newer.value).not.toBe(rejected.value)
    good.add(newer.authorization)
    expect((await wrapped(guarded.origin)).status).toBe(200)
    own.close()
  })
})

describe('W11 a signal', () => {
  it('ends a call before it asks for a token', async () => {
    fresh()
    const signal = AbortSignal.abort(new Error('stop'))
    const request = new Request(`${api.origin}/x`, { method: 'POST', body: 'x', signal })
    await expect(call(request)).rejects.toThrow('stop')
    expect(api.seen).toHaveLength(0)
  })

  it('is given to getToken(), and to the request', async () => {
    fresh()
    const { signal } = new AbortController()
    await call(`${api.origin}/x`, { signal })
    expect(credentials.asked[0]?.signal).toBe(signal)
  })

  it('ends the reading of a body that never comes', async () => {
    fresh()
    const stop = new AbortController()
    const request = new Request(`${api.origin}/x`, {
      method: 'POST',
      body: new ReadableStream({ pull: () => queueMicrotask(() => stop.abort(new Error('stop'))) }),
      signal: stop.signal,
      duplex: 'half',
    } as RequestInit)
    await expect(call(request)).rejects.toThrow('stop')
    expect(tokenAsks()).toBe(0)
  })

  it('ends one of a hundred waiters, and not the request for the token that they share', async () => {
    fresh()
    await using server = await startAuthorizationServer()
    let tokenAsked!: () => void
    let goOn!: () => void
    const underWay = new Promise<void>((done) => {
      tokenAsked = done
    })
    const held = new Promise<void>((done) => {
      goOn = done
    })
    const own = new OutboundCredentialProvider({
      providers: {
        api: oauth2({
          issuer: server.issuer,
          clientId: server.clientId,
          clientSecret: server.clientSecret,
          origins: [api.origin],
          allowInsecureLoopback: true,
          fetch: async (input, init) => {
            if (String(input).endsWith('/token')) {
              tokenAsked()
              await held
            }
            return fetch(input, init)
          },
        }),
      },
      allowInsecureLoopback: true,
    })
    const wrapped = make({ acting: agent.actAsSelf(), credentials: own })
    const stops = Array.from({ length: 100 }, () => new AbortController())
    const calls = stops.map(({ signal }) => wrapped(`${api.origin}/x`, { signal }))
    const settled = Promise.allSettled(calls)
    await underWay
    stops[42]?.abort(new Error('stop'))
    await expect(calls[42]).rejects.toThrow('stop')
    goOn()
    const outcomes = (await settled).map((one) => one.status === 'fulfilled' && one.value.status)
    expect(outcomes.filter((one) => one === 200)).toHaveLength(99)
    expect(server.requests.filter((one) => one === 'POST /token')).toHaveLength(1)
    own.close()
  })

  it('ends a request that is under way', async () => {
    const stop = new AbortController()
    await using silent = await listen(() => stop.abort(new Error('stop')))
    const own = make({ credentials: new FakeCredentials([silent.origin]) })
    await expect(own(silent.origin, { signal: stop.signal })).rejects.toThrow('stop')
  })
})

describe('O36 a 403 that names missing scopes', () => {
  const challenge = 'Bearer error="insufficient_scope", scope="write admin"'
  const consent = new AuthorizationRequiredError({
    provider: 'api',
    scopes: ['read', 'write', 'admin'],
    authorizationUrl: 'https://idp.example/authorize',
    sessionUri: 'urn:x',
    expiresAtMs: 1,
  })
  async function guarded(header = challenge) {
    return start((seen, response) => {
      const enough = seen.headers.authorization?.includes('write')
      response.writeHead(enough ? 200 : 403, { 'www-authenticate': header }).end('answer')
    })
  }

  it('asks the user for all of them, with those of the options', async () => {
    const server = await guarded()
    const own = new FakeCredentials([server.origin])
    const get = own.getToken.bind(own)
    own.getToken = async (acting, request) => {
      if (request.scopes?.includes('admin')) {
        expect(request.scopes).toEqual(['read', 'write', 'admin'])
        throw consent
      }
      return get(acting, request)
    }
    const scoped = make({ credentials: own, scopes: ['read'] })
    await expect(scoped(server.origin)).rejects.toBe(consent)
    expect(server.seen).toHaveLength(1)
    const stream = scoped(server.origin, { method: 'POST', body: streamOf('x') })
    await expect(stream).rejects.toBe(consent)
  })

  it('goes on when they were granted meanwhile, once', async () => {
    const server = await guarded()
    const own = new FakeCredentials([server.origin])
    const response = await make({ credentials: own, scopes: ['read'] })(server.origin)
    expect([response.status, server.seen.length]).toEqual([200, 2])
    const stream = await make({ credentials: own })(server.origin, {
      method: 'POST',
      body: streamOf('x'),
    })
    expect([stream.status, server.seen.length]).toEqual([403, 3])
  })

  it('does not widen what the agent has in its own name', async () => {
    const server = await guarded()
    const own = new FakeCredentials([server.origin])
    const self = make({ credentials: own, acting: agent.actAsSelf() })
    const response = await self(server.origin)
    expect([response.status, await response.text()]).toEqual([403, 'answer'])
    expect(own.asked).toHaveLength(1)
  })

  it.each([
    ['no challenge', ''],
    ['another error', 'Bearer error="invalid_token", scope="write"'],
    ['no scope', 'Bearer error="insufficient_scope"'],
    ['an empty scope', 'Bearer error="insufficient_scope", scope=""'],
    ['a longer word', 'Bearer error="insufficient_scope_x", scope="write"'],
    ['a giant', `Bearer error="insufficient_scope", scope="${'w '.repeat(4000)}"`],
  ])('is left alone with %s', async (_, header) => {
    const server = await guarded(header)
    const own = new FakeCredentials([server.origin])
    const response = await make({ credentials: own })(server.origin)
    expect([response.status, await response.text()]).toEqual([403, 'answer'])
    expect(own.asked).toHaveLength(1)
  })

  it('takes at most 32 scopes from a server', async () => {
    const scopes = Array.from({ length: 50 }, (_, at) => `write${at}`)
    const server = await guarded(`Bearer error="insufficient_scope", scope="${scopes.join(' ')}"`)
    const own = new FakeCredentials([server.origin])
    await make({ credentials: own })(server.origin)
    expect(own.asked[1]?.scopes).toHaveLength(32)
  })
})
