import { checkIssuerUrl, checkUrl } from '../address.js'
import { IDENTITY_TOKEN_PREFIX } from '../aws/signed-identity.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { Fetch } from '../http.js'
import { actorOf } from '../jwt/actor.js'
import { badClaims, DEFAULT_CLOCK_TOLERANCE_MS, identifier, readClaims } from '../jwt/claims.js'
import { MAX_TOKEN_BYTES } from '../jwt/strict-parse.js'
import { type ClientAuthMethod, checkClient } from '../oauth/client-auth.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import { makePrincipal, type Principal } from '../principal.js'
import { Secret, type SecretInput } from '../secret.js'
import { isJsonObject, type JsonObject } from '../strict-json.js'
import {
  clientOf,
  isOwnToken,
  refuseOtherUses,
  refuseUserNames,
  scopesOf,
} from './access-token-claims.js'
import type { Authenticator, Recognition } from './authenticator.js'
import { applyCallerRules, type CallerRules, checkCallers } from './caller-rules.js'
import { applyClaimRules, type ClaimRule, checkClaimRules } from './claim-rules.js'
import { type DpopOptions, DpopVerifier } from './dpop.js'
import { IntrospectionClient } from './introspection-client.js'
import { checkBoolean, checkTransport, inRange, wrong } from './option-checks.js'
import { provePossession, requireBinding } from './possession.js'

/** How opaque tokens are judged, and which are accepted. Fields are ANDed, lists are any-of. */
export interface IntrospectionOptions {
  /** Whose tokens these are; an `iss` in the answer must be this one. */
  readonly issuer: string
  /** Default: what the issuer's metadata says. */
  readonly introspectionEndpoint?: string | undefined
  /** As whom to ask. */
  readonly clientId: string
  readonly clientSecret: SecretInput
  /** How the client authenticates at the introspection endpoint. Default `client_secret_basic`. */
  readonly clientAuth?: Exclude<ClientAuthMethod, 'none'> | undefined
  /** `aud` must hold one of these. `null`: not looked at; then `allowedClients` is required. */
  readonly allowedAudience: readonly string[] | null
  readonly allowedClients?: readonly string[] | undefined
  /** The token must have one of these scopes. */
  readonly allowedScopes?: readonly string[] | undefined
  /** Rules about members of the answer; every rule must hold. */
  readonly customClaims?: readonly ClaimRule[] | undefined
  /**
   * The member of the answer that names the user, such as `username`, for a server that gives no `sub`. It takes the place
   * of `sub` in every answer, also in those that have one, so that no user is known by two names. Then no `jwtBearer` of
   * the same issuer can stand beside.
   */
  readonly subjectClaim?: string | undefined
  /**
   * `'client'`: a token whose answer names no user is the client's own, and the principal has no `user`. Default: it is
   * refused, since RFC 7662 lets a server leave out whose token it is. An answer that has a `username`,
   * `preferred_username`, `user_name`, `user_id`, `email` or `upn` is refused all the same.
   */
  readonly tokensWithoutSubject?: 'client' | undefined
  /** How long an answer serves again. Milliseconds, 0 to 60 000; default 10 000. A token revoked meanwhile is still accepted. */
  readonly cacheMs?: number | undefined
  /** Accepts an answer that does not say what kind of token it is: for servers that never tell a refresh token active here. */
  readonly allowUntypedTokens?: boolean | undefined
  /** Accepts tokens bound to a DPoP key, with a proof. */
  readonly dpop?: DpopOptions | undefined
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

const known: KnownOptions<IntrospectionOptions> = {
  issuer: true,
  introspectionEndpoint: true,
  clientId: true,
  clientSecret: true,
  clientAuth: true,
  allowedAudience: true,
  allowedClients: true,
  allowedScopes: true,
  customClaims: true,
  subjectClaim: true,
  tokensWithoutSubject: true,
  cacheMs: true,
  allowUntypedTokens: true,
  dpop: true,
  allowInsecureLoopback: true,
  fetch: true,
}

const DEFAULT_CACHE_MS = 10 * SECOND_MS
const MAX_CACHE_MS = MINUTE_MS
/** Stands for an `exp` that is not told: the end of the year 9999, in seconds. */
const NO_EXPIRY = 253_402_300_799

interface Rules extends CallerRules {
  readonly issuer: string
  readonly customClaims: readonly ClaimRule[]
  readonly allowUntypedTokens: boolean
  readonly subjectClaim: string
  readonly clientTokens: boolean
}

/**
 * Accepts opaque access tokens by asking their issuer ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). It stands
 * beside `jwtBearer`, for the same issuer or another: whatever looks like a JWT is never sent. One a verifier, since an
 * opaque token does not say whose it is.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function introspection(options: IntrospectionOptions): Authenticator {
  checkOptionNames(options, 'introspection()', known)
  checkTransport(options)
  checkBoolean('allowUntypedTokens', options.allowUntypedTokens)
  const { fetch, allowInsecureLoopback, introspectionEndpoint, customClaims } = options
  const loopback = allowInsecureLoopback ?? false
  const asking = checkClient(options)
  if (asking.clientAuth === 'none') {
    throw new TypeError(
      'introspection() needs a clientSecret: its endpoint answers only clients that authenticate (RFC 7662 §2.1).',
    )
  }
  const rules: Rules = {
    issuer: checkIssuerUrl(options.issuer, 'issuer', loopback),
    ...checkCallers(options),
    customClaims: customClaims === undefined ? [] : checkClaimRules(customClaims, 'customClaims'),
    allowUntypedTokens: options.allowUntypedTokens ?? false,
    ...checkSubjects(options),
  }
  const client = new IntrospectionClient({
    issuer: rules.issuer,
    endpoint:
      introspectionEndpoint === undefined
        ? undefined
        : checkUrl(introspectionEndpoint, 'introspectionEndpoint', loopback),
    client: asking,
    cacheMs: inRange('cacheMs', options.cacheMs ?? DEFAULT_CACHE_MS, 0, MAX_CACHE_MS),
    allowInsecureLoopback,
    fetch,
  })
  const dpop =
    options.dpop === undefined
      ? undefined
      : new DpopVerifier(options.dpop, DEFAULT_CLOCK_TOLERANCE_MS)
  return Object.freeze({
    name: 'introspection' as const,
    // Users by another name must not meet those that a JWT of the issuer names by sub.
    ...(rules.subjectClaim === 'sub' ? {} : { issuers: Object.freeze([rules.issuer]) }),
    recognise: (request): Recognition => {
      const token = request.bearerToken ?? (dpop ? request.dpopToken : undefined)
      if (token === undefined || hasForm(token)) return { kind: 'absent' }
      if (token.length > MAX_TOKEN_BYTES) {
        const reason = `the token is longer than ${MAX_TOKEN_BYTES} bytes`
        return { kind: 'foreign', error: new InboundAuthError('ERR_TOKEN_TOO_LARGE', { reason }) }
      }
      return {
        kind: 'mine',
        issuer: rules.issuer,
        authenticate: async (context) => {
          const claims = await client.ask(token, context.clock)
          const principal = judge(rules, claims, token, context.clock())
          requireBinding(claims, dpop)
          await provePossession(claims, token, request, dpop, context)
          return principal
        },
      }
    },
    advertise: () => ({
      authorizationServer: rules.issuer,
      scopes: rules.scopes ?? [],
      ...(dpop ? { dpop: dpop.required ? 'required' : 'accepted' } : {}),
    }),
  } satisfies Authenticator)
}

/**
 * Whether a token has a form of its own, sound or not, and is no opaque one: three segments, of which the first begins
 * as the base64url of a JSON object does, or a signed AWS identity. Whoever it is for, the issuer asked here must not
 * see it.
 */
function hasForm(token: string): boolean {
  return /^e[w-z0-9_-][^.]*\.[^.]*\.[^.]*$/.test(token) || token.startsWith(IDENTITY_TOKEN_PREFIX)
}

function judge(rules: Rules, claims: JsonObject, token: string, nowMs: number): Principal {
  refuseOtherKinds(claims, rules.allowUntypedTokens)
  const { issuer } = rules
  if (claims.iss !== undefined && claims.iss !== issuer) {
    throw new InboundAuthError('ERR_UNKNOWN_ISSUER', { reason: 'iss is another issuer' })
  }
  const clientId = clientOf(claims, { clientClaims: ['client_id'] })
  const { subject, user } = subjectOf(rules, claims, clientId)
  const { audience, expiresAtMs } = readClaims(
    { exp: NO_EXPIRY, ...claims, sub: subject },
    { nowMs },
  )
  const scopes = scopesOf(claims, { scopeClaims: ['scope'] })
  const actor = actorOf(claims)
  applyCallerRules(rules, { audience, clientId, scopes })
  applyClaimRules(rules.customClaims, claims)
  return makePrincipal(
    {
      method: 'introspection',
      issuer,
      subject,
      ...(clientId === undefined ? {} : { clientId }),
      scopes,
      audience,
      ...(actor ? { actor } : {}),
      claims,
      ...(claims.exp === undefined ? {} : { expiresAtMs }),
      ...(user ? { user: { issuer, subject } } : {}),
    },
    new Secret(token),
  )
}

interface Subject {
  readonly subject: string
  /** Whether the subject is a user, and not the client itself. */
  readonly user: boolean
}

/** Whose token it is. RFC 7662 §2.2 requires `active` alone: what is not told is not guessed. */
function subjectOf(rules: Rules, claims: JsonObject, clientId: string | undefined): Subject {
  const { subjectClaim, clientTokens } = rules
  const named = claims[subjectClaim]
  if (named !== undefined) {
    const subject = identifier(named, subjectClaim)
    // What `sub` says of a client (RFC 9068 §2.2) another member does not: a user may be named like the client.
    const own = subjectClaim === 'sub' && isOwnToken(claims, subject, clientId)
    return { subject, user: !own }
  }
  if (!clientTokens) {
    throw badClaims(
      `the answer has no ${subjectClaim}, so that nobody knows whose token it is: set subjectClaim to the member that names the user, or tokensWithoutSubject: 'client' if such tokens are the clients' own`,
    )
  }
  refuseUserNames(claims)
  const { sub } = claims
  if (sub !== undefined && sub !== clientId) {
    throw badClaims(
      `the answer has no ${subjectClaim}, but sub names a user: a client's own token has neither`,
    )
  }
  if (clientId === undefined)
    throw badClaims(`the answer has neither ${subjectClaim} nor client_id`)
  return { subject: clientId, user: false }
}

/** A server tells refresh tokens active, too: the answer must say in some words that this is an access token. */
function refuseOtherKinds(claims: JsonObject, allowUntyped: boolean): void {
  refuseOtherUses(claims)
  const type = claims.token_type
  const name = typeof type === 'string' ? type.toLowerCase() : undefined
  if (name === 'dpop' && !(isJsonObject(claims.cnf) && claims.cnf.jkt !== undefined)) {
    throw new InboundAuthError('ERR_PROOF_REQUIRED', {
      reason:
        'token_type is DPoP, and the answer does not say to which key the token is bound (cnf.jkt)',
    })
  }
  const named =
    (name !== undefined && ['bearer', 'dpop', 'access_token'].includes(name)) ||
    (type === undefined && (claims.token_use !== undefined || claims.typ !== undefined))
  if (named || (type === undefined && allowUntyped)) return
  throw new InboundAuthError('ERR_TOKEN_TYPE', {
    reason: 'the answer does not say that this is an access token (token_type)',
  })
}

function checkSubjects(
  options: IntrospectionOptions,
): Pick<Rules, 'subjectClaim' | 'clientTokens'> {
  const { subjectClaim = 'sub', tokensWithoutSubject } = options
  if (typeof subjectClaim !== 'string' || subjectClaim === '' || subjectClaim === 'client_id') {
    throw wrong('subjectClaim', subjectClaim, 'must be the name of the member that names the user')
  }
  if (tokensWithoutSubject !== undefined && tokensWithoutSubject !== 'client') {
    throw wrong('tokensWithoutSubject', tokensWithoutSubject, 'must be "client", or left out')
  }
  return { subjectClaim, clientTokens: tokensWithoutSubject === 'client' }
}
