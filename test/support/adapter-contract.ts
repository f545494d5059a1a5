/** What every adapter must do, whichever framework it is for. Each suite brings the same small application. */
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../src/audit.js'
import {
  InboundVerifier,
  jwtBearer,
  requireAll,
  requireAny,
  requireScopes,
  sigv4,
} from '../../src/inbound/index.js'
import type { Principal } from '../../src/principal.js'
import {
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from '../../src/testing/authorization-server.js'
import { accessKeyId, region, secretAccessKey, service, smithy } from './aws-signers.js'
import { type SeenSignature, signedRequests } from './signed-requests.js'

/** What the application answers with when it was reached. */
export interface Reached {
  readonly subject: string
  readonly body?: unknown
}

/**
 * - `/api/plain/…`, in a router mounted at `/api`: `authenticate(verifier)` before the body is read, and the parsed body
 *   in the answer.
 * - `/api/signed/…`: the same, where signatures over bodies can be checked.
 * - `/api/guarded`: with the guard.
 * - `/open`: `callerOf()` without `authenticate()`.
 *
 * Errors reach an error handler of the application, which calls `failed` and answers 500 `{ "mine": true }`.
 */
export interface AdapterApp {
  readonly verifier: InboundVerifier
  readonly guard: (caller: Principal) => void | Promise<void>
  readonly reached: (caller: Principal, body?: unknown) => Reached
  readonly failed: (error: unknown) => void
}

export interface RunningApp {
  readonly port: number
  close(): Promise<void>
}

/** The scope `write`, asked for later. */
const laterWrite = async (caller: Principal) => requireScopes('write')(caller)

export function describeAdapter(
  framework: string,
  start: (app: AdapterApp) => Promise<RunningApp>,
  /** Whether bodies must be kept to be judged: they can be read once. */
  readOnce: boolean,
): void {
  describe(`the adapter for ${framework}`, () => {
    let idp: RunningAuthorizationServer
    let running: RunningApp
    const signed = signedRequests()
    const errors: unknown[] = []
    const events: AuditEvent[] = []
    const write = requireScopes('write')
    let guard: (caller: Principal) => unknown = write
    let handled = 0
    const origin = () => `http://127.0.0.1:${running.port}`

    beforeAll(async () => {
      idp = await startAuthorizationServer()
      const verifier = new InboundVerifier({
        authenticators: [
          jwtBearer({
            discoveryUrl: idp.discoveryUrl,
            allowedAudience: ['agent'],
            allowedScopes: ['invoke'],
            allowInsecureLoopback: true,
          }),
          sigv4({
            region,
            service,
            credentials: (id) => (id === accessKeyId ? { secretAccessKey } : undefined),
          }),
          signed,
        ],
        resource: 'https://agent.example/api',
        audit: (event) => void events.push(event),
      })
      running = await start({
        verifier,
        guard: (caller) => guard(caller) as void | Promise<void>,
        reached: ({ subject }, body) => {
          handled++
          return body === undefined ? { subject } : { subject, body }
        },
        failed: (error) => errors.push(error),
      })
    })
    afterAll(async () => {
      await running.close()
      await idp.close()
    })
    afterEach(() => {
      guard = write
      errors.length = 0
      events.length = 0
      signed.seen.length = 0
    })

    const token = (subject = 'ada', scopes = ['invoke'], more: object = {}) =>
      idp.userToken({ subject, audience: 'agent', scopes, ...more })
    const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

    /** Sends text as it is over one connection, and gives all answers as they came. */
    function wire(...requests: string[]): Promise<string> {
      return new Promise((done, fail) => {
        const socket = connect(running.port, '127.0.0.1', () => socket.write(requests.join('')))
        let answer = ''
        socket.on('data', (data) => {
          answer += data
        })
        socket.on('close', () => done(answer)).on('error', fail)
      })
    }
    const request = (line: string, headers: string[], body = '') =>
      `${[`${line} HTTP/1.1`, ...headers, '', ''].join('\r\n')}${body}`

    async function seenBy(text: string): Promise<SeenSignature> {
      const answer = await wire(text)
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      expect(signed.seen).toHaveLength(1)
      return signed.seen[0]!
    }

    it('lets an honest caller in, and tells the handler who it is', async () => {
      const response = await fetch(`${origin()}/api/plain`, { headers: bearer(token()) })
      expect([response.status, await response.json()]).toEqual([200, { subject: 'ada' }])
    })

    it('tells fifty callers at once apart', async () => {
      const names = Array.from({ length: 50 }, (_, at) => `user-${at}`)
      const answers = await Promise.all(
        names.map(async (name) => {
          const response = await fetch(`${origin()}/api/plain`, { headers: bearer(token(name)) })
          return ((await response.json()) as Reached).subject
        }),
      )
      expect(answers).toEqual(names)
    })

    const metadata =
      'resource_metadata="https://agent.example/.well-known/oauth-protected-resource/api"'
    it.each([
      [
        'no credential',
        () => ({}),
        401,
        `Bearer realm="api", scope="invoke", ${metadata}`,
        'no_credentials',
      ],
      [
        'an expired token',
        () => bearer(token('ada', ['invoke'], { ttlMs: -3_600_000 })),
        401,
        `Bearer realm="api", error="invalid_token", error_description="The access token is not acceptable", scope="invoke", ${metadata}`,
        'invalid_token',
      ],
      [
        'a token without the scope',
        () => bearer(token('ada', ['mail'])),
        403,
        `Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="invoke", ${metadata}`,
        'insufficient_scope',
      ],
      [
        'keys that cannot be had',
        () => ({ 'x-signed': 'away' }),
        503,
        null,
        'temporarily_unavailable',
      ],
    ])(
      'W17 answers %s as the verifier says, and no more',
      async (_, headers, status, challenge, error) => {
        const before = handled
        const response = await fetch(`${origin()}/api/plain`, { headers: headers() })
        expect(response.status).toBe(status)
        expect(response.headers.get('www-authenticate')).toBe(challenge)
        expect(response.headers.get('retry-after')).toBe(status === 503 ? '5' : null)
        expect(response.headers.get('cache-control')).toBe('no-store')
        expect(response.headers.get('content-type')).toMatch(
          /^application\/json(; charset=utf-8)?$/,
        )
        expect(await response.text()).toBe(JSON.stringify({ error }))
        expect([handled, errors.length]).toEqual([before, 0])
      },
    )

    it('W17 answers HEAD with the challenge and without a body', async () => {
      const response = await fetch(`${origin()}/api/plain`, { method: 'HEAD' })
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([
        401,
        `Bearer realm="api", scope="invoke", ${metadata}`,
      ])
    })

    it('challenges whom a guard refuses, with the scopes to ask for', async () => {
      const before = handled
      const ask = (scopes: string[]) =>
        fetch(`${origin()}/api/guarded`, { headers: bearer(token('ada', scopes)) })
      const refused = await ask(['invoke'])
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
        403,
        `Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="write", ${metadata}`,
      ])
      expect(handled).toBe(before)
      expect(events).toMatchObject([
        { type: 'caller_verified', subject: 'ada' },
        { type: 'caller_refused', code: 'ERR_INSUFFICIENT_SCOPE', subject: 'ada' },
      ])
      expect((await ask(['invoke', 'write'])).status).toBe(200)
    })

    const aGuard: [string, (caller: Principal) => unknown, number][] = [
      ['passes later', async () => {}, 200],
      ['refuses later', async () => write({} as Principal), 500],
      ['refuses later, as one of several', requireAll(requireScopes('invoke'), laterWrite), 403],
      ['refuses later, and nobody else passes', requireAny(write, laterWrite), 403],
      ['answers false', () => false, 500],
      ['promises false', async () => false, 500],
      ['makes another guard', () => write, 500],
      ['is an async generator', async function* () {}, 500],
    ]
    it.each(aGuard)('asks a guard that %s', async (_, asked, status) => {
      const before = handled
      guard = asked
      const headers = bearer(token('ada', ['invoke']))
      const response = await fetch(`${origin()}/api/guarded`, { headers })
      expect(response.status).toBe(status)
      expect(handled).toBe(status === 200 ? before + 1 : before)
      expect(errors).toHaveLength(status === 500 ? 1 : 0)
    })

    it('W17 gives callerOf() nobody where authenticate() does not stand in front', async () => {
      const response = await fetch(`${origin()}/open`, { headers: bearer(token()) })
      expect([response.status, await response.json()]).toEqual([500, { mine: true }])
      expect(errors).toMatchObject([
        { code: 'ERR_CONFIGURATION', message: expect.stringContaining('authenticate(verifier)') },
      ])
    })

    it('W17 hands what is no refusal to the error handler of the application', async () => {
      const before = handled
      const response = await fetch(`${origin()}/api/plain`, { headers: { 'x-signed': 'broken' } })
      expect([response.status, await response.json()]).toEqual([500, { mine: true }])
      expect(errors).toMatchObject([{ message: 'canary-in-a-mistake' }])
      expect(handled).toBe(before)
    })

    it('keeps the connection after a refusal whose body nobody read', async () => {
      const body = 'x'.repeat(300_000)
      const answer = await wire(
        request('POST /api/plain', ['Host: h', 'Content-Length: 300000'], body),
        request('GET /api/plain', [
          'Host: h',
          `Authorization: Bearer ${token()}`,
          'Connection: close',
        ]),
      )
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 200'])
    })

    it('leaves the body of a caller with a token to the handler', async () => {
      for (const path of ['plain', 'signed']) {
        const response = await fetch(`${origin()}/api/${path}`, {
          method: 'POST',
          headers: { ...bearer(token()), 'content-type': 'application/json' },
          body: '{"a":1}',
        })
        expect(await response.json()).toEqual({ subject: 'ada', body: { a: 1 } })
      }
    })

    it('S02 gives the target as it was sent, from a mounted router too', async () => {
      for (const path of ['plain', 'signed']) {
        signed.seen.length = 0
        const target = `/api/${path}/a%20b/%7Eu%2F//x;y/.%2E/z?b=2&a=%2f&&c=+`
        const lines = ['Host: h', 'X-Signed: head', 'Connection: close']
        const seen = await seenBy(request(`GET ${target}`, lines))
        expect([seen.raw, seen.method, seen.target]).toEqual([true, 'GET', target])
      }
    })

    it('S12 gives the header pairs as they were sent: order, spelling, repetition', async () => {
      const lines = ['HOST: h', 'X-b: 1', 'x-A:  2 ', 'X-B: 3', 'x_b: 4', 'X-Signed: head']
      const seen = await seenBy(request('GET /api/plain', [...lines, 'Connection: close']))
      expect(seen.headers).toEqual([
        ['HOST', 'h'],
        ['X-b', '1'],
        ['x-A', '2'],
        ['X-B', '3'],
        ['x_b', '4'],
        ['X-Signed', 'head'],
        ['Connection', 'close'],
      ])
    })

    it('S02 serves no path but the one that was signed', async () => {
      const { target } = await smithy({
        target: '/api/plain/share/1',
        presign: true,
        atMs: Date.now(),
      })
      const ask = (path: string) =>
        wire(
          request(`GET ${target.replace('/api/plain/share/1', () => path)}`, [
            'Host: agent.example.com',
            'Connection: close',
          ]),
        )
      const before = handled
      for (const path of [
        '/api/plain/admin/../share/1',
        '/api/plain/admin/%2e%2E/share/1',
        '/api/plain/x/..//../plain/share/1',
        '/api/plain/./share/1',
        '/api/plain//share/1',
        '//api/plain/share/1',
        '/api/plain/admin\\..\\share/1',
        '/api/plain/admin%2F..%2Fshare/1',
        '/api/plain/share/1/.',
      ]) {
        // A framework may refuse it itself, before anybody asks who calls.
        expect([path, await ask(path)]).toEqual([
          path,
          expect.stringMatching(/^HTTP\/1\.1 40[014] /),
        ])
      }
      expect(handled).toBe(before)
      expect(await ask('/api/plain/share/1')).toContain(`{"subject":"${accessKeyId}"}`)
    })

    it('S14 lets in who signed the request, once, and nobody who changed it', async () => {
      const target = '/api/signed/a%20b?x=%2F'
      const body = '{ "a" : 1 }'
      const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
      const call = await smithy({ method: 'POST', target, headers, body, atMs: Date.now() })
      const lines = [
        ...call.headers.map(([name, value]) => `${name}: ${value}`),
        'Connection: close',
      ]
      const send = (to: string, what: string) => wire(request(`POST ${to}`, lines, what))
      expect(await send(target, '{ "a" : 2 }')).toMatch(/^HTTP\/1\.1 401 /)
      expect(await send('/api/signed/a%20c?x=%2F', body)).toMatch(/^HTTP\/1\.1 401 /)
      expect(await send(target, body)).toContain(`{"subject":"${accessKeyId}","body":{"a":1}}`)
      expect(await send(target, body)).toMatch(/^HTTP\/1\.1 401 /)
    })

    const json = [
      'Host: h',
      'X-Signed: body',
      'Content-Type: application/json',
      'Connection: close',
    ]
    it('S14 gives the bytes of the body, and the application its content', async () => {
      const body = '{ "a" : "ü\\u0041" ,\r\n"a":1e0 }'
      const length = Buffer.byteLength(body)
      const answer = await wire(
        request('POST /api/signed', [...json, `Content-Length: ${length}`], body),
      )
      expect(answer).toContain('{"subject":"signer","body":{"a":1}}')
      expect(signed.seen[0]?.body?.toString()).toBe(body)
    })

    it('S14 gives the bytes of a chunked body', async () => {
      const body = '5\r\n[1,\n\n\r\n3\r\n 2]\r\n0\r\n\r\n'
      const seen = await seenBy(
        request('POST /api/signed', [...json, 'Transfer-Encoding: chunked'], body),
      )
      expect(seen.body?.toString()).toBe('[1,\n\n 2]')
    })

    if (readOnce) {
      it('S14 tells the developer, and not the caller, that the bytes of a signed body were not kept', async () => {
        const body = '{"a":1}'
        const headers = { 'content-type': 'application/json' }
        const call = await smithy({
          method: 'POST',
          target: '/api/plain',
          headers,
          body,
          atMs: Date.now(),
        })
        const lines = [
          ...call.headers.map(([name, value]) => `${name}: ${value}`),
          `Content-Length: ${body.length}`,
          'Connection: close',
        ]
        const before = handled
        expect(await wire(request('POST /api/plain', lines, body))).toMatch(/^HTTP\/1\.1 500 /)
        expect(errors).toMatchObject([
          { code: 'ERR_CONFIGURATION', message: expect.stringContaining('keepRawBody') },
        ])
        expect(handled).toBe(before)
      })

      it('S14 refuses to judge a body whose bytes were not kept', async () => {
        const headers = { 'x-signed': 'body', 'content-type': 'application/json' }
        const ask = (path: string, type = headers['content-type']) =>
          fetch(`${origin()}${path}`, {
            method: 'POST',
            headers: { ...headers, 'content-type': type },
            body: '{}',
          })
        const before = handled
        for (const response of [
          await ask('/api/plain'),
          await ask('/api/signed', 'text/x-other'),
        ]) {
          expect(response.status).toBeGreaterThanOrEqual(400)
        }
        expect(errors[0]).toMatchObject({
          code: 'ERR_CONFIGURATION',
          message: expect.stringContaining('keepRawBody'),
        })
        expect([handled, signed.seen.length]).toEqual([before, 0])
      })
    }

    it('S14 gives no body where there is none', async () => {
      for (const [line, ...more] of [
        ['GET /api/signed'],
        ['GET /api/plain'],
        ['POST /api/signed', 'Content-Length: 0'],
      ]) {
        signed.seen.length = 0
        const lines = ['Host: h', 'X-Signed: body', 'Connection: close', ...more]
        const { body } = await seenBy(request(line!, lines))
        expect(body?.length ?? 0).toBe(0)
      }
    })
  })
}
