import { isDeputizeError } from '../errors/base.js'
import { ServerResponseError } from '../errors/outbound.js'
import { readIdToken, subjectIn } from './id-token.js'
import { writeScopes } from './scopes.js'
import type { AuthorizationServer, CallOptions, ServerCall } from './server.js'
import { type ServerAnswer, soleMember } from './server-answer.js'
import { type LooseTokens, looseTokens, readTokenAnswer, type TokenAnswer } from './token-answer.js'
import { requestToken } from './token-request.js'

/** What is asked with a refresh token. */
export interface RefreshRequest {
  readonly refreshToken: string
  /** What the scopes are when the answer names none. */
  readonly granted: readonly string[]
  /** Sent as `scope`, where the server wants it. */
  readonly scopes?: readonly string[] | undefined
  readonly resource?: string | undefined
  /** The account's subject at an OpenID provider. */
  readonly subject?: string | undefined
}

/** What came back: tokens, or a success that is not in order. */
export type RefreshAnswer =
  | { readonly inOrder: true; readonly tokens: TokenAnswer }
  | {
      readonly inOrder: false
      readonly error: unknown
      /** The server has acted: a refresh token in here has taken the place of the one that was sent. */
      readonly tokens: LooseTokens
    }

/** Why a refresh failed: its ID token names another account than the grant's. */
export const ANOTHER_ACCOUNT = 'another_account'

/**
 * Spends a refresh token (RFC 6749 §6). An answer without a new one means that the old one stays good.
 *
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError} There was no success.
 */
export async function refreshGrant(
  server: AuthorizationServer,
  request: RefreshRequest,
  how: CallOptions = {},
): Promise<RefreshAnswer> {
  const { refreshToken, scopes, resource } = request
  const scope = scopes === undefined ? undefined : writeScopes(scopes, server.options)
  const parameters = { refresh_token: refreshToken, scope, resource }
  return requestToken(
    server,
    { what: 'refresh request', grantType: 'refresh_token', parameters },
    async (answer, call) => {
      try {
        return { inOrder: true, tokens: await read(server, request, answer, call) }
      } catch (error) {
        const tokens = looseTokens(answer)
        const later = isDeputizeError(error) && error.retryable && tokens.refreshToken === undefined
        if (answer.status >= 300 || later) throw error
        return { inOrder: false, error, tokens }
      }
    },
    how,
  )
}

async function read(
  server: AuthorizationServer,
  request: RefreshRequest,
  answer: ServerAnswer,
  call: ServerCall,
): Promise<TokenAnswer> {
  const { options } = server
  const { subject, granted: requested } = request
  const idToken = subject === undefined ? undefined : soleMember(answer.text, 'id_token')
  const found = idToken === undefined ? undefined : subjectIn(idToken, options)
  // Before all else: what another account's answer holds is not kept, however the rest of it looks.
  if (found !== undefined && found !== subject) {
    throw new ServerResponseError({
      what: `Answer of provider "${answer.provider}" to the ${answer.what}`,
      detail: 'its ID token names another account than the one that was connected.',
      reason: ANOTHER_ACCOUNT,
      status: answer.status,
    })
  }
  const { clock } = options
  const tokens = readTokenAnswer(answer, { dialect: options, requested, renewable: true, clock })
  if (idToken !== undefined) await readIdToken(answer, call, options, 'any')
  return tokens
}
