import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NetworkError } from './errors/outbound.js'
import { safeFetch } from './http.js'

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void

const secret = 'client_secret=s3cr3t-canary'
const hits: string[] = []
let behave: Behaviour
let closed: Promise<void>
let origin: string
const server = createServer((request, response) => {
  hits.push(`${request.method} ${request.url}`)
  closed = new Promise((resolve) => request.socket.once('close', () => resolve()))
  response.on('error', () => {})
  if (request.url === '/elsewhere') response.end('leaked')
  else behave(request, response)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => {
  hits.length = 0
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const post = (timeoutMs = 5_000, init: RequestInit = {}) =>
  safeFetch({ allowInsecureLoopback: true, timeoutMs })(`${origin}/token?secret=q`, {
    method: 'POST',
    body: secret,
    ...init,
  })

async function failure(promise: Promise<unknown>): Promise<NetworkError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(NetworkError)
  expect(JSON.stringify(error) + String(error)).not.toMatch(/s3cr3t|secret=/)
  return error as NetworkError
}

describe('safeFetch, against a hostile server', () => {
  it.each([301, 302, 303, 307, 308])(
    'O38 refuses a redirect with HTTP %d and goes nowhere',
    async (status) => {
      behave = (_, response) => response.writeHead(status, { location: '/elsewhere' }).end()
      const error = await failure(post())
      expect(error).toMatchObject({ reason: 'redirected', retryable: false })
      expect(error.message).toContain(`HTTP ${status}`)
      expect(hits).toEqual(['POST /token?secret=q'])
    },
  )

  it('O38 asks for no redirect even when the caller wants to follow', async () => {
    behave = (_, response) => response.writeHead(307, { location: '/elsewhere' }).end()
    expect((await failure(post(5_000, { redirect: 'follow' }))).reason).toBe('redirected')
    expect(hits).toHaveLength(1)
  })

  it('O23 D04 stops reading 5 MB at 1 MiB, and hangs up', async () => {
    behave = (_, response) => response.end(Buffer.alloc(5 * 1024 * 1024, 'a'))
    expect(await failure(post())).toMatchObject({ reason: 'too_large', retryable: false })
    await closed
  })

  it('O23 stops an endless body', async () => {
    behave = (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }
    expect((await failure(post())).reason).toBe('too_large')
    await closed
  })

  it('J49 O23 measures a gzip bomb by what it unpacks to', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(100_000)
    behave = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    expect((await failure(post())).reason).toBe('too_large')
  })

  it('takes exactly 1 MiB, and not one byte more', async () => {
    behave = (_, response) => response.end(Buffer.alloc(1_048_576))
    expect((await (await post()).arrayBuffer()).byteLength).toBe(1_048_576)
    behave = (_, response) => response.end(Buffer.alloc(1_048_577))
    expect((await failure(post())).reason).toBe('too_large')
  })

  it.each([
    ['one byte at a time', (_, response) => drip(response)],
    ['a body that stops', (_, response) => void response.write('{"access_token":')],
    ['headers that never end', (request, response) => dripHeaders(request.socket, response)],
    ['silence', () => {}],
  ] as [string, Behaviour][])('D04 gives up at the deadline: %s', async (_, behaviour) => {
    behave = behaviour
    const error = await failure(post(100))
    expect(error).toMatchObject({ reason: 'timeout', retryable: true })
    expect(error.message).toContain('100 ms')
    await closed
  })

  it('D04 keeps the deadline with a fetch that does not listen to the signal', async () => {
    const deaf = safeFetch({ fetch: () => new Promise(() => {}), timeoutMs: 20 })
    expect((await failure(deaf('https://a.example/'))).reason).toBe('timeout')
    const half = safeFetch({
      fetch: async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
      timeoutMs: 20,
    })
    expect((await failure(half('https://a.example/'))).reason).toBe('timeout')
  })

  it.each([
    ['before the headers', (request) => void request.socket.resetAndDestroy()],
    [
      'in the middle of the body',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{"access_token":"s3cr3t', () => request.socket.resetAndDestroy())
      },
    ],
    [
      'with a body shorter than it said',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('x', () => request.socket.end())
      },
    ],
    ['by something that is no HTTP', (request) => void request.socket.end('s3cr3t\r\n\r\n')],
  ] as [string, Behaviour][])('is typed when the connection ends %s', async (_, behaviour) => {
    behave = behaviour
    expect(await failure(post())).toMatchObject({ reason: 'unreachable', retryable: true })
  })

  it('keeps of a system error nothing but its code', async () => {
    const refused = createServer()
    await new Promise<void>((resolve) => refused.listen(0, '127.0.0.1', resolve))
    const { port } = refused.address() as AddressInfo
    await new Promise((resolve) => refused.close(resolve))
    const fetch = safeFetch({ allowInsecureLoopback: true })
    const error = await failure(fetch(`http://127.0.0.1:${port}/token?secret=q`))
    expect(error.cause).toEqual({ name: 'SystemError', code: 'ECONNREFUSED', syscall: 'connect' })
  })

  it('says that it was aborted when the caller aborted', async () => {
    behave = () => {}
    const signal = AbortSignal.abort(new Error('s3cr3t'))
    expect((await failure(post(5_000, { signal }))).reason).toBe('aborted')
    const controller = new AbortController()
    behave = () => controller.abort()
    expect((await failure(post(5_000, { signal: controller.signal }))).reason).toBe('aborted')
  })

  it('gives the answer as it is, HTML and errors included', async () => {
    behave = (_, response) =>
      response
        .writeHead(502, { 'content-type': 'text/html', 'retry-after': '7' })
        .end('<h1>no</h1>')
    const answer = await post()
    expect(answer.status).toBe(502)
    expect(answer.headers.get('retry-after')).toBe('7')
    expect(await answer.text()).toBe('<h1>no</h1>')
  })

  it.each([204, 205])('takes HTTP %d, which has no body', async (status) => {
    behave = (_, response) => response.writeHead(status).end()
    expect((await post()).status).toBe(status)
  })

  it('refuses loopback and http without asking', async () => {
    const fetch = safeFetch()
    expect(await failure(fetch(`${origin}/token`))).toMatchObject({ reason: 'address_not_allowed' })
    expect((await failure(fetch('http://a.example/'))).message).toContain('not https')
    expect((await failure(fetch('no address'))).reason).toBe('address_not_allowed')
    expect(hits).toEqual([])
  })
})

describe('a fetch of the application’s own', () => {
  const ask = (answer: unknown, extra: object = {}) =>
    safeFetch({ fetch: (async () => answer) as never, ...extra })('https://as.example/token')
  const headers = new Headers({ 'retry-after': '7' })
  const bytes = new TextEncoder().encode('{}')
  const arrayBuffer = async () => bytes.buffer
  async function* pieces() {
    yield '{'
    yield new TextEncoder().encode('}')
  }

  it.each<[what: string, answer: () => object]>([
    [
      'a Node stream for a body',
      () => ({ body: Readable.from([Buffer.from('{'), Buffer.from('}')]) }),
    ],
    ['an iterable of text and bytes', () => ({ body: pieces() })],
    ['no body, and a way to have it whole', () => ({ body: null })],
    ['a body of another kind', () => ({ body: bytes })],
  ])('may give a Response of another class: %s', async (_, answer) => {
    const got = await ask({ status: 200, headers, arrayBuffer, ...answer() })
    expect([got.status, got.headers.get('retry-after'), await got.text()]).toEqual([200, '7', '{}'])
  })

  it('whose answer is too large is not read on', async () => {
    let read = 0
    async function* endless() {
      for (;;) yield new Uint8Array(1_000).fill(++read)
    }
    const got = ask({ status: 200, headers, arrayBuffer, body: endless() }, { maxBytes: 5_000 })
    expect(await failure(got)).toMatchObject({ reason: 'too_large', status: 200 })
    expect(read).toBe(6)
  })

  it.each([undefined, null, 'text', {}, { status: 200 }, { status: 200, headers: {} }])(
    'that gives %j is refused in words',
    async (answer) => {
      await expect(ask(answer)).rejects.toMatchObject({
        code: 'ERR_CONFIGURATION',
        reason: 'fetch_gave_no_response',
      })
    },
  )

  it('redirects with a Response of another class as with the platform’s', async () => {
    const body = Readable.from(['x'])
    const got = ask({ status: 302, headers, arrayBuffer, body })
    expect(await failure(got)).toMatchObject({ reason: 'redirected' })
  })
})

/** A byte each turn of the event loop: never idle, never done. */
function drip(response: ServerResponse): void {
  response.writeHead(200)
  const next = () => {
    if (!response.destroyed) response.write('x', () => setImmediate(next))
  }
  next()
}

function dripHeaders(socket: Socket, response: ServerResponse): void {
  response.detachSocket(socket)
  socket.on('error', () => {})
  socket.write('HTTP/1.1 200 OK\r\nx-a: ')
  const next = () => {
    if (!socket.destroyed) socket.write('x', () => setImmediate(next))
  }
  // Slow enough not to run into the limit on headers before the deadline.
  let turns = 0
  const slow = () => (++turns % 500 === 0 ? next() : !socket.destroyed && setImmediate(slow))
  slow()
}
