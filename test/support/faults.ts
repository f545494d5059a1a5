/** Things that fail when they are told to: a token endpoint behind a proxy, and a store. */
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { memoryStore, type VaultStore } from 'deputize'

/** `reset-after`: the server gets the request and answers, but the answer never arrives. */
type Fault =
  | 'hang'
  | 'reset'
  | 'reset-after'
  | { readonly status: number; readonly headers?: Record<string, string> }

export interface FaultProxy extends AsyncDisposable {
  readonly origin: string
  /** What happens to the next requests, first to last; then they pass. */
  readonly faults: Fault[]
  /** Requests that came, passed or not. */
  readonly seen: string[]
}

/** Stands before the server at `target`. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const faults: Fault[] = []
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const fault = faults.shift()
    if (fault === 'hang') return
    if (fault === 'reset') return void request.socket.resetAndDestroy()
    if (typeof fault === 'object') {
      response.writeHead(fault.status, fault.headers).end('<html>not today</html>')
      return
    }
    const onward = forward(
      new URL(request.url ?? '/', target),
      { method: request.method, headers: request.headers },
      (answer) => {
        if (fault === 'reset-after') {
          answer.resume()
          answer.on('end', () => request.socket.resetAndDestroy())
          return
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => request.socket.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

export interface FailingStore extends VaultStore {
  /** Decides before every `put` whether it fails. */
  failPut: (() => boolean) | undefined
  failGet: (() => boolean) | undefined
  puts: number
}

/** A store in memory that can be made to fail. */
export function failingStore(inner: VaultStore = memoryStore()): FailingStore {
  const store: FailingStore = {
    failPut: undefined,
    failGet: undefined,
    puts: 0,
    async get(id) {
      if (store.failGet?.()) throw new Error('connection lost to store-password@db')
      return inner.get(id)
    },
    async put(id, row, options) {
      store.puts++
      if (store.failPut?.()) throw new Error('connection lost to store-password@db')
      return inner.put(id, row, options)
    },
    delete: (id) => inner.delete(id),
    scan: (cursor) => inner.scan(cursor),
  }
  return store
}

/** Every text that an error can become on its way to a log. */
export function printed(error: unknown): string {
  return [
    String(error),
    String((error as Error).stack),
    JSON.stringify(error),
    inspect(error, { depth: 9, showHidden: true }),
  ].join('\n')
}
