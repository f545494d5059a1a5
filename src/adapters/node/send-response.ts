import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'

/** Sends a `Response` of the Fetch standard. */
export async function sendResponse(
  answer: Response,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const headers: [string, string][] = []
  answer.headers.forEach((value, name) => {
    if (name !== 'set-cookie') headers.push([name, value])
  })
  response.statusCode = answer.status
  for (const [name, value] of headers) response.setHeader(name, value)
  const cookies = answer.headers.getSetCookie()
  if (cookies.length > 0) response.setHeader('set-cookie', cookies)
  if (answer.body === null || message.method === 'HEAD') {
    await answer.body?.cancel()
    response.end()
    return
  }
  await pipeline(Readable.fromWeb(answer.body as NodeReadableStream), response)
}
