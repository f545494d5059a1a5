import { request } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { expect, it } from 'vitest'
import { authenticate, callerOf } from '../../src/adapters/hono/index.js'
import { InboundVerifier } from '../../src/inbound/index.js'
import { type AdapterApp, describeAdapter, type RunningApp } from '../support/adapter-contract.js'
import { listen } from '../support/local-server.js'
import { signedRequests } from '../support/signed-requests.js'

function makeApp({ verifier, guard, reached, failed }: AdapterApp): Hono {
  const answer = async (c: Context) => {
    const text = await c.req.text()
    return c.json(reached(callerOf(c), text === '' ? undefined : JSON.parse(text)))
  }
  const api = new Hono()
  api.all('/plain', authenticate(verifier), answer)
  api.all('/plain/*', authenticate(verifier), answer)
  api.all('/signed', authenticate(verifier), answer)
  api.all('/signed/*', authenticate(verifier), answer)
  api.get('/guarded', authenticate(verifier, { guard }), answer)
  const app = new Hono()
  app.route('/api', api)
  app.get('/open', answer)
  app.onError((error, c) => {
    failed(error)
    return c.json({ mine: true }, 500)
  })
  return app
}

async function start(app: AdapterApp): Promise<RunningApp> {
  const server = await listen(getRequestListener(makeApp(app).fetch))
  return { port: server.port, close: async () => server[Symbol.asyncDispose]() }
}

describeAdapter('hono', start, false)

function signedApp() {
  const signed = signedRequests()
  const app = new Hono<{ Bindings: { incoming?: unknown } }>()
  app.post('/late', async (c, next) => {
    await c.req.json()
    await next()
  })
  app.use(authenticate(new InboundVerifier({ authenticators: [signed] })))
  app.all('*', async (c) => c.text(`${callerOf(c).subject} ${await c.req.text()}`))
  return { app, signed }
}
const headers = { 'x-signed': 'body', 'content-type': 'application/json' }

it('S02 gives authenticators a Request where there is nothing else, and says so', async () => {
  for (const env of [undefined, {}, { incoming: 'a binding' }, { incoming: { url: '/x' } }]) {
    const { app, signed } = signedApp()
    const init = { method: 'POST', body: '{ }', headers }
    const response = await app.request('/a?x=1', init, env)
    expect([response.status, await response.text()]).toEqual([200, 'signer { }'])
    const [seen] = signed.seen
    expect([seen?.raw, seen?.target, seen?.body?.toString()]).toEqual([false, '/a?x=1', '{ }'])
  }
})

it('S14 refuses to judge a body that somebody read before', async () => {
  const { app, signed } = signedApp()
  app.onError((error, c) => c.text(`mine: ${error.message}`, 500))
  await using server = await listen(getRequestListener(app.fetch))
  const response = await fetch(`${server.origin}/late`, { method: 'POST', body: '{ }', headers })
  expect(response.status).toBe(500)
  expect(await response.text()).toMatch(/^mine: .*in front of the middleware that reads it/)
  expect(signed.seen).toEqual([])
})

it('S14 gives the body of a GET, which no Request has', async () => {
  const { app, signed } = signedApp()
  await using server = await listen(getRequestListener(app.fetch))
  await new Promise<void>((done) => {
    const asking = request(server.origin, { headers: { ...headers, 'content-length': 3 } })
    asking.on('response', (response) => response.resume().on('end', done)).end('{ }')
  })
  expect(signed.seen[0]?.body?.toString()).toBe('{ }')
})
