/** An authorization server that answers as it is told, on loopback, and remembers what it was sent. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Received {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: IncomingMessage['headers']
  readonly form: URLSearchParams
}

export type Reply = (response: ServerResponse, request: Received) => void

export interface HostileServer extends AsyncDisposable {
  readonly issuer: string
  readonly received: Received[]
  /** Answers by path; anything else is 404. */
  readonly routes: Map<string, Reply>
  /** What was posted to `/token`. */
  tokenRequests(): readonly Received[]
}

/** Metadata at the OpenID place, a token endpoint at `/token`, an authorization endpoint at `/authorize`. */
export async function startHostileServer(
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<HostileServer> {
  const received: Received[] = []
  const routes = new Map<string, Reply>()
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const request = {
      method: incoming.method ?? '',
      target: incoming.url ?? '',
      headers: incoming.headers,
      form: new URLSearchParams(Buffer.concat(chunks).toString()),
    }
    received.push(request)
    const reply = routes.get(request.target.split('?')[0] ?? '')
    if (reply) reply(response, request)
    else response.writeHead(404).end()
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  routes.set(
    '/.well-known/openid-configuration',
    replyJson({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      ...metadata,
    }),
  )
  return {
    issuer,
    received,
    routes,
    tokenRequests: () =>
      received.filter(({ method, target }) => method === 'POST' && target === '/token'),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

/** JSON; a string is sent as it is. */
export const replyJson =
  (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

/** Never answers. */
export const hang: Reply = () => {}

/** Ends the connection with a reset. */
export const reset: Reply = (response) => {
  response.socket?.resetAndDestroy()
}

/** Begins an answer and resets in the middle of it. */
export const resetMidway: Reply = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
  response.write('{"access_token":"half')
  setImmediate(() => response.socket?.resetAndDestroy())
}
