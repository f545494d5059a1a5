import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HOUR_MS } from '../clock.js'
import { checkOptionNames } from '../option-names.js'
import { type ClientAnswer, clientOf, readForm, required, sendJson, words } from './form.js'
import { type Approval, GrantRefusal, Grants } from './grants.js'
import { TokenSigner } from './token-signer.js'

export interface AuthorizationServerOptions {
  /** Default: `agent`. */
  readonly clientId?: string
  /** Default: random. */
  readonly clientSecret?: string
  /** Exact redirect URIs. Default: any on loopback. */
  readonly redirectUris?: readonly string[]
  /** Who signs in when the request has no `login_hint`. Default: `user-1`. */
  readonly user?: string
  /** Audience of access tokens when the request names no `resource` (RFC 8707). Default: `https://api.example`. */
  readonly audience?: string
  /** Lifetime of access tokens in milliseconds, read at every issue. Default: one hour. */
  readonly accessTokenTtlMs?: number | (() => number)
  /** Answers at `/token` and `/revoke`, for a server with ways of its own. `plain` does and gives what this one would. */
  readonly answer?: (form: URLSearchParams, plain: () => ClientAnswer) => ClientAnswer
}

/** A token for whom, for what. */
export interface UserTokenOptions {
  readonly subject: string
  readonly audience: string | readonly string[]
  readonly scopes?: readonly string[]
  /** Default: the server's own client. */
  readonly clientId?: string
  /** Default: the server's `accessTokenTtlMs`. Negative: expired already. */
  readonly ttlMs?: number
  /** Laid over the other claims. */
  readonly claims?: Readonly<Record<string, unknown>>
}

export interface RunningAuthorizationServer {
  /** Such as `http://127.0.0.1:40001`. */
  readonly issuer: string
  readonly discoveryUrl: string
  readonly clientId: string
  readonly clientSecret: string
  /** Every request so far, such as `POST /token`, without the query. */
  readonly requests: string[]
  /** A signed access token as this server issues them, to call your own agent with. */
  userToken(options: UserTokenOptions): string
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A plain authorization server on a free loopback port, for tests and first steps: client credentials, authorization
 * code with PKCE, refresh with rotation, revocation, ES256 access tokens (RFC 9068). Its authorization endpoint has no
 * pages: it signs in whom `login_hint` names and approves by redirect at once; `deny=1` in the query denies. Never for
 * production.
 */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions = {},
): Promise<RunningAuthorizationServer> {
  checkOptionNames(options, 'startAuthorizationServer()', {
    clientId: true,
    clientSecret: true,
    redirectUris: true,
    user: true,
    audience: true,
    accessTokenTtlMs: true,
    answer: true,
  })
  const requests: string[] = []
  const state: { served?: AuthorizationServer } = {}
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${(request.url ?? '').split('?')[0]}`)
    state.served?.handle(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const served = new AuthorizationServer(issuer, options)
  state.served = served

  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {
    issuer,
    discoveryUrl: `${issuer}/.well-known/openid-configuration`,
    clientId: served.clientId,
    clientSecret: served.clientSecret,
    requests,
    userToken: (token) => served.userToken(token),
    close,
    [Symbol.asyncDispose]: close,
  }
}

class AuthorizationServer {
  readonly clientId: string
  readonly clientSecret: string
  readonly #issuer: string
  readonly #options: AuthorizationServerOptions
  readonly #grants = new Grants()
  readonly #signer: TokenSigner

  constructor(issuer: string, options: AuthorizationServerOptions) {
    this.clientId = options.clientId ?? 'agent'
    this.clientSecret = options.clientSecret ?? randomBytes(24).toString('base64url')
    this.#issuer = issuer
    this.#options = options
    this.#signer = new TokenSigner(issuer)
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#issuer)
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /.well-known/openid-configuration':
      case 'GET /.well-known/oauth-authorization-server':
        return sendJson(response, 200, this.#metadata())
      case 'GET /jwks':
        return sendJson(response, 200, this.#signer.jwks())
      case 'GET /authorize':
        return this.#authorize(url.searchParams, response)
      case 'POST /token':
        return this.#asClient(request, response, (form) => this.#token(form))
      case 'POST /revoke':
        return this.#asClient(request, response, (form) => {
          this.#grants.revoke(required(form, 'token'))
          return {}
        })
      default:
        return sendJson(response, 404, { error: 'not_found' })
    }
  }

  userToken(options: UserTokenOptions): string {
    checkOptionNames(
      options,
      'userToken()',
      { subject: true, audience: true, scopes: true, clientId: true, ttlMs: true, claims: true },
      'options such as { subject: "ada", audience: "my-agent" }',
    )
    for (const name of ['subject', 'audience'] as const) {
      if (options[name] === undefined) throw new TypeError(`userToken() needs the option ${name}.`)
    }
    return this.#signer.accessToken({
      clientId: this.clientId,
      scopes: [],
      ttlMs: this.#ttlMs(),
      ...options,
    })
  }

  #metadata(): object {
    return {
      issuer: this.#issuer,
      authorization_endpoint: `${this.#issuer}/authorize`,
      token_endpoint: `${this.#issuer}/token`,
      revocation_endpoint: `${this.#issuer}/revoke`,
      jwks_uri: `${this.#issuer}/jwks`,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'client_credentials', 'refresh_token'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      code_challenge_methods_supported: ['S256'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      authorization_response_iss_parameter_supported: true,
    }
  }

  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const redirectUri = query.get('redirect_uri') ?? ''
    // Without a client and a redirect URI that fit there is nowhere to send the user (RFC 6749 §4.1.2.1).
    if (query.get('client_id') !== this.clientId || !this.#mayRedirectTo(redirectUri)) {
      sendJson(response, 400, { error: 'invalid_request' })
      return
    }
    const state = query.get('state')
    const back = new URL(redirectUri)
    const answer = this.#approve(query, redirectUri)
    for (const [name, value] of Object.entries(answer)) back.searchParams.set(name, value)
    if (state !== null) back.searchParams.set('state', state)
    back.searchParams.set('iss', this.#issuer) // RFC 9207
    response.writeHead(302, { location: back.href, 'cache-control': 'no-store' }).end()
  }

  #approve(query: URLSearchParams, redirectUri: string): Record<string, string> {
    const codeChallenge = query.get('code_challenge')
    if (query.get('response_type') !== 'code') return { error: 'unsupported_response_type' }
    if (query.get('code_challenge_method') !== 'S256' || !codeChallenge) {
      return { error: 'invalid_request', error_description: 'PKCE with S256 is required' }
    }
    if (query.get('deny') === '1') return { error: 'access_denied' }
    const code = this.#grants.issueCode({
      subject: query.get('login_hint') || (this.#options.user ?? 'user-1'),
      scopes: words(query.get('scope')),
      resource: query.get('resource') ?? undefined,
      nonce: query.get('nonce') ?? undefined,
      redirectUri,
      codeChallenge,
    })
    return { code }
  }

  #mayRedirectTo(uri: string): boolean {
    const { redirectUris } = this.#options
    if (redirectUris) return redirectUris.includes(uri)
    if (!URL.canParse(uri)) return false
    return ['127.0.0.1', '[::1]', 'localhost'].includes(new URL(uri).hostname)
  }

  /** Answers a form post of the client: what `work` gives, or an error response. */
  async #asClient(
    request: IncomingMessage,
    response: ServerResponse,
    work: (form: URLSearchParams) => object,
  ): Promise<void> {
    const attempt = (give: () => object): ClientAnswer => {
      try {
        return { status: 200, body: give() }
      } catch (error) {
        if (!(error instanceof GrantRefusal)) throw error
        const { oauthError, status, message } = error
        const headers = status === 401 ? { 'www-authenticate': 'Basic realm="token"' } : {}
        return { status, body: { error: oauthError, error_description: message }, headers }
      }
    }
    const form = await readForm(request).catch((error: unknown) => error as GrantRefusal)
    const plain = () =>
      attempt(() => {
        if (!(form instanceof URLSearchParams)) throw form
        const [id, secret] = clientOf(request, form)
        if (id === this.clientId && secret === this.clientSecret) return work(form)
        throw new GrantRefusal('invalid_client', 'the client id or secret is wrong', 401)
      })
    const { answer } = this.#options
    const readable = answer !== undefined && form instanceof URLSearchParams
    const { status, body, headers } = readable ? answer(form, plain) : plain()
    sendJson(response, status, body, headers)
  }

  #token(form: URLSearchParams): object {
    switch (required(form, 'grant_type')) {
      case 'client_credentials': {
        const approval = { subject: this.clientId, scopes: words(form.get('scope')) }
        return this.#tokenResponse(approval, form)
      }
      case 'authorization_code': {
        const [code, uri] = [required(form, 'code'), required(form, 'redirect_uri')]
        const grant = this.#grants.redeemCode(code, uri, required(form, 'code_verifier'))
        return this.#tokenResponse(grant.approval, form, grant.refreshToken)
      }
      case 'refresh_token': {
        const grant = this.#grants.refresh(required(form, 'refresh_token'))
        return this.#tokenResponse(grant.approval, form, grant.refreshToken)
      }
      default:
        throw new GrantRefusal('unsupported_grant_type', 'no such grant here')
    }
  }

  #tokenResponse(approval: Approval, form: URLSearchParams, refreshToken?: string): object {
    const { subject, nonce } = approval
    // A request may ask for less than was approved (RFC 6749 §6), never for more.
    const asked = form.has('scope') ? words(form.get('scope')) : approval.scopes
    const scopes = asked.filter((scope) => approval.scopes.includes(scope))
    const audience =
      form.get('resource') ?? approval.resource ?? this.#options.audience ?? 'https://api.example'
    const [clientId, ttlMs] = [this.clientId, this.#ttlMs()]
    return {
      access_token: this.#signer.accessToken({ subject, audience, clientId, scopes, ttlMs }),
      token_type: 'Bearer',
      expires_in: Math.floor(ttlMs / 1000),
      scope: scopes.join(' '),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
      ...(refreshToken !== undefined && scopes.includes('openid')
        ? {
            id_token: this.#signer.idToken({
              subject,
              clientId,
              ttlMs,
              ...(nonce === undefined ? {} : { nonce }),
            }),
          }
        : {}),
    }
  }

  #ttlMs(): number {
    const { accessTokenTtlMs = HOUR_MS } = this.#options
    return typeof accessTokenTtlMs === 'function' ? accessTokenTtlMs() : accessTokenTtlMs
  }
}
