import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type FastifyServerOptions, fastify } from 'fastify'
import { expect, it } from 'vitest'
import { authenticate, callerOf, keepRawBody } from '../../src/adapters/fastify/index.js'
import { InboundVerifier } from '../../src/inbound/index.js'
import { type AdapterApp, describeAdapter, type RunningApp } from '../support/adapter-contract.js'
import { signedRequests } from '../support/signed-requests.js'

async function start({ verifier, guard, reached, failed }: AdapterApp): Promise<RunningApp> {
  const app = fastify()
  app.setErrorHandler((error, _request, reply) => {
    failed(error)
    return reply.code(500).send({ mine: true })
  })
  app.register(
    async (api) => {
      const answer = async (request: object & { body?: unknown }) =>
        reached(callerOf(request), request.body ?? undefined)
      const onRequest = authenticate(verifier)
      api.all('/plain', { onRequest }, answer)
      api.all('/plain/*', { onRequest }, answer)
      const signed = { preParsing: keepRawBody, preHandler: authenticate(verifier) }
      api.all('/signed', signed, answer)
      api.all('/signed/*', signed, answer)
      api.get('/guarded', { onRequest: authenticate(verifier, { guard }) }, answer)
    },
    { prefix: '/api' },
  )
  app.get('/open', async (request) => reached(callerOf(request)))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { port, close: () => app.close() }
}

describeAdapter('fastify', start, true)

/** An application of one route, `POST` and `GET /`, behind signatures over bodies. */
async function signedApp(options: FastifyServerOptions = {}) {
  const signed = signedRequests()
  const verifier = new InboundVerifier({ authenticators: [signed] })
  const app = fastify(options)
  app.addHook('preParsing', keepRawBody)
  app.addHook('preHandler', authenticate(verifier))
  app.all('/', async (request) => callerOf(request).subject)
  const post = (payload: string, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: '/',
      payload,
      headers: { 'content-type': 'application/json', 'x-signed': 'body', ...headers },
    })
  return { app, signed, post }
}

it('S02 keeps to the target that was sent where rewriteUrl rewrites it', async () => {
  const { app, signed } = await signedApp({ rewriteUrl: () => '/' })
  await app.inject({ url: '/outer?x=%2f', headers: { 'x-signed': 'head' } })
  expect(signed.seen[0]?.target).toBe('/outer?x=%2f')
})

it('S14 keeps no more of a body than the route takes', async () => {
  const { app, signed, post } = await signedApp({ bodyLimit: 10 })
  expect((await post('"12345678"')).statusCode).toBe(200)
  expect((await post('"123456789"', { 'transfer-encoding': 'chunked' })).statusCode).toBe(413)
  expect((await post('"123456789"')).statusCode).toBe(413)
  expect(signed.seen.map((one) => one.body?.toString())).toEqual(['"12345678"'])
  await app.close()
})

it('S14 refuses to judge a body that a parser has not read to its end', async () => {
  const { app, signed, post } = await signedApp()
  app.addContentTypeParser('multipart/form-data', (_request, _body, done) => done(null, undefined))
  const answer = await post('--x', { 'content-type': 'multipart/form-data' })
  expect([answer.statusCode, answer.json().code, signed.seen]).toEqual([
    500,
    'ERR_CONFIGURATION',
    [],
  ])
})

it('takes the host from HTTP/2, and a body that announces no length', async () => {
  const signed = signedRequests()
  const app = fastify({ http2: true })
  app.addHook('preParsing', keepRawBody)
  app.addHook('preHandler', authenticate(new InboundVerifier({ authenticators: [signed] })))
  app.all('/', async (request) => callerOf(request).subject)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const session = connect(`http://127.0.0.1:${port}`)
  for (const body of [undefined, '{ }']) {
    const stream = session.request({
      ':path': '/?x=%2f',
      'x-signed': 'body',
      ...(body === undefined ? {} : { ':method': 'POST', 'content-type': 'application/json' }),
    })
    stream.end(body)
    let text = ''
    for await (const chunk of stream.setEncoding('utf8')) text += chunk
    expect(text).toBe('signer')
    const seen = signed.seen.at(-1)!
    expect([seen.target, seen.body?.toString()]).toEqual(['/?x=%2f', body])
    expect(seen.headers.filter(([name]) => /^(:|host$)/.test(name))).toEqual([
      ['host', `127.0.0.1:${port}`],
    ])
  }
  session.close()
  await app.close()
})

it('S14 refuses to judge a body that was too long to keep', async () => {
  const { app, signed, post } = await signedApp({ bodyLimit: 10 })
  const roomy = { parseAs: 'buffer', bodyLimit: 100 } as const
  app.addContentTypeParser('application/x-long', roomy, (_request, body, done) => done(null, body))
  const long = { 'content-type': 'application/x-long' }
  expect((await post('x'.repeat(10), long)).statusCode).toBe(200)
  expect((await post('x'.repeat(11), long)).json().code).toBe('ERR_CONFIGURATION')
  expect(signed.seen).toHaveLength(1)
  await app.close()
})
