import { type Clock, MINUTE_MS, SECOND_MS } from '../clock.js'
import { ServerResponseError } from '../errors/outbound.js'
import { notInProtocol, refusalIn } from './refusal.js'
import { readScopes, type ScopeDialect } from './scopes.js'
import { type ServerAnswer, soleMember } from './server-answer.js'

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

/** Whether `value` can be a token: visible ASCII (RFC 6749 App. A.12), so that it cannot break a header. */
function isToken(value: unknown): value is string {
  return (
    typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) && value.length <= MAX_TOKEN_LENGTH
  )
}

/**
 * Reads a token answer. Members that are `null`, and an empty `refresh_token` or `scope`, are absent.
 *
 * @param context.requested What the scopes are when the answer names none (RFC 6749 §5.1).
 * @param context.renewable Whether a new token can be had without the user even if the answer has no refresh token.
 * @throws {@link OAuthRefusedError} {@link ServerResponseError}
 */
export function readTokenAnswer(
  answer: ServerAnswer,
  context: {
    readonly dialect: ScopeDialect
    readonly requested: readonly string[]
    readonly renewable: boolean
    readonly clock: Clock
  },
): TokenAnswer {
  const refusal = refusalIn(answer)
  if (refusal) throw refusal
  const { members } = answer
  if (members === undefined) throw notInProtocol(answer, answer.fault ?? 'not JSON')
  if (answer.status !== 200) throw notInProtocol(answer, `HTTP ${answer.status}`)
  const { access_token, token_type } = members
  if (typeof access_token !== 'string') throw notInProtocol(answer, 'no access_token')
  if (typeof token_type !== 'string') throw notInProtocol(answer, 'no token_type')
  if (token_type.toLowerCase() !== 'bearer') {
    // A token that is bound to a key is of no use without the proof, and no request of ours offered a key.
    throw new ServerResponseError({
      what: `Answer of provider "${answer.provider}" to the ${answer.what}`,
      detail:
        'holds a token of another type than Bearer. Have its owner issue bearer tokens to this client.',
      reason: 'unexpected_token_type',
      status: answer.status,
    })
  }
  const refresh_token = members.refresh_token === '' ? undefined : members.refresh_token
  if (!isToken(access_token) || (refresh_token !== undefined && !isToken(refresh_token))) {
    throw new ServerResponseError({
      what: `Answer of provider "${answer.provider}" to the ${answer.what}`,
      detail: 'holds a token with characters that no token may have, or a longer one than 131072.',
      reason: 'malformed_token',
      status: answer.status,
    })
  }
  const { dialect, requested, renewable, clock } = context
  const scopes = readScopes(members.scope, requested, dialect)
  if (scopes === undefined) throw notInProtocol(answer, 'malformed scope')
  const lifetimeMs = readLifetimeMs(answer, renewable || refresh_token !== undefined)
  return {
    accessToken: access_token,
    tokenType: 'Bearer',
    ...(lifetimeMs === undefined ? {} : { expiresAtMs: clock() + lifetimeMs }),
    scopes,
    ...(refresh_token === undefined ? {} : { refreshToken: refresh_token }),
  }
}

function readLifetimeMs(answer: ServerAnswer, renewable: boolean): number | undefined {
  const { expires_in } = answer.members ?? {}
  if (expires_in === undefined) return renewable ? DEFAULT_LIFETIME_MS : undefined
  const digits = typeof expires_in === 'string' && /^\d{1,15}(\.\d{1,15})?$/.test(expires_in)
  const seconds = digits ? Number(expires_in) : expires_in
  if (typeof seconds !== 'number' || !(seconds >= 0)) {
    throw notInProtocol(answer, 'malformed expires_in')
  }
  return Math.min(Math.floor(seconds), MAX_LIFETIME_SECONDS) * SECOND_MS
}

/** The tokens of an answer that is not in order otherwise. */
export interface LooseTokens {
  readonly accessToken?: string
  readonly refreshToken?: string
}

/** The well-formed tokens of a success that each occur once in it, whatever else is wrong with it. */
export function looseTokens({ status, text }: ServerAnswer): LooseTokens {
  if (status < 200 || status > 299) return {}
  const accessToken = soleMember(text, 'access_token')
  const refreshToken = soleMember(text, 'refresh_token')
  return {
    ...(isToken(accessToken) ? { accessToken } : {}),
    ...(isToken(refreshToken) ? { refreshToken } : {}),
  }
}
