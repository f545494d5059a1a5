import express, { type ErrorRequestHandler, type Request } from 'express'
import { expect, it } from 'vitest'
import {
  authenticate,
  callerOf,
  keepRawBody,
  metadataRoute,
} from '../../src/adapters/express/index.js'
import { InboundAuthError } from '../../src/errors/inbound.js'
import { InboundVerifier } from '../../src/inbound/index.js'
import type { Principal } from '../../src/principal.js'
import { type AdapterApp, describeAdapter, type RunningApp } from '../support/adapter-contract.js'
import { listen } from '../support/local-server.js'
import { signedRequests } from '../support/signed-requests.js'

const lacking = new InboundAuthError('ERR_INSUFFICIENT_SCOPE', {
  reason: 'test',
  requiredScopes: ['write'],
})

async function start({ verifier, guard, reached, failed }: AdapterApp): Promise<RunningApp> {
  const app = express()
  const answer: express.RequestHandler = (request, response) => {
    response.json(reached(callerOf(request), request.body))
  }
  const api = express.Router()
  api.all('/plain{/*rest}', authenticate(verifier), express.json(), answer)
  api.all('/signed{/*rest}', express.json({ verify: keepRawBody }), authenticate(verifier), answer)
  api.get('/guarded', authenticate(verifier, { guard }), answer)
  app.use('/api', api)
  app.get('/open', answer)
  const onError: ErrorRequestHandler = (error, _request, response, _next) => {
    failed(error)
    response.status(500).json({ mine: true })
  }
  app.use(onError)
  const server = await listen(app)
  return { port: server.port, close: async () => server[Symbol.asyncDispose]() }
}

describeAdapter('express', start, true)

it('S02 keeps to the target that was sent where middleware rewrites the URL', async () => {
  const signed = signedRequests()
  const verifier = new InboundVerifier({ authenticators: [signed] })
  const app = express()
  app.use((request, _response, next) => {
    request.url = '/inner'
    next()
  })
  app.get('/inner', authenticate(verifier), (request, response) => {
    response.json(callerOf(request).subject)
  })
  await using server = await listen(app)
  const response = await fetch(`${server.origin}/outer?x=1`, { headers: { 'x-signed': 'head' } })
  expect([response.status, signed.seen[0]?.target]).toEqual([200, '/outer?x=1'])
})

it('gives a guard the request of Express', async () => {
  const verifier = new InboundVerifier({ authenticators: [signedRequests()] })
  const app = express()
  const guard = (_: Principal, request: Request) => {
    if (request.params.id !== '1') throw lacking
  }
  app.get('/:id', authenticate(verifier, { guard }), (_request, response) => {
    response.send('in')
  })
  await using server = await listen(app)
  const ask = (id: string) =>
    fetch(`${server.origin}/${id}`, { headers: { 'x-signed': 'head' } }).then((one) => one.status)
  expect([await ask('1'), await ask('2')]).toEqual([200, 403])
})

it('waits for a guard that is a promise', async () => {
  const verifier = new InboundVerifier({ authenticators: [signedRequests()] })
  const app = express()
  const guard = async () => {
    await new Promise((done) => setTimeout(done, 5))
    throw lacking
  }
  let reached = false
  app.get('/', authenticate(verifier, { guard }), (_request, response) => {
    reached = true
    response.send('in')
  })
  await using server = await listen(app)
  const response = await fetch(server.origin, { headers: { 'x-signed': 'head' } })
  expect([response.status, reached]).toEqual([403, false])
})

it('serves the metadata of the resource to everybody, and nothing else', async () => {
  const verifier = new InboundVerifier({
    authenticators: [signedRequests()],
    resource: 'https://agent.example/mcp',
  })
  const app = express()
  app.use(metadataRoute(verifier))
  app.use((_request, response) => {
    response.status(418).end()
  })
  await using server = await listen(app)
  const ask = async (path: string, method = 'GET') => fetch(`${server.origin}${path}`, { method })
  const path = '/.well-known/oauth-protected-resource/mcp'
  expect(await (await ask(path)).json()).toMatchObject({ resource: 'https://agent.example/mcp' })
  const statuses = [
    await ask(path, 'HEAD'),
    await ask(path, 'OPTIONS'),
    await ask(path, 'POST'),
    await ask('/.well-known/oauth-protected-resource'),
    await ask('/other'),
  ].map((one) => one.status)
  expect(statuses).toEqual([200, 204, 405, 418, 418])
})
