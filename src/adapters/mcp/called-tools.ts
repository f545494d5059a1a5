import { ConfigurationError } from '../../errors/outbound.js'
import { checkObject } from '../../option-names.js'
import type { ConnectRequest } from '../node/connect-middleware.js'
import { hasBody } from '../node/has-body.js'

/**
 * The names of the tools that a request calls, in a batch too, for guards that ask more for one of them. The body must
 * be parsed before: `express.json()` in front of `authenticate()`.
 *
 * @throws {@link ConfigurationError} There is a body, and it is no parsed JSON: a text, bytes, or the `{}` that stands
 *   where nobody parsed it. A guard that was told of no tools would let everything pass.
 */
export function calledTools(request: ConnectRequest & { readonly body?: unknown }): string[] {
  checkObject(request, 'calledTools()', 'the request of the guard')
  const { body } = request
  const messages = Array.isArray(body) ? body : [body]
  if (isEmpty(body) ? hasBody(request) : !Array.isArray(body) && !isPlain(body)) {
    throw new ConfigurationError(
      'The body is not parsed JSON: put express.json() in front of authenticate(), whose guard asks for the tools that are called.',
    )
  }
  return messages.flatMap((message) => {
    const { method, params } = (message ?? {}) as { method?: unknown; params?: { name?: unknown } }
    // Whatever a server makes of a name that is no text, the guard is told what it would be as one.
    return method === 'tools/call' ? [String(params?.name)] : []
  })
}

/** Also what Express 4 leaves where no parser felt addressed. */
function isEmpty(body: unknown): boolean {
  return body === undefined || (isPlain(body) && Object.keys(body).length === 0)
}

function isPlain(body: unknown): body is object {
  if (typeof body !== 'object' || body === null) return false
  const prototype: unknown = Object.getPrototypeOf(body)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
