import { ConfigurationError } from '../errors/outbound.js'
import { notInProtocol, refusalIn } from './refusal.js'
import type { AuthorizationServer } from './server.js'
import type { LooseTokens } from './token-answer.js'

/**
 * Gives a token back (RFC 7009). Any success will do. A server that does not know the token says yes as well, so a second
 * time is no error.
 *
 * @throws {@link ConfigurationError} The server names no revocation endpoint.
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError}
 */
export async function revokeToken(
  server: AuthorizationServer,
  request: { readonly token: string; readonly kind: 'refresh_token' | 'access_token' },
): Promise<void> {
  await server.call<void>({
    what: 'revocation request',
    send: ({ lib, as, client, auth, options }) => {
      if (as.revocation_endpoint === undefined) {
        throw new ConfigurationError(
          `Provider "${server.options.name}" names no revocation endpoint. Set endpoints.revocation, or end the grant on the provider's own page.`,
          { reason: 'no_revocation_endpoint' },
        )
      }
      return lib.revocationRequest(as, client, auth, request.token, {
        ...options,
        additionalParameters: { token_type_hint: request.kind },
      })
    },
    read: (answer) => {
      const refusal = refusalIn(answer)
      if (refusal) throw refusal
      if (answer.status < 200 || answer.status > 299) {
        throw notInProtocol(answer, `HTTP ${answer.status}`)
      }
    },
  })
}

/** Gives back the tokens of an answer that is not kept. That it fails is of no consequence to the caller. */
export async function giveBack(server: AuthorizationServer, tokens: LooseTokens): Promise<void> {
  const { refreshToken, accessToken } = tokens
  const request =
    refreshToken !== undefined
      ? ({ token: refreshToken, kind: 'refresh_token' } as const)
      : accessToken !== undefined
        ? ({ token: accessToken, kind: 'access_token' } as const)
        : undefined
  if (request) await revokeToken(server, request).catch(() => {})
}
