import { base64url, randomId, sha256, utf8 } from '../bytes.js'
import { type Account, fitsTemplate, readIdToken } from './id-token.js'
import { errorCode } from './refusal.js'
import { giveBack } from './revoke.js'
import { writeScopes } from './scopes.js'
import type { AuthorizationServer } from './server.js'
import { looseTokens, readTokenAnswer, type TokenAnswer } from './token-answer.js'
import { requestToken } from './token-request.js'

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
    /** What the server wants to know of the user besides. It takes the place of a parameter of that name. */
    readonly claims?: string | undefined
    readonly parameters?: Readonly<Record<string, string>> | undefined
  },
): Promise<AuthorizationRequest> {
  const url = await server.authorizationEndpoint()
  const state = randomId()
  const codeVerifier = randomId()
  const { idTokenNonce = true } = server.options
  const nonce = idTokenNonce && request.scopes.includes('openid') ? randomId() : undefined
  const set = (name: string, value: string) => url.searchParams.set(name, value)
  for (const [name, value] of Object.entries(request.parameters ?? {})) set(name, value)
  set('response_type', 'code')
  set('client_id', server.options.clientId)
  set('redirect_uri', request.redirectUri)
  if (request.scopes.length > 0) set('scope', writeScopes(request.scopes, server.options))
  set('state', state)
  set('code_challenge', base64url(await sha256(utf8(codeVerifier))))
  set('code_challenge_method', 'S256')
  if (request.resource !== undefined) set('resource', request.resource)
  if (request.claims !== undefined) set('claims', request.claims)
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
  const { issuerTemplate } = server.options
  const ours = issuerTemplate === undefined ? iss === issuer : fitsTemplate(iss, issuerTemplate)
  if (iss !== null && !ours) return { kind: 'invalid', reason: 'iss of another server' }
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
  readonly account?: Account
}

/**
 * Redeems an authorization code (RFC 6749 §4.1.3). Where `openid` was asked, an ID token is required and checked; one that
 * nobody asked for is ignored. Of an answer that is not in order nothing is kept, and its tokens are given back: a nonce of
 * another request means a code that was slipped in.
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
  const { code, redirectUri, codeVerifier, nonce, scopes, resource } = request
  const { options } = server
  const parameters = { code, redirect_uri: redirectUri, code_verifier: codeVerifier, resource }
  return requestToken(
    server,
    { what: 'token request', grantType: 'authorization_code', parameters },
    async (answer, call) => {
      try {
        const tokens = readTokenAnswer(answer, {
          dialect: options,
          requested: scopes,
          renewable: false,
          clock: options.clock,
        })
        if (nonce === undefined && !scopes.includes('openid')) return tokens
        return { ...tokens, account: await readIdToken(answer, call, options, nonce) }
      } catch (error) {
        await giveBack(server, looseTokens(answer))
        throw error
      }
    },
  )
}
