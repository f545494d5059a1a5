import { InboundAuthError } from '../errors/inbound.js'
import { checkScopes, checkStrings } from './option-checks.js'

/** Who a token must be for, and whose it may be. */
export interface CallerRules {
  readonly audience: readonly string[] | undefined
  readonly clients: readonly string[] | undefined
  readonly scopes: readonly string[] | undefined
}

export function checkCallers(options: {
  readonly allowedAudience?: readonly string[] | null | undefined
  readonly allowedClients?: readonly string[] | undefined
  readonly allowedScopes?: readonly string[] | undefined
}): CallerRules {
  const { allowedAudience, allowedClients, allowedScopes } = options
  const clients =
    allowedClients === undefined ? undefined : checkStrings('allowedClients', allowedClients)
  const scopes =
    allowedScopes === undefined ? undefined : checkScopes('allowedScopes', allowedScopes)
  if (allowedAudience === null) {
    if (clients) return { audience: undefined, clients, scopes }
    throw new TypeError('allowedAudience is null; then allowedClients is required.')
  }
  if (allowedAudience === undefined) {
    throw new TypeError(
      'allowedAudience is missing. Name the audience of this service; for an issuer whose tokens have none, give allowedClients and allowedAudience: null.',
    )
  }
  return { audience: checkStrings('allowedAudience', allowedAudience), clients, scopes }
}

/** What a token says of its caller. */
export interface CallerFacts {
  readonly audience: readonly string[]
  readonly clientId: string | undefined
  readonly scopes: readonly string[]
}

/** @throws {@link InboundAuthError} `ERR_AUDIENCE_MISMATCH`, `ERR_CLIENT_NOT_ALLOWED`, `ERR_INSUFFICIENT_SCOPE`. */
export function applyCallerRules(rules: CallerRules, facts: CallerFacts): void {
  if (rules.audience && !overlap(facts.audience, rules.audience)) {
    throw new InboundAuthError('ERR_AUDIENCE_MISMATCH', {
      reason: 'aud holds none of allowedAudience',
    })
  }
  if (rules.clients && (facts.clientId === undefined || !rules.clients.includes(facts.clientId))) {
    throw new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', {
      reason: 'the client is none of allowedClients',
    })
  }
  if (rules.scopes && !overlap(facts.scopes, rules.scopes)) {
    throw new InboundAuthError('ERR_INSUFFICIENT_SCOPE', {
      reason: 'the token has none of allowedScopes',
      requiredScopes: rules.scopes,
    })
  }
}

function overlap(some: readonly string[], others: readonly string[]): boolean {
  for (let at = 0; at < some.length; at++) {
    if (others.includes(some[at]!)) return true
  }
  return false
}
