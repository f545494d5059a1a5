import { ConfigurationError } from '../errors/outbound.js'
import type { AuthorizationServer } from './server.js'

/**
 * Gives a token back (RFC 7009). A server that does not know the token says yes as well, so a second time is no error.
 *
 * @throws {@link ConfigurationError} The server names no revocation endpoint.
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError}
 */
export async function revokeToken(
  server: AuthorizationServer,
  request: { readonly token: string; readonly kind: 'refresh_token' | 'access_token' },
): Promise<void> {
  await server.call('revocation request', async ({ lib, as, client, auth, options }) => {
    if (as.revocation_endpoint === undefined) {
      throw new ConfigurationError(
        `Provider "${server.options.name}" names no revocation endpoint. Set endpoints.revocation, or end the grant on the provider's own page.`,
        { reason: 'no_revocation_endpoint' },
      )
    }
    const response = await lib.revocationRequest(as, client, auth, request.token, {
      ...options,
      additionalParameters: { token_type_hint: request.kind },
    })
    await lib.processRevocationResponse(response)
  })
}
