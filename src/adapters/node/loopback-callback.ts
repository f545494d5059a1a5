import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { checkOptionNames, kindOf } from '../../option-names.js'
import { nodeHandler } from './node-handler.js'

/** A callback address on this machine. */
export interface LoopbackCallback {
  /** For the option `callbackUrl`; register `<callbackUrl>/<provider>`, or a native client that may use any port. */
  readonly callbackUrl: string
  /** Says who answers; until then the callback answers 503. */
  handle(handler: (request: Request) => Promise<Response>): void
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Listens on 127.0.0.1 for the consent of one person at a terminal (RFC 8252 §7.3). Use it with
 * `allowInsecureLoopback: true` and `identifyUser: 'unsafe-single-user'`: whoever uses the browser of this machine is
 * taken for the user.
 *
 * @param options.port Default: a free one.
 */
export async function loopbackCallback(
  options: { readonly port?: number | undefined } = {},
): Promise<LoopbackCallback> {
  checkOptionNames(options, 'loopbackCallback()', { port: true }, 'options such as { port: 8765 }')
  const { port = 0 } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new TypeError('port must be a whole number from 0 to 65535; leave it out for a free one.')
  }
  let handler: ((request: Request) => Promise<Response>) | undefined
  let callbackUrl = ''
  const server = createServer(
    nodeHandler(async (request) => {
      // Another name for this address in the Host header means that a page elsewhere is calling (DNS rebinding).
      if (new URL(request.url).origin !== new URL(callbackUrl).origin) {
        return new Response('Not found', { status: 404 })
      }
      return handler ? handler(request) : new Response('Not ready', { status: 503 })
    }),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  callbackUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {
    callbackUrl,
    handle(next) {
      if (typeof next !== 'function') {
        throw new TypeError(
          `handle() takes a function of a Request, such as (request) => credentials.handleCallback(request); got ${kindOf(next)}.`,
        )
      }
      handler = next
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
