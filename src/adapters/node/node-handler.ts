import type { IncomingMessage, ServerResponse } from 'node:http'
import { kindOf } from '../../option-names.js'
import { sendResponse } from './send-response.js'

/** A handler in the terms of the Fetch standard, such as `agent.handler`. */
export type FetchHandler = (
  request: Request,
  message: IncomingMessage,
) => Response | Promise<Response>

/**
 * Serves a fetch handler with `node:http`. The second argument is the message itself, for `rawRequest()`.
 * A handler that throws is answered with an empty 500; one without a valid path, or whose `Host` is
 * not one host, with 400.
 *
 * The URL's host is the `Host` header, which the client chose: decide nothing by it.
 */
export function nodeHandler(
  handler: FetchHandler,
): (message: IncomingMessage, response: ServerResponse) => void {
  if (typeof handler !== 'function') {
    throw new TypeError(
      `nodeHandler() takes a function of a Request, such as agent.handler; got ${kindOf(handler)}.`,
    )
  }
  return (message, response) => {
    void serve(handler, message, response)
  }
}

async function serve(
  handler: FetchHandler,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let request: Request
  try {
    request = toRequest(message, response)
  } catch {
    response.writeHead(400).end()
    return
  }
  try {
    const answer = await handler(request, message)
    await sendResponse(answer, message, response)
  } catch {
    if (response.headersSent) response.destroy()
    else response.writeHead(500).end()
  }
}

function toRequest(message: IncomingMessage, response: ServerResponse): Request {
  const secure = 'encrypted' in message.socket
  const target = message.url ?? '/'
  if (!target.startsWith('/')) throw new TypeError('The request target is not a path.')
  const headers = new Headers()
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    const name = message.rawHeaders[at]!
    if (!name.startsWith(':')) headers.append(name, message.rawHeaders[at + 1]!)
  }
  const host = headers.get('host') ?? 'localhost'
  // Node lets any text pass here, and two of it; a URL would take some of it for user info or for the path.
  if (!/^[^/\\?#@,\s]+$/.test(host)) throw new TypeError('The Host header is not one host.')
  const url = new URL(`${secure ? 'https' : 'http'}://${host}${target}`)
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
    discardRest(message)
  })
  const method = message.method ?? 'GET'
  const bodiless = method === 'GET' || method === 'HEAD'
  return new Request(url, {
    method,
    headers,
    signal: controller.signal,
    ...(bodiless ? {} : { body: bodyOf(message), duplex: 'half' as const }),
  })
}

/** The body. Nothing is taken from the message before somebody reads: `rawRequest()` may have it instead. */
function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}

/** A body that was read in part would block the connection for the next request. */
function discardRest(message: IncomingMessage): void {
  const discard = () => {
    while (message.read() !== null);
  }
  if (message.readableEnded || message.destroyed) return
  message.on('readable', discard)
  discard()
}
