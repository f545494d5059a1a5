import { type Clock, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { actorOf } from '../jwt/actor.js'
import { readClaims } from '../jwt/claims.js'
import { heldBytes } from '../jwt/held-bytes.js'
import type { PublicKey } from '../jwt/public-key.js'
import { openPayload, type ParsedJws } from '../jwt/strict-parse.js'
import type { VerifiedCache } from '../jwt/verified-cache.js'
import { checkSignature, keyFor, wantedKey } from '../jwt/verify.js'
import { isPromise } from '../maybe-promise.js'
import { makePrincipal, type Principal, type PrincipalFacts } from '../principal.js'
import { Secret } from '../secret.js'
import { type JsonObject, seal } from '../strict-json.js'
import {
  clientOf,
  isOwnToken,
  isOwnWithoutSubject,
  KnownScopes,
  refuseOtherTokens,
  scopesOf,
} from './access-token-claims.js'
import type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  Recognition,
} from './authenticator.js'
import { applyCallerRules } from './caller-rules.js'
import { applyClaimRules } from './claim-rules.js'
import { FairTurns } from './fair-turns.js'
import {
  checkJwtBearerOptions,
  type JwtBearerOptions,
  type JwtBearerRules,
} from './jwt-bearer-options.js'
import { provePossession, requireBinding } from './possession.js'
import { TokenAuthenticator, type Verdict } from './token-authenticator.js'

/**
 * Accepts access tokens that are JWTs of one issuer ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068), and the
 * common forms before it). Nothing is fetched before the first token of that issuer comes.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function jwtBearer(options: JwtBearerOptions): Authenticator {
  return tokenAuthenticator(options)
}

/** A last rule about a token that has passed all others: gives the caller, or throws an `InboundAuthError`. */
export type LastRule = (facts: PrincipalFacts, claims: JsonObject) => PrincipalFacts

/** {@link jwtBearer} with a rule of its own, which is applied before anything is remembered. */
export function tokenAuthenticator(options: JwtBearerOptions, lastRule?: LastRule): Authenticator {
  const rules = checkJwtBearerOptions(options)
  const issuers = Object.freeze([...rules.issuers])
  const policy: Policy = { rules, lastRule, turns: new FairTurns(), scopes: new KnownScopes() }
  return new TokenAuthenticator({
    issuers,
    recognise: (request) => recognise(policy, issuers, request),
    advertise: () => ({
      authorizationServer: rules.keys.issuer ?? issuers[0]!,
      scopes: rules.scopes ?? [],
      ...(rules.dpop ? { dpop: rules.dpop.required ? 'required' : 'accepted' } : {}),
    }),
    judge: {
      limits: rules.cache,
      keys: rules.keys,
      judge: (request, issuer, context, cache) => judge(policy, request, issuer, context, cache),
    },
  })
}

interface Policy {
  readonly rules: JwtBearerRules
  readonly lastRule: LastRule | undefined
  readonly turns: FairTurns
  readonly scopes: KnownScopes
}

function recognise(
  policy: Policy,
  issuers: readonly string[],
  request: InboundRequest,
): Recognition {
  const { rules } = policy
  const jws = request.bearerJws(rules.maxTokenBytes)
  const token = tokenOf(request, rules)
  if (token === undefined || jws === undefined) return { kind: 'absent' }
  if (jws instanceof InboundAuthError) return { kind: 'foreign', error: jws }
  // Equality of strings and nothing else: an iss that is a list, a prefix or another spelling is another issuer.
  const issuer = issuers.find((one) => one === openPayload(jws).iss)
  if (issuer === undefined)
    return foreign('ERR_UNKNOWN_ISSUER', 'no configured issuer has this iss')
  return {
    kind: 'mine',
    issuer,
    authenticate: (context) => {
      const verdict = judge(policy, request, issuer, context)
      return 'then' in verdict ? verdict.then(principalIn) : verdict.principal
    },
  }
}

function principalIn(verdict: Verdict): Principal {
  return verdict.principal
}

/** A token that was recognised, and whose signature is not verified yet. */
interface Presented {
  readonly token: string
  readonly issuer: string
  readonly jws: ParsedJws
  /** As {@link openPayload} gives them. */
  readonly claims: JsonObject
}

/** Verifies in one go where the key is held and its check is synchronous; otherwise waits for what it must. */
function judge(
  policy: Policy,
  request: InboundRequest,
  issuer: string,
  context: AuthenticatorContext,
  cache?: VerifiedCache<Principal>,
): Verdict | Promise<Verdict> {
  const { rules, turns } = policy
  const { keys } = rules
  const { clock } = context
  const jws = request.bearerJws(rules.maxTokenBytes) as ParsedJws // recognised
  const claims = openPayload(jws)
  const presented = { token: tokenOf(request, rules) as string, issuer, jws, claims }
  const check = (key: PublicKey, epoch: number | undefined): Verdict | Promise<Verdict> => {
    const checked = checkSignature(jws, key)
    const verifiedWith = { epoch, cache }
    if (!checked) return accept(policy, presented, clock, verifiedWith)
    return checked.then(() => accept(policy, presented, clock, verifiedWith))
  }
  const key = keyFor(jws, keys, rules.algorithms, clock)
  const judged = isPromise(key)
    ? key.then((found) => {
        // Other keys may have come in since it was found. What was verified with one that is gone is not remembered.
        const held = keys.peek(wantedKey(jws), clock) === found
        const epoch = held ? keys.epoch : undefined
        return turns.run(() => check(found, epoch)) // all who waited for the keys go on at once
      })
    : check(key, keys.epoch)
  // Without a bond, and without a proof of one, there is nothing to prove.
  if (claims.cnf === undefined && request.authorization?.scheme === 'bearer') return judged
  return proved(judged, presented, rules, request, context)
}

/** The verdict, once the sender has proved what the token is bound to: about this request, and never remembered. */
async function proved(
  judged: Verdict | Promise<Verdict>,
  { claims, token }: Presented,
  rules: JwtBearerRules,
  request: InboundRequest,
  context: AuthenticatorContext,
): Promise<Verdict> {
  const { principal } = await judged
  await provePossession(claims, token, request, rules.dpop, context)
  return { principal }
}

/** The verdict on a token whose signature verified; it may be remembered when `epoch` says with which keys. */
function accept(
  policy: Policy,
  presented: Presented,
  clock: Clock,
  { epoch, cache }: { epoch: number | undefined; cache: VerifiedCache<Principal> | undefined },
): Verdict {
  const { rules } = policy
  const { claims, issuer } = presented
  if (rules.keys.issuer !== undefined && rules.keys.issuer !== issuer) {
    throw new InboundAuthError('ERR_UNKNOWN_ISSUER', {
      reason: 'iss differs from the issuer in the discovery document',
    })
  }
  const nowMs = clock()
  // A token that is bound to a key counts only together with a proof, which is another one each time.
  if (epoch === undefined || claims.cnf !== undefined || !cache?.takes(presented.token)) {
    return { principal: principalOf(policy, presented, presented.token, nowMs) }
  }
  const token = cache.own(presented.token)
  const principal = principalOf(policy, presented, token, nowMs)
  const { scopes, audience, actor } = principal
  const bytes = heldBytes(claims) + heldBytes(scopes) + heldBytes(audience) + heldBytes(actor)
  const untilMs = endOf(rules, claims)
  return { principal, remember: { token, sinceMs: nowMs, untilMs, epoch, bytes } }
}

function tokenOf(request: InboundRequest, rules: JwtBearerRules): string | undefined {
  return request.bearerToken ?? (rules.dpop ? request.dpopToken : undefined)
}

/** When a token stops being good, in milliseconds. Its times were read before. */
function endOf({ clockToleranceMs, maxTokenAgeMs }: JwtBearerRules, claims: JsonObject): number {
  const end = Math.floor(Number(claims.exp) * SECOND_MS) + clockToleranceMs
  if (maxTokenAgeMs === undefined) return end
  return Math.min(
    end,
    Math.floor(Number(claims.iat) * SECOND_MS) + maxTokenAgeMs + clockToleranceMs,
  )
}

function principalOf(
  { rules, lastRule, scopes: known }: Policy,
  { jws, claims: open, issuer }: Presented,
  token: string,
  nowMs: number,
): Principal {
  // Functions of the profile may be the application's: they get what nobody can change.
  const { refuse, isClient } = rules.profile
  const isShown = refuse !== undefined || isClient !== undefined || lastRule !== undefined
  const claims = isShown ? jws.payload : open
  refuseOtherTokens(jws.header.typ, claims, rules.profile)
  const clientId = clientOf(claims, rules.profile)
  const ownerless = isOwnWithoutSubject(claims, clientId, rules.profile)
  const registered = readClaims(ownerless ? { ...claims, sub: clientId } : claims, {
    nowMs,
    clockToleranceMs: rules.clockToleranceMs,
    maxTokenAgeMs: rules.maxTokenAgeMs,
  })
  const scopes = scopesOf(claims, rules.profile, known)
  const actor = actorOf(claims)
  applyCallerRules(rules, { audience: registered.audience, clientId, scopes })
  applyClaimRules(rules.customClaims, claims)
  requireBinding(claims, rules.dpop)
  const { subject, audience, expiresAtMs } = registered
  const facts: PrincipalFacts = {
    method: 'jwt',
    issuer,
    subject,
    clientId,
    scopes,
    audience,
    actor,
    claims: isShown ? claims : () => seal(claims), // and not the token's own, which would stay with it
    expiresAtMs,
    user: isOwnToken(claims, subject, clientId, rules.profile) ? undefined : { issuer, subject },
  }
  return makePrincipal(lastRule ? lastRule(facts, claims) : facts, new Secret(token))
}

function foreign(code: 'ERR_TOKEN_TOO_LARGE' | 'ERR_UNKNOWN_ISSUER', reason: string): Recognition {
  return { kind: 'foreign', error: new InboundAuthError(code, { reason }) }
}
