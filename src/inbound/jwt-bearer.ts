import { InboundAuthError } from '../errors/inbound.js'
import { actorOf } from '../jwt/actor.js'
import { readClaims } from '../jwt/claims.js'
import type { ParsedJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import { makePrincipal, type Principal } from '../principal.js'
import { Secret } from '../secret.js'
import { clientOf, isOwnToken, refuseOtherTokens, scopesOf } from './access-token-claims.js'
import type { Authenticator, AuthenticatorContext, Recognition } from './authenticator.js'
import { applyCallerRules } from './caller-rules.js'
import { applyClaimRules } from './claim-rules.js'
import {
  checkJwtBearerOptions,
  type JwtBearerOptions,
  type JwtBearerRules,
} from './jwt-bearer-options.js'
import { provePossession } from './possession.js'

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
      const token = request.bearerToken ?? (rules.dpop ? request.dpopToken : undefined)
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
        authenticate: async (context) => {
          const principal = await verifyToken(rules, jws, token, issuer, context)
          // Outside of verifyToken: the answer is about this request, and never about the token alone.
          await provePossession(jws.payload, token, request, rules.dpop, context)
          return principal
        },
      }
    },
    advertise: () => ({
      authorizationServer: rules.keys.issuer ?? issuers[0]!,
      scopes: rules.scopes ?? [],
      ...(rules.dpop ? { dpop: rules.dpop.required ? 'required' : 'accepted' } : {}),
    }),
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
  refuseOtherTokens(jws.header.typ, claims, rules.profile)
  const registered = readClaims(claims, {
    nowMs: clock(),
    clockToleranceMs: rules.clockToleranceMs,
    maxTokenAgeMs: rules.maxTokenAgeMs,
  })
  const clientId = clientOf(claims, rules.profile)
  const scopes = scopesOf(claims, rules.profile)
  const actor = actorOf(claims)
  applyCallerRules(rules, { audience: registered.audience, clientId, scopes })
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
      ...(isOwnToken(claims, subject, clientId, rules.profile)
        ? {}
        : { user: { issuer, subject } }),
    },
    new Secret(token),
  )
}

function foreign(code: 'ERR_TOKEN_TOO_LARGE' | 'ERR_UNKNOWN_ISSUER', reason: string): Recognition {
  return { kind: 'foreign', error: new InboundAuthError(code, { reason }) }
}
