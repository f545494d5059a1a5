import { base64url, randomId, sha256, utf8 } from '../bytes.js'
import { ServerResponseError } from '../errors/outbound.js'
import { errorCode } from './refusal.js'
import type { AuthorizationServer } from './server.js'
import { readTokenAnswer, type TokenAnswer } from './token-answer.js'

/** What one authorization request has that the callback must match. `codeVerifier` and `nonce` are secrets. */
export interface AuthorizationRequest {
  readonly url: string
  readonly state: string
  readonly codeVerifier: string
  readonly nonce?: string
}

/**
 * Parameters that the protocol itself sets: an option that named one could turn the request into another.
 * Compared in lower case.
 */
const reserved: ReadonlySet<string> = new Set([
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'redirect_uri',
  'response_type',
  'response_mode',
  'state',
  'nonce',
  'scope',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'grant_type',
  'refresh_token',
  'request',
  'request_uri',
  'resource',
  'dpop_jkt',
  '__proto__',
])

/** Whether an extra parameter may be set by configuration. */
export function isReservedParameter(name: string): boolean {
  return reserved.has(name.toLowerCase())
}

/**
 * Builds an authorization request with PKCE S256, a 256-bit state, and a nonce where `openid` is asked
 * (RFC 6749 §4.1.1, RFC 7636, RFC 9700 §2.1.1).
 *
 * @throws {@link ConfigurationError} {@link NetworkError} {@link ServerResponseError}
 */
export async function startAuthorization(
  server: AuthorizationServer,
  request: {
    readonly scopes: readonly string[]
    readonly redirectUri: string
    readonly resource?: string | undefined
    readonly parameters?: Readonly<Record<string, string>> | undefined
  },
): Promise<AuthorizationRequest> {
  const url = await server.authorizationEndpoint()
  const state = randomId()
  const codeVerifier = randomId()
  const nonce = request.scopes.includes('openid') ? randomId() : undefined
  const set = (name: string, value: string) => url.searchParams.set(name, value)
  for (const [name, value] of Object.entries(request.parameters ?? {})) set(name, value)
  set('response_type', 'code')
  set('client_id', server.options.clientId)
  set('redirect_uri', request.redirectUri)
  if (request.scopes.length > 0) set('scope', request.scopes.join(' '))
  set('state', state)
  set('code_challenge', base64url(await sha256(utf8(codeVerifier))))
  set('code_challenge_method', 'S256')
  if (request.resource !== undefined) set('resource', request.resource)
  if (nonce !== undefined) set('nonce', nonce)
  return { url: url.href, state, codeVerifier, ...(nonce === undefined ? {} : { nonce }) }
}

/** What came back to the redirect URI, once it is known to be in order. */
export type AuthorizationResponse =
  | { readonly kind: 'code'; readonly code: string }
  /** `error` is the server's code, such as `access_denied`. */
  | { readonly kind: 'error'; readonly error: string }
  | { readonly kind: 'invalid'; readonly reason: string }

/**
 * Reads the parameters of a callback: none twice, and `iss` this server's own where it is sent or promised
 * (RFC 9207 §2.4). The state has found the session already.
 *
 * @throws {@link NetworkError} {@link ServerResponseError} The metadata cannot be had.
 */
export async function readAuthorizationResponse(
  server: AuthorizationServer,
  parameters: URLSearchParams,
): Promise<AuthorizationResponse> {
  const { issuer, authorization_response_iss_parameter_supported: promised } =
    await server.metadata()
  for (const name of ['code', 'state', 'iss', 'error']) {
    if (parameters.getAll(name).length > 1) return { kind: 'invalid', reason: `repeated ${name}` }
  }
  for (const name of ['response', 'id_token', 'access_token', 'token']) {
    if (parameters.has(name)) return { kind: 'invalid', reason: `unexpected ${name}` }
  }
  const iss = parameters.get('iss')
  if (iss === null && promised) return { kind: 'invalid', reason: 'missing iss' }
  if (iss !== null && iss !== issuer) return { kind: 'invalid', reason: 'iss of another server' }
  const error = errorCode(parameters.get('error'))
  if (error !== undefined) return { kind: 'error', error }
  const code = parameters.get('code')
  if (code === null || code === '' || code.length > 4096) {
    return { kind: 'invalid', reason: 'missing code' }
  }
  return { kind: 'code', code }
}

/** A redeemed code: the tokens, and who the provider says its user is (OpenID providers). */
export interface RedeemedCode extends TokenAnswer {
  readonly account?: { readonly subject: string; readonly label: string }
}

/**
 * Redeems an authorization code (RFC 6749 §4.1.3). With `nonce`, an ID token is required and its issuer, audience,
 * times and nonce are checked; its signature is not, since it came straight from the server (OIDC Core §3.1.3.7).
 *
 * @throws {@link OAuthRefusedError} {@link NetworkError} {@link ServerResponseError}
 */
export async function redeemCode(
  server: AuthorizationServer,
  request: {
    readonly code: string
    readonly redirectUri: string
    readonly codeVerifier: string
    readonly nonce?: string | undefined
    readonly scopes: readonly string[]
    readonly resource?: string | undefined
  },
): Promise<RedeemedCode> {
  return server.call('token request', async ({ lib, as, client, auth, options }) => {
    // The callback was checked by readAuthorizationResponse(); oauth4webapi takes a code only through its own check.
    const callback = new URLSearchParams({ code: request.code, iss: as.issuer })
    const parameters = lib.validateAuthResponse(as, client, callback, lib.expectNoState)
    const response = await lib.authorizationCodeGrantRequest(
      as,
      client,
      auth,
      parameters,
      request.redirectUri,
      request.codeVerifier,
      {
        ...options,
        ...(request.resource === undefined
          ? {}
          : { additionalParameters: { resource: request.resource } }),
      },
    )
    const answer = await lib.processAuthorizationCodeResponse(as, client, response, {
      expectedNonce: request.nonce ?? lib.expectNoNonce,
      requireIdToken: request.nonce !== undefined,
    })
    const tokens = readTokenAnswer(answer, {
      provider: server.options.name,
      requested: request.scopes,
      renewable: false,
      clock: server.options.clock,
    })
    const claims = lib.getValidatedIdTokenClaims(answer)
    if (claims === undefined) return tokens
    return { ...tokens, account: { subject: claims.sub, label: accountLabel(claims) } }
  })
}

/** What a person would call the account: its e-mail address or user name, else the subject. */
function accountLabel(claims: { readonly sub: string; readonly [claim: string]: unknown }): string {
  for (const value of [claims.email, claims.preferred_username]) {
    if (typeof value === 'string' && /^[\x21-\x7e]{1,254}$/.test(value)) return value
  }
  if (claims.sub.length > 255) {
    throw new ServerResponseError({
      what: 'The ID token',
      detail: 'its sub is longer than 255 characters (OIDC Core §2).',
      reason: 'malformed_id_token',
    })
  }
  return claims.sub
}
