import type { AuthorizationServer, CallOptions } from './server.js'
import { readTokenAnswer, type TokenAnswer } from './token-answer.js'

/**
 * A token for the client itself (RFC 6749 §4.4). A refresh token in the answer is dropped: §4.4.3 says there should be
 * none, and the client can always ask again.
 *
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError}
 */
export async function clientCredentialsGrant(
  server: AuthorizationServer,
  request: {
    readonly scopes: readonly string[]
    readonly resource?: string | undefined
  },
  how: CallOptions = {},
): Promise<TokenAnswer> {
  return server.call(
    'token request',
    async ({ lib, as, client, auth, options }) => {
      const parameters = new URLSearchParams()
      if (request.scopes.length > 0) parameters.set('scope', request.scopes.join(' '))
      if (request.resource !== undefined) parameters.set('resource', request.resource)
      const response = await lib.clientCredentialsGrantRequest(
        as,
        client,
        auth,
        parameters,
        options,
      )
      const answer = await lib.processClientCredentialsResponse(as, client, response)
      const { refreshToken: _, ...rest } = readTokenAnswer(answer, {
        provider: server.options.name,
        requested: request.scopes,
        renewable: true,
        clock: server.options.clock,
      })
      return rest
    },
    how,
  )
}
