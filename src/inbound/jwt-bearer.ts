import { InboundAuthError } from '../errors/inbound.js'
import { readClaims } from '../jwt/claims.js'
import type { ParsedJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import { makePrincipal, type Principal } from '../principal.js'
import { Secret } from '../secret.js'
import {
  actorOf,
  clientOf,
  isOwnToken,
  refuseOtherTokens,
  scopesOf,
} from './access-token-claims.js'
import type { Authenticator, AuthenticatorContext, Recognition } from './authenticator.js'
import { applyClaimRules } from './claim-rules.js'
import {
  checkJwtBearerOptions,
  type JwtBearerOptions,
  type JwtBearerRules,
} from './jwt-bearer-options.js'

/**
 * Accepts access tokens that are JWTs of one issuer ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068), and the
 * common forms before it). Nothing is fetched before the first token of that issuer comes.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function jwtBearer(options: JwtBearerOptions): Authenticator {
  const rules = checkJwtBearerOptions(options)
  const issuers = Object.freeze([...rules.issuers])
  return Object.freeze({
    name: 'jwt' as const,
    issuers,
    recognise: (request): Recognition => {
      const token = request.bearerToken
      const jws = request.bearerJws()
      if (token === undefined || jws === undefined) return { kind: 'absent' }
      if (token.length > rules.maxTokenBytes) {
        return foreign(
          'ERR_TOKEN_TOO_LARGE',
          `the token is longer than ${rules.maxTokenBytes} bytes`,
        )
      }
      if (jws instanceof InboundAuthError) return { kind: 'foreign', error: jws }
      // Equality of strings and nothing else: an iss that is a list, a prefix or another spelling is another issuer.
      const issuer = issuers.find((one) => one === jws.payload.iss)
      if (issuer === undefined) {
        return foreign('ERR_UNKNOWN_ISSUER', 'no configured issuer has this iss')
      }
      return {
        kind: 'mine',
        issuer,
        authenticate: (context) => verifyToken(rules, jws, token, issuer, context),
      }
    },
  } satisfies Authenticator)
}

async function verifyToken(
  rules: JwtBearerRules,
  jws: ParsedJws,
  token: string,
  issuer: string,
  { clock }: AuthenticatorContext,
): Promise<Principal> {
  await verifyJws(jws, rules.keys, rules.algorithms, clock)
  if (rules.keys.issuer !== undefined && rules.keys.issuer !== issuer) {
    throw new InboundAuthError('ERR_UNKNOWN_ISSUER', {
      reason: 'iss differs from the issuer in the discovery document',
    })
  }
  const claims = jws.payload
  refuseOtherTokens(jws.header.typ, claims)
  const registered = readClaims(claims, {
    nowMs: clock(),
    clockToleranceMs: rules.clockToleranceMs,
    maxTokenAgeMs: rules.maxTokenAgeMs,
  })
  const clientId = clientOf(claims)
  const scopes = scopesOf(claims)
  const actor = actorOf(claims)
  applyRules(rules, { audience: registered.audience, clientId, scopes })
  applyClaimRules(rules.customClaims, claims)
  const { subject, audience, expiresAtMs } = registered
  return makePrincipal(
    {
      method: 'jwt',
      issuer,
      subject,
      ...(clientId === undefined ? {} : { clientId }),
      scopes,
      audience,
      ...(actor ? { actor } : {}),
      claims,
      expiresAtMs,
      ...(isOwnToken(claims, subject, clientId) ? {} : { user: { issuer, subject } }),
    },
    new Secret(token),
  )
}

interface CallerFacts {
  readonly audience: readonly string[]
  readonly clientId: string | undefined
  readonly scopes: readonly string[]
}

function applyRules(rules: JwtBearerRules, facts: CallerFacts): void {
  if (rules.audience && !facts.audience.some((one) => rules.audience?.includes(one))) {
    throw new InboundAuthError('ERR_AUDIENCE_MISMATCH', {
      reason: 'aud holds none of allowedAudience',
    })
  }
  if (rules.clients && (facts.clientId === undefined || !rules.clients.includes(facts.clientId))) {
    throw new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', {
      reason: 'the client is none of allowedClients',
    })
  }
  if (rules.scopes && !facts.scopes.some((one) => rules.scopes?.includes(one))) {
    throw new InboundAuthError('ERR_INSUFFICIENT_SCOPE', {
      reason: 'the token has none of allowedScopes',
      requiredScopes: rules.scopes,
    })
  }
}

function foreign(code: 'ERR_TOKEN_TOO_LARGE' | 'ERR_UNKNOWN_ISSUER', reason: string): Recognition {
  return { kind: 'foreign', error: new InboundAuthError(code, { reason }) }
}
