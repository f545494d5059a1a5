/** An API that is guarded by an authorization server: it answers only to a token for it that has the scope. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InboundVerifier, jwtBearer, type Principal } from 'deputize'
import { nodeHandler } from 'deputize/node'

export interface ApiServer {
  readonly origin: string
  /** Says whose tokens the API takes. */
  guard(options: { readonly issuer: string; readonly scope: string }): void
  close(): Promise<void>
}

/** Starts it on a free loopback port. `answer` makes the body for a caller who was let in. */
export async function startApi(answer: (caller: Principal) => unknown): Promise<ApiServer> {
  let verifier: InboundVerifier | undefined
  const server = createServer(
    nodeHandler(async (request) => {
      if (!verifier) return new Response('Not ready', { status: 503 })
      const caller = await verifier.authenticate(request)
      return caller instanceof Response ? caller : Response.json(answer(caller))
    }),
  )
  const origin = await listen(server)
  return {
    origin,
    guard({ issuer, scope }) {
      verifier = new InboundVerifier({
        authenticators: [
          jwtBearer({
            discoveryUrl: `${issuer}/.well-known/openid-configuration`,
            allowedAudience: [origin],
            allowedScopes: [scope],
            allowInsecureLoopback: true, // this machine only; leave it out everywhere else
          }),
        ],
      })
    },
    close: () => stop(server),
  }
}

/** Listens on a free port of 127.0.0.1 and gives the origin. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** The value of a cookie of a request. */
export function cookie(request: Request | IncomingMessage, name: string): string | undefined {
  const header = request instanceof Request ? request.headers.get('cookie') : request.headers.cookie
  for (const pair of (header ?? '').split('; ')) {
    if (pair.startsWith(`${name}=`)) return pair.slice(name.length + 1)
  }
  return undefined
}
