/** A plain HTTP server on a free loopback port, for tests that need to see what really went over the wire. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  readonly body: string
}

export interface LocalServer extends AsyncDisposable {
  readonly origin: string
  readonly port: number
  readonly server: Server
}

export async function listen(listener: RequestListener): Promise<LocalServer> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    server,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** A server that reads every request whole, keeps it in `seen`, and then answers. */
export async function listenWhole(
  answer: (seen: Seen, response: ServerResponse, message: IncomingMessage) => void,
): Promise<LocalServer & { readonly seen: Seen[] }> {
  const seen: Seen[] = []
  const server = await listen(async (message, response) => {
    let body = ''
    for await (const chunk of message.setEncoding('utf8')) body += chunk
    const one = {
      method: message.method ?? '',
      target: message.url ?? '',
      headers: message.headers as Record<string, string>,
      body,
    }
    seen.push(one)
    answer(one, response, message)
  })
  return Object.assign(server, { seen })
}
