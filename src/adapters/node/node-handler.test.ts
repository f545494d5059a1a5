import { Agent, type IncomingMessage, request as send } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { type LocalServer, listen } from '../../../test/support/local-server.js'
import { type FetchHandler, nodeHandler } from './node-handler.js'
import { rawRequest } from './raw-request.js'

const serve = (handler: FetchHandler) => listen(nodeHandler(handler))

/** Sends text as it is, and gives the whole answer as it came. */
function wire(server: LocalServer, text: string): Promise<string> {
  return new Promise((done, failed) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('close', () => done(answer)).on('error', failed)
  })
}
const get = (target: string, ...headers: string[]) =>
  [`GET ${target} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n')

function gate<T = void>() {
  let open!: (value: T) => void
  const opened = new Promise<T>((done) => {
    open = done
  })
  return { open, opened }
}

describe('nodeHandler', () => {
  it('hands method, URL, headers and body over, and the answer back', async () => {
    await using server = await serve(async (request) => {
      expect(request.url).toBe(`${server.origin}/a?b=1`)
      expect(request.headers.get('x-a')).toBe('1')
      const body = `${request.method} ${await request.text()}`
      return new Response(body, { status: 201, headers: { 'x-b': '2' } })
    })
    const response = await fetch(`${server.origin}/a?b=1`, {
      method: 'POST',
      headers: { 'x-a': '1' },
      body: 'hello',
    })
    expect([response.status, response.headers.get('x-b'), await response.text()]).toEqual([
      201,
      '2',
      'POST hello',
    ])
  })

  it('takes a header that comes twice, and sends two cookies as two', async () => {
    await using server = await serve(
      (request) =>
        new Response(request.headers.get('x-a'), {
          headers: [
            ['set-cookie', 'a=1; Path=/'],
            ['set-cookie', 'b=2'],
          ],
        }),
    )
    const answer = await wire(server, get('/', 'Host: h', 'X-A: 1', 'x-a: 2'))
    expect(answer).toMatch(/\r\n1, 2(\r\n|$)/)
    expect(answer.match(/^set-cookie: .*$/gim)).toEqual([
      'set-cookie: a=1; Path=/',
      'set-cookie: b=2',
    ])
  })

  it('streams an answer while it is written', async () => {
    const next = gate()
    await using server = await serve(async () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const writer = writable.getWriter()
      void writer.write(Buffer.from('first'))
      void next.opened.then(() => writer.write(Buffer.from('last'))).then(() => writer.close())
      return new Response(readable)
    })
    const reader = (await fetch(server.origin)).body!.getReader()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('first')
    next.open()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('last')
    expect((await reader.read()).done).toBe(true)
  })

  it('streams a request while it is written', async () => {
    const first = gate<string>()
    await using server = await serve(async (request) => {
      let text = ''
      for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(chunk)
        first.open(text)
      }
      return new Response(text)
    })
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const init = { method: 'POST', body: readable, duplex: 'half' } as RequestInit
    const answer = fetch(server.origin, init)
    const writer = writable.getWriter()
    await writer.write(Buffer.from('one '))
    expect(await first.opened).toBe('one ')
    await writer.write(Buffer.from('two'))
    await writer.close()
    expect(await (await answer).text()).toBe('one two')
  })

  it('tells the handler, and ends its stream, when the client goes away', async () => {
    const started = gate()
    const aborted = gate()
    const cancelled = gate()
    await using server = await serve(async (request) => {
      request.signal.addEventListener('abort', () => aborted.open())
      return new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(Buffer.alloc(65_536))
          },
          cancel: () => cancelled.open(),
        }),
      )
    })
    const stop = new AbortController()
    const response = await fetch(server.origin, { signal: stop.signal })
    started.open()
    stop.abort()
    await expect(response.text()).rejects.toThrow()
    await Promise.all([aborted.opened, cancelled.opened])
  })

  it('does not abort the signal of a request that was answered', async () => {
    let signal!: AbortSignal
    await using server = await serve(async (request) => {
      signal = request.signal
      return new Response('x')
    })
    await (await fetch(server.origin)).text()
    await (await fetch(server.origin)).text()
    expect(signal.aborted).toBe(false)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('secret detail')
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret detail'))],
    ['gives no Response', () => undefined as never],
    ['gives a network error', () => Response.error()],
  ])('W17 answers an empty 500 when the handler %s', async (_, handler) => {
    await using server = await serve(handler)
    const response = await fetch(server.origin)
    expect([response.status, await response.text()]).toEqual([500, ''])
    expect([...response.headers.values()].join()).not.toContain('secret')
  })

  it('W17 breaks off when a stream fails half-way', async () => {
    await using server = await serve(
      () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(Buffer.from('half'))
              setImmediate(() => controller.error(new Error('secret detail')))
              return new Promise(() => {})
            },
          }),
        ),
    )
    const answer = await wire(server, get('/', 'Host: h'))
    expect(answer).not.toContain('secret')
    expect(answer).not.toMatch(/0\r\n\r\n$/)
  })

  it('leaves the body out for HEAD and 204, and lets the stream end', async () => {
    const cancelled = gate()
    await using server = await serve((request) =>
      request.method === 'HEAD'
        ? new Response(new ReadableStream({ cancel: () => cancelled.open() }), {
            headers: { 'content-length': '5', 'x-a': '1' },
          })
        : new Response(null, { status: 204 }),
    )
    const head = await fetch(server.origin, { method: 'HEAD' })
    await cancelled.opened
    expect([head.headers.get('content-length'), head.headers.get('x-a')]).toEqual(['5', '1'])
    expect(await wire(server, get('/', 'Host: h'))).toMatch(/^HTTP\/1.1 204 .*\r\n\r\n$/s)
  })

  it.each([
    ['', 'an empty one'],
    ['x/admin?', 'a path'],
    ['x/..', 'dots'],
    ['x#', 'a fragment'],
    ['x?', 'a query'],
    ['x\\y', 'a backslash'],
    ['u@x', 'user info'],
    ['u:p@x', 'user info'],
    ['x y', 'a space'],
    ['x:99999', 'a port that is none'],
    ['x\r\nHost: y', 'two of them'],
    ['x,y', 'a list'],
  ])('answers 400 to the Host %j (%s), and asks nobody', async (host) => {
    let asked = false
    await using server = await serve(() => {
      asked = true
      return new Response()
    })
    expect(await wire(server, get('/public', `Host: ${host}`))).toMatch(/^HTTP\/1.1 400 /)
    expect(asked).toBe(false)
  })

  it.each([
    ['http://h/x', 'GET'],
    ['*', 'OPTIONS'],
  ])('answers 400 to the target %s', async (target, method) => {
    await using server = await serve(() => new Response())
    const text = get(target, 'Host: h').replace('GET', method)
    expect(await wire(server, text)).toMatch(/^HTTP\/1.1 400 /)
  })

  it.each([
    ['[::1]:80', 'http://[::1]/x'],
    ['h:8080', 'http://h:8080/x'],
    ['EXAMPLE.com', 'http://example.com/x'],
  ])('takes the Host %s', async (host, url) => {
    await using server = await serve((request) => new Response(request.url))
    expect(await wire(server, get('/x', `Host: ${host}`))).toContain(url)
  })

  it('keeps a target with two slashes on this host', async () => {
    await using server = await serve((request) => new Response(request.url))
    expect(await wire(server, get('//evil.example/x', 'Host: h'))).toContain(
      'http://h//evil.example/x',
    )
  })
})

describe('a body that nobody reads, or reads in part', () => {
  it.each([
    ['not at all', async () => {}],
    [
      'in part',
      async (request: Request) => {
        await request.body!.getReader().read()
      },
    ],
    ['and is cancelled', async (request: Request) => request.body!.cancel()],
    [
      'in part, by rawRequest()',
      async (_: Request, message: IncomingMessage) => {
        const body = rawRequest(message).body as AsyncIterable<Uint8Array>
        await body[Symbol.asyncIterator]().next()
      },
    ],
  ])('%s: the connection serves the next request', async (_, read) => {
    await using server = await serve(async (request, message) => {
      if (request.method === 'POST') await read(request, message)
      return new Response('ok')
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const sockets = new Set<unknown>()
    const one = (size: number) =>
      new Promise<number | undefined>((done, failed) => {
        const request = send(server.origin, { method: 'POST', agent }, (response) => {
          response.resume().on('end', () => done(response.statusCode))
        })
        request.on('socket', (socket) => sockets.add(socket)).on('error', failed)
        request.end(Buffer.alloc(size))
      })
    try {
      for (const size of [5_000_000, 10, 5_000_000]) expect(await one(size)).toBe(200)
      expect(sockets.size).toBe(1)
    } finally {
      agent.destroy()
    }
  })

  it('ends the handler’s reading when the client breaks off', async () => {
    const outcome = gate<unknown>()
    const started = gate()
    await using server = await serve(async (request) => {
      started.open()
      await request.text().catch((error: unknown) => outcome.open(error))
      return new Response()
    })
    const socket = connect(server.port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc')
    await started.opened
    socket.destroy()
    expect(await outcome.opened).toBeInstanceOf(Error)
  })
})

describe('rawRequest', () => {
  it.each(['/a%2Fb//c/../d?x=%20', '/%E4%BD%A0?a=b&a=c', '/a;b=1?', '/?', '/..%2f', '//x'])(
    'keeps the target %s as it stood',
    async (target) => {
      await using server = await serve(
        (_, message) => new Response(null, { headers: { 'x-target': rawRequest(message).target } }),
      )
      expect(await wire(server, get(target, 'Host: h'))).toContain(`x-target: ${target}\r\n`)
    },
  )

  it('keeps names, values and order of the headers, also of one that comes twice', async () => {
    await using server = await serve((_, message) => Response.json(rawRequest(message).headers))
    const sent = ['hOST: h', 'X-B:  spaced  ', 'Authorization: one', 'x-b: 2', 'Authorization: two']
    const answer = await wire(server, get('/', ...sent))
    expect(JSON.parse(/\[\[.*\]\]/s.exec(answer)![0])).toEqual([
      ['hOST', 'h'],
      ['X-B', 'spaced'],
      ['Authorization', 'one'],
      ['x-b', '2'],
      ['Authorization', 'two'],
      ['Connection', 'close'],
    ])
  })

  it('gives the whole body beside a Request that nobody has read', async () => {
    const body = 'x'.repeat(300_000)
    await using server = await serve(async (request, message) => {
      await new Promise((done) => setImmediate(done))
      let read = ''
      for await (const chunk of rawRequest(message).body as AsyncIterable<Uint8Array>) read += chunk
      return Response.json([request.method, rawRequest(message).method, read === body])
    })
    const response = await fetch(server.origin, { method: 'POST', body })
    expect(await response.json()).toEqual(['POST', 'POST', true])
  })
})
