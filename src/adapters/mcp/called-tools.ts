import { ConfigurationError } from '../../errors/outbound.js'
import { checkObject } from '../../option-names.js'
import type { ConnectRequest } from '../node/connect-middleware.js'
import { hasBody } from '../node/has-body.js'

/**
 * The names of the tools that a request calls, in a batch too, for guards that ask more for one of them. The body must
 * be parsed before: `express.json()` in front of `authenticate()`.
 *
 * @throws {@link ConfigurationError} Nobody parsed the body, so that a guard would let everything pass.
 */
export function calledTools(request: ConnectRequest & { readonly body?: unknown }): string[] {
  checkObject(request, 'calledTools()', 'the request of the guard')
  const { body } = request
  if (body === undefined && hasBody(request)) {
    throw new ConfigurationError(
      'The body was not parsed: put express.json() in front of authenticate(), whose guard asks for the tools that are called.',
    )
  }
  return (Array.isArray(body) ? body : [body]).flatMap((message) => {
    const { method, params } = (message ?? {}) as { method?: unknown; params?: { name?: unknown } }
    return method === 'tools/call' && typeof params?.name === 'string' ? [params.name] : []
  })
}
