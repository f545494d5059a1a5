import { isWellFormed } from '../bytes.js'
import { MINUTE_MS } from '../clock.js'
import { printable } from '../errors/base.js'
import { describeUrl, type Fetch, refuseUrl } from '../http.js'
import { isJwsAlgorithm, type JwsAlgorithm, jwsAlgorithms } from '../jwt/algorithm.js'
import { DEFAULT_CLOCK_TOLERANCE_MS, MAX_CLOCK_TOLERANCE_MS } from '../jwt/claims.js'
import { issuersOf, metadataUrls } from '../jwt/discovery.js'
import { type HeldKeys, type JsonWebKeySet, KeyList } from '../jwt/key-list.js'
import { KeySet } from '../jwt/key-set.js'
import { MAX_TOKEN_BYTES } from '../jwt/strict-parse.js'
import { type CacheLimits, DEFAULT_CACHE } from '../jwt/verified-cache.js'
import { type ClaimRule, checkClaimRules } from './claim-rules.js'
import { MAX_BEARER_BYTES } from './request.js'

/** The longest that a verified token may count without a look at its signature. */
const MAX_CACHE_AGE_MS = 5 * MINUTE_MS

/**
 * Which access tokens are accepted. Fields are ANDed, lists are any-of. Keys come from `jwks`, `jwksUri`, or the
 * metadata at `discoveryUrl`, or, with `issuer` alone, at its well-known places.
 */
export interface JwtBearerOptions {
  /** `iss`, compared letter by letter. May be left out with a well-known `discoveryUrl`. */
  readonly issuer?: string | undefined
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
  /** Default: all of RS, PS and ES with 256, 384 and 512, and EdDSA. */
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
export interface JwtBearerRules {
  /** What `iss` may be before discovery has told: one issuer, or one without and with a trailing slash. */
  readonly issuers: readonly string[]
  readonly keys: HeldKeys & { readonly issuer?: string | undefined }
  readonly audience: readonly string[] | undefined
  readonly clients: readonly string[] | undefined
  readonly scopes: readonly string[] | undefined
  readonly customClaims: readonly ClaimRule[]
  readonly algorithms: readonly JwsAlgorithm[]
  readonly clockToleranceMs: number
  readonly maxTokenAgeMs: number | undefined
  readonly maxTokenBytes: number
  readonly cache: CacheLimits | undefined
}

const known: Record<keyof JwtBearerOptions, true> = {
  issuer: true,
  discoveryUrl: true,
  jwksUri: true,
  jwks: true,
  allowedAudience: true,
  allowedClients: true,
  allowedScopes: true,
  customClaims: true,
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
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('jwtBearer takes an object of options.')
  }
  for (const name of Object.keys(options)) {
    // A misspelled rule would be a rule that is never applied.
    if (!Object.hasOwn(known, name)) {
      throw new TypeError(
        `jwtBearer has no option "${printable(name)}". Known: ${Object.keys(known).join(', ')}.`,
      )
    }
  }
  const { allowInsecureLoopback, fetch } = options
  if (allowInsecureLoopback !== undefined && typeof allowInsecureLoopback !== 'boolean') {
    throw wrong('allowInsecureLoopback', allowInsecureLoopback, 'must be true or false')
  }
  if (fetch !== undefined && typeof fetch !== 'function') {
    throw wrong('fetch', fetch, 'must be a function with the type of fetch')
  }
  return {
    ...checkSource(options),
    ...checkCallers(options),
    scopes: checkScopes(options.allowedScopes),
    customClaims:
      options.customClaims === undefined
        ? []
        : checkClaimRules(options.customClaims, 'customClaims'),
    algorithms: checkAlgorithms(options.algorithms),
    clockToleranceMs: inRange(
      'clockToleranceMs',
      options.clockToleranceMs ?? DEFAULT_CLOCK_TOLERANCE_MS,
      0,
      MAX_CLOCK_TOLERANCE_MS,
    ),
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
  for (const name of Object.keys(cache ?? {})) {
    if (!Object.hasOwn(DEFAULT_CACHE, name)) {
      throw new TypeError(
        `cache has no option "${printable(name)}". Known: ${Object.keys(DEFAULT_CACHE).join(', ')}.`,
      )
    }
  }
  const { maxTokens, maxBytes, maxAgeMs } = { ...DEFAULT_CACHE, ...cache }
  return {
    maxTokens: inRange('cache.maxTokens', maxTokens, 2, 1_000_000),
    maxBytes: inRange('cache.maxBytes', maxBytes, 0, Number.MAX_SAFE_INTEGER),
    maxAgeMs: inRange('cache.maxAgeMs', maxAgeMs, 1, MAX_CACHE_AGE_MS),
  }
}

function checkSource(options: JwtBearerOptions): Pick<JwtBearerRules, 'issuers' | 'keys'> {
  const { issuer, discoveryUrl, jwksUri, jwks, fetch, allowInsecureLoopback } = options
  if (issuer !== undefined && (typeof issuer !== 'string' || !issuer || !isWellFormed(issuer))) {
    throw wrong('issuer', issuer, 'must be the exact iss of the tokens')
  }
  const sources = Object.entries({ discoveryUrl, jwksUri, jwks }).filter((s) => s[1] !== undefined)
  if (sources.length > 1) {
    throw new TypeError(`${sources.map((s) => s[0]).join(' and ')} exclude each other; give one.`)
  }
  const documents = { fetch, allowInsecureLoopback }
  const loopback = allowInsecureLoopback ?? false
  if (jwks !== undefined) {
    return { issuers: [required(issuer, 'jwks')], keys: KeyList.fromOptions(jwks, 'jwks') }
  }
  if (jwksUri !== undefined) {
    const source = { jwksUri: checkUrl('jwksUri', jwksUri, loopback) }
    return { issuers: [required(issuer, 'jwksUri')], keys: new KeySet(source, documents) }
  }
  if (discoveryUrl !== undefined) {
    checkUrl('discoveryUrl', discoveryUrl, loopback)
    const issuers = issuer === undefined ? issuersOf(discoveryUrl) : [issuer]
    if (issuers.length === 0) {
      throw wrong(
        'discoveryUrl',
        discoveryUrl,
        'is not a well-known address, so that it needs issuer',
      )
    }
    return { issuers, keys: new KeySet({ discoveryUrls: [discoveryUrl], issuers }, documents) }
  }
  if (issuer === undefined) {
    throw new TypeError('issuer is missing. Give issuer, or discoveryUrl.')
  }
  const { search, hash } = new URL(checkUrl('issuer', issuer, loopback))
  if (search || hash)
    throw wrong('issuer', issuer, 'must have no query and no fragment (RFC 8414 §2)')
  const source = { discoveryUrls: metadataUrls(issuer), issuers: [issuer] }
  return { issuers: [issuer], keys: new KeySet(source, documents) }
}

function required(issuer: string | undefined, by: string): string {
  if (issuer === undefined) throw new TypeError(`issuer is missing; ${by} needs it.`)
  return issuer
}

function checkUrl(option: string, value: unknown, allowInsecureLoopback: boolean): string {
  if (typeof value !== 'string' || !URL.canParse(value)) {
    throw wrong(option, value, 'must be an absolute URL')
  }
  const url = new URL(value)
  const refusal = refuseUrl(url, allowInsecureLoopback)
  if (refusal) throw new TypeError(`${option} "${describeUrl(url)}" ${refusal}`)
  return value
}

function checkCallers(options: JwtBearerOptions): Pick<JwtBearerRules, 'audience' | 'clients'> {
  const { allowedAudience, allowedClients } = options
  const clients =
    allowedClients === undefined ? undefined : checkStrings('allowedClients', allowedClients)
  if (allowedAudience === null) {
    if (clients) return { audience: undefined, clients }
    throw new TypeError('allowedAudience is null; then allowedClients is required.')
  }
  if (allowedAudience === undefined) {
    throw new TypeError(
      'allowedAudience is missing. Name the audience of this service; for an issuer whose tokens have none, give allowedClients and allowedAudience: null.',
    )
  }
  return { audience: checkStrings('allowedAudience', allowedAudience), clients }
}

function checkStrings(option: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw wrong(option, value, 'must be a list of at least one string')
  }
  for (const one of value) {
    if (typeof one !== 'string' || one === '') {
      throw wrong(option, one, 'must hold strings that are not empty')
    }
  }
  return Object.freeze([...(value as string[])])
}

function checkScopes(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined
  const scopes = checkStrings('allowedScopes', value)
  for (const scope of scopes) {
    // scope-token, RFC 6749 §3.3: it also stands in quotes in our challenge.
    if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) {
      throw wrong('allowedScopes', scope, 'must hold scopes of RFC 6749 §3.3')
    }
  }
  return scopes
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

function inRange(option: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw wrong(option, value, `must be a number from ${min} to ${max}`)
  }
  return value
}

function wrong(option: string, value: unknown, rule: string): TypeError {
  const shown = typeof value === 'string' ? `"${printable(value)}"` : printable(String(value))
  return new TypeError(`${option} ${rule}; got ${shown}.`)
}
