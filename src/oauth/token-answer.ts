import type * as oauth from 'oauth4webapi'
import { type Clock, MINUTE_MS, SECOND_MS } from '../clock.js'
import { ServerResponseError } from '../errors/outbound.js'

/** What a token endpoint gave. Holds secrets: it goes to the vault and nowhere else. */
export interface TokenAnswer {
  readonly accessToken: string
  readonly tokenType: 'Bearer'
  /** Milliseconds since the epoch; absent when the server gave no lifetime and nobody but the user could renew. */
  readonly expiresAtMs?: number
  readonly scopes: readonly string[]
  readonly refreshToken?: string
}

/** Lifetime of a token whose server gave none, where it can be renewed without the user. */
const DEFAULT_LIFETIME_MS = 5 * MINUTE_MS
/** Longest lifetime believed: a year. */
const MAX_LIFETIME_SECONDS = 31_536_000
/** As large as AgentCore's limit for a token. */
const MAX_TOKEN_LENGTH = 131_072

/** Splits a scope value (RFC 6749 §3.3), keeping the order and dropping repeats. */
export function splitScopes(scope: string): string[] {
  return [...new Set(scope.split(' ').filter((item) => item !== ''))]
}

/**
 * Reads a token answer that oauth4webapi accepted, and is stricter: a token is visible ASCII (RFC 6749 App. A.12), so
 * that it cannot break a header.
 *
 * @param requested What the scopes are when the answer names none (RFC 6749 §5.1).
 * @param renewable Whether a new token can be had without the user even if the answer has no refresh token.
 * @throws {@link ServerResponseError}
 */
export function readTokenAnswer(
  answer: oauth.TokenEndpointResponse,
  context: {
    readonly provider: string
    readonly requested: readonly string[]
    readonly renewable: boolean
    readonly clock: Clock
  },
): TokenAnswer {
  const { access_token, refresh_token, expires_in, scope, token_type } = answer
  if (token_type !== 'bearer') {
    // A token that is bound to a key is of no use without the proof, and no request of ours offered a key.
    throw new ServerResponseError({
      what: `Answer of provider "${context.provider}" to the token request`,
      detail:
        'holds a DPoP-bound token that was not asked for. Have its owner issue bearer tokens to this client.',
      reason: 'unexpected_token_type',
    })
  }
  for (const token of [access_token, refresh_token]) {
    if (token !== undefined && (!/^[\x21-\x7e]+$/.test(token) || token.length > MAX_TOKEN_LENGTH)) {
      throw new ServerResponseError({
        what: `Answer of provider "${context.provider}" to the token request`,
        detail:
          'holds a token with characters that no token may have, or a longer one than 131072.',
        reason: 'malformed_token',
      })
    }
  }
  const renewable = context.renewable || refresh_token !== undefined
  const lifetimeMs =
    expires_in === undefined
      ? renewable
        ? DEFAULT_LIFETIME_MS
        : undefined
      : Math.min(Math.floor(expires_in), MAX_LIFETIME_SECONDS) * SECOND_MS
  return {
    accessToken: access_token,
    tokenType: 'Bearer',
    ...(lifetimeMs === undefined ? {} : { expiresAtMs: context.clock() + lifetimeMs }),
    scopes: scope === undefined ? [...context.requested] : splitScopes(scope),
    ...(refresh_token === undefined ? {} : { refreshToken: refresh_token }),
  }
}
