import type { AuthorizationServer, CallOptions } from './server.js'
import { readTokenAnswer, type TokenAnswer } from './token-answer.js'

/**
 * Spends a refresh token (RFC 6749 §6). An answer without a new one means that the old one stays good.
 *
 * @param request.granted What the scopes are when the answer names none: those of the grant.
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError}
 */
export async function refreshGrant(
  server: AuthorizationServer,
  request: {
    readonly refreshToken: string
    readonly granted: readonly string[]
    readonly resource?: string | undefined
  },
  how: CallOptions = {},
): Promise<TokenAnswer> {
  return server.call(
    'refresh request',
    async ({ lib, as, client, auth, options }) => {
      const response = await lib.refreshTokenGrantRequest(as, client, auth, request.refreshToken, {
        ...options,
        ...(request.resource === undefined
          ? {}
          : { additionalParameters: { resource: request.resource } }),
      })
      const answer = await lib.processRefreshTokenResponse(as, client, response)
      return readTokenAnswer(answer, {
        provider: server.options.name,
        requested: request.granted,
        renewable: true,
        clock: server.options.clock,
      })
    },
    how,
  )
}
