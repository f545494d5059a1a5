import type { AuthorizationServer, CallOptions, ServerCall } from './server.js'
import type { ServerAnswer } from './server-answer.js'

/** A request to the token endpoint (RFC 6749 §3.2). */
export interface TokenRequest {
  /** How a message names it. */
  readonly what: string
  readonly grantType: string
  /** Those that are `undefined` are not sent. */
  readonly parameters: Readonly<Record<string, string | undefined>>
}

/** Sends a token request with what the configuration adds to each, and gives `read` the answer. */
export function requestToken<T>(
  server: AuthorizationServer,
  request: TokenRequest,
  read: (answer: ServerAnswer, call: ServerCall) => T | Promise<T>,
  how: CallOptions = {},
): Promise<T> {
  const { what, grantType } = request
  const sent = new URLSearchParams(server.options.tokenParameters)
  for (const [name, value] of Object.entries(request.parameters)) {
    if (value !== undefined) sent.set(name, value)
  }
  return server.call(
    {
      what,
      send: ({ lib, as, client, auth, options }) =>
        lib.genericTokenEndpointRequest(as, client, auth, grantType, sent, options),
      read,
    },
    how,
  )
}
