import { writeScopes } from './scopes.js'
import type { AuthorizationServer, CallOptions } from './server.js'
import { readTokenAnswer, type TokenAnswer } from './token-answer.js'
import { requestToken } from './token-request.js'

/**
 * A token for the client itself (RFC 6749 §4.4). A refresh token in the answer is dropped: §4.4.3 says there should be
 * none, and the client can always ask again. An ID token is ignored.
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
  const { options } = server
  const { scopes, resource } = request
  const scope = scopes.length > 0 ? writeScopes(scopes, options) : undefined
  return requestToken(
    server,
    { what: 'token request', grantType: 'client_credentials', parameters: { scope, resource } },
    (answer) => {
      const { refreshToken: _, ...rest } = readTokenAnswer(answer, {
        dialect: options,
        requested: scopes,
        renewable: true,
        clock: options.clock,
      })
      return rest
    },
    how,
  )
}
