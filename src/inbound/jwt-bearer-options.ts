import { checkIssuerUrl, checkUrl } from '../address.js'
import { MINUTE_MS } from '../clock.js'
import { issuersOf, metadataUrls } from '../discovery.js'
import type { Fetch } from '../http.js'
import { isJwsAlgorithm, type JwsAlgorithm, jwsAlgorithms } from '../jwt/algorithm.js'
import { DEFAULT_CLOCK_TOLERANCE_MS, MAX_CLOCK_TOLERANCE_MS } from '../jwt/claims.js'
import { type HeldKeys, type JsonWebKeySet, KeyList } from '../jwt/key-list.js'
import { KeySet } from '../jwt/key-set.js'
import { MAX_TOKEN_BYTES } from '../jwt/strict-parse.js'
import { type CacheLimits, DEFAULT_CACHE } from '../jwt/verified-cache.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import { type CallerRules, checkCallers } from './caller-rules.js'
import { type ClaimRule, checkClaimRules } from './claim-rules.js'
import { type DpopOptions, DpopVerifier } from './dpop.js'
import { checkIssuer, checkStrings, checkTransport, inRange, wrong } from './option-checks.js'
import { MAX_BEARER_BYTES } from './request.js'
import { checkProfile, type TokenProfile } from './token-profile.js'

/** The longest that a verified token may count without a look at its signature. */
const MAX_CACHE_AGE_MS = 5 * MINUTE_MS

/**
 * Which access tokens are accepted. Fields are ANDed, lists are any-of. Keys come from `jwks`, `jwksUri`, or the
 * metadata at `discoveryUrl`, or, with `issuer` alone, at its well-known places.
 */
export interface JwtBearerOptions {
  /**
   * `iss`, compared letter by letter. May be left out with a well-known `discoveryUrl`. A list, for one issuer of several
   * names, needs `jwksUri` or `jwks`; clients are told the first.
   */
  readonly issuer?: string | readonly string[] | undefined
  /** Where the issuer's OpenID Connect or RFC 8414 metadata is. */
  readonly discoveryUrl?: string | undefined
  /** Where the issuer's keys are; needs `issuer`. */
  readonly jwksUri?: string | undefined
  /** The issuer's keys themselves; needs `issuer`. */
  readonly jwks?: JsonWebKeySet | undefined
  /** `aud` must hold one of these. `null`: not looked at, for issuers without `aud`; then `allowedClients` is required. */
  readonly allowedAudience: readonly string[] | null
  /** The client (`client_id`, else `azp`) must be one of these. */
  readonly allowedClients?: readonly string[] | undefined
  /** The token must have one of these scopes. */
  readonly allowedScopes?: readonly string[] | undefined
  /** Every rule must hold. */
  readonly customClaims?: readonly ClaimRule[] | undefined
  /** How the issuer writes its tokens. Default: RFC 9068, and the common forms before it. */
  readonly profile?: TokenProfile | undefined
  /**
   * Accepts tokens bound to a DPoP key, with a proof. Without it they are refused. `{}` for the defaults. Tokens bound to a
   * client certificate need no option: `RawRequest.clientCertificateThumbprint` proves them.
   */
  readonly dpop?: DpopOptions | undefined
  /** Default: all of RS, PS and ES with 256, 384 and 512, EdDSA and Ed25519. */
  readonly algorithms?: readonly JwsAlgorithm[] | undefined
  /** How far the issuer's clock may differ. Milliseconds, 0 to 300 000; default 30 000. */
  readonly clockToleranceMs?: number | undefined
  /** How long ago the token may have been issued. Milliseconds, above 0; default: any time. */
  readonly maxTokenAgeMs?: number | undefined
  /** Default 16 384, at most 131 072. */
  readonly maxTokenBytes?: number | undefined
  /**
   * A token that was verified counts for a while without its signature being checked again; its `exp`, `nbf` and the
   * issuer's keys are looked at each time. At most 60 seconds (`maxAgeMs`, up to 300 000) from the verification,
   * 10 000 tokens (`maxTokens`) and 32 MiB (`maxBytes`). `false`: never, and no token is kept in memory.
   */
  readonly cache?: false | Partial<CacheLimits> | undefined
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

/** {@link JwtBearerOptions}, checked and copied. */
export interface JwtBearerRules extends CallerRules {
  /** What `iss` may be before discovery has told: one issuer, or one without and with a trailing slash. */
  readonly issuers: readonly string[]
  readonly keys: HeldKeys & { readonly issuer?: string | undefined }
  readonly customClaims: readonly ClaimRule[]
  readonly profile: TokenProfile
  readonly dpop: DpopVerifier | undefined
  readonly algorithms: readonly JwsAlgorithm[]
  readonly clockToleranceMs: number
  readonly maxTokenAgeMs: number | undefined
  readonly maxTokenBytes: number
  readonly cache: CacheLimits | undefined
}

const known: KnownOptions<JwtBearerOptions> = {
  issuer: true,
  discoveryUrl: true,
  jwksUri: true,
  jwks: true,
  allowedAudience: true,
  allowedClients: true,
  allowedScopes: true,
  customClaims: true,
  profile: true,
  dpop: true,
  algorithms: true,
  clockToleranceMs: true,
  maxTokenAgeMs: true,
  maxTokenBytes: true,
  cache: true,
  allowInsecureLoopback: true,
  fetch: true,
}

/** @throws `TypeError` naming the option and its value. */
export function checkJwtBearerOptions(options: JwtBearerOptions): JwtBearerRules {
  checkOptionNames(options, 'jwtBearer()', known)
  checkTransport(options)
  const clockToleranceMs = inRange(
    'clockToleranceMs',
    options.clockToleranceMs ?? DEFAULT_CLOCK_TOLERANCE_MS,
    0,
    MAX_CLOCK_TOLERANCE_MS,
  )
  return {
    ...checkSource(options),
    ...checkCallers(options),
    customClaims:
      options.customClaims === undefined
        ? []
        : checkClaimRules(options.customClaims, 'customClaims'),
    profile: checkProfile(options.profile),
    dpop: options.dpop === undefined ? undefined : new DpopVerifier(options.dpop, clockToleranceMs),
    algorithms: checkAlgorithms(options.algorithms),
    clockToleranceMs,
    maxTokenAgeMs:
      options.maxTokenAgeMs === undefined
        ? undefined
        : inRange('maxTokenAgeMs', options.maxTokenAgeMs, 1, Number.MAX_SAFE_INTEGER),
    maxTokenBytes: inRange(
      'maxTokenBytes',
      options.maxTokenBytes ?? MAX_TOKEN_BYTES,
      1,
      MAX_BEARER_BYTES,
    ),
    cache: checkCache(options.cache),
  }
}

function checkCache(cache: JwtBearerOptions['cache']): CacheLimits | undefined {
  if (cache === false) return undefined
  if (cache !== undefined && (typeof cache !== 'object' || cache === null)) {
    throw wrong('cache', cache, 'must be false, or { maxTokens?, maxBytes?, maxAgeMs? }')
  }
  if (cache !== undefined) {
    checkOptionNames(cache, 'cache', { maxTokens: true, maxBytes: true, maxAgeMs: true })
  }
  const { maxTokens, maxBytes, maxAgeMs } = { ...DEFAULT_CACHE, ...cache }
  return {
    maxTokens: inRange('cache.maxTokens', maxTokens, 2, 1_000_000),
    maxBytes: inRange('cache.maxBytes', maxBytes, 0, Number.MAX_SAFE_INTEGER),
    maxAgeMs: inRange('cache.maxAgeMs', maxAgeMs, 1, MAX_CACHE_AGE_MS),
  }
}

function checkSource(options: JwtBearerOptions): Pick<JwtBearerRules, 'issuers' | 'keys'> {
  const { discoveryUrl, jwksUri, jwks, fetch, allowInsecureLoopback } = options
  const issuers = checkIssuers(options.issuer)
  const sources = Object.entries({ discoveryUrl, jwksUri, jwks }).filter((s) => s[1] !== undefined)
  if (sources.length > 1) {
    throw new TypeError(`${sources.map((s) => s[0]).join(' and ')} exclude each other; give one.`)
  }
  const documents = { fetch, allowInsecureLoopback }
  const loopback = allowInsecureLoopback ?? false
  if (jwks !== undefined) {
    return { issuers: required(issuers, 'jwks'), keys: KeyList.fromOptions(jwks, 'jwks') }
  }
  if (jwksUri !== undefined) {
    const source = { jwksUri: checkUrl(jwksUri, 'jwksUri', loopback) }
    return { issuers: required(issuers, 'jwksUri'), keys: new KeySet(source, documents) }
  }
  if (issuers && issuers.length > 1) {
    throw new TypeError('issuer is a list; then jwksUri or jwks is required.')
  }
  if (discoveryUrl !== undefined) {
    checkUrl(discoveryUrl, 'discoveryUrl', loopback)
    const spelled = issuers ?? issuersOf(discoveryUrl)
    if (spelled.length === 0) {
      throw wrong(
        'discoveryUrl',
        discoveryUrl,
        'is not a well-known address, so that it needs issuer',
      )
    }
    const source = { discoveryUrls: [discoveryUrl], issuers: spelled }
    return { issuers: spelled, keys: new KeySet(source, documents) }
  }
  if (issuers === undefined) {
    throw new TypeError('issuer is missing. Give issuer, or discoveryUrl.')
  }
  const discoveryUrls = metadataUrls(checkIssuerUrl(issuers[0], 'issuer', loopback))
  return { issuers, keys: new KeySet({ discoveryUrls, issuers }, documents) }
}

function checkIssuers(issuer: unknown): readonly string[] | undefined {
  if (issuer === undefined) return undefined
  if (Array.isArray(issuer)) {
    return checkStrings('issuer', issuer).map((one) => checkIssuer('issuer', one))
  }
  return [checkIssuer('issuer', issuer)]
}

function required(issuers: readonly string[] | undefined, by: string): readonly string[] {
  if (issuers === undefined) throw new TypeError(`issuer is missing; ${by} needs it.`)
  return issuers
}

function checkAlgorithms(value: unknown): readonly JwsAlgorithm[] {
  if (value === undefined) return jwsAlgorithms
  if (!Array.isArray(value) || value.length === 0) {
    throw wrong('algorithms', value, 'must be a list of at least one algorithm')
  }
  for (const alg of value) {
    if (!isJwsAlgorithm(alg)) {
      throw wrong('algorithms', alg, `must hold some of ${jwsAlgorithms.join(', ')}`)
    }
  }
  return Object.freeze([...(value as JwsAlgorithm[])])
}
