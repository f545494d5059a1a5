/** A real OpenID provider (the package oidc-provider) on a free loopback port, for examples and tests. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type Provider from 'oidc-provider'

/** Client metadata as the provider takes it: OpenID Connect Dynamic Client Registration 1.0 §2. */
export interface OpenIdClient {
  readonly client_id: string
  readonly client_secret?: string
  readonly redirect_uris?: readonly string[]
  readonly grant_types?: readonly string[]
  readonly response_types?: readonly string[]
  readonly token_endpoint_auth_method?: string
  readonly [metadata: string]: unknown
}

/** A resource server: an audience, and the scopes that a token for it may carry. */
export interface ResourceServer {
  readonly scopes: readonly string[]
  /** `opaque` tokens say nothing to who holds them and are judged by introspection. Default: `jwt`. */
  readonly accessTokenFormat?: 'jwt' | 'opaque'
}

export interface OpenIdProviderOptions {
  readonly clients: readonly OpenIdClient[]
  /** Claims of a user besides `sub`. Every login is accepted, and `sub` is what was typed. */
  readonly users?: (login: string) => Readonly<Record<string, unknown>>
  /** OpenID scopes beyond `openid` and `offline_access`. */
  readonly scopes?: readonly string[]
  /** By resource indicator (RFC 8707), which is also the audience of its access tokens. */
  readonly resourceServers?: Readonly<Record<string, ResourceServer>>
  /** The resource of requests that name none. Default: the first of `resourceServers`; none: opaque tokens. */
  readonly defaultResource?: string
  /** Seconds, read at every issue. Default: 3600. */
  readonly accessTokenTtlSeconds?: number | (() => number)
  /** `always`, or only when the scope offline_access was granted (which needs `prompt=consent`). Default: `offline_access`. */
  readonly refreshTokens?: 'always' | 'offline_access'
  /** Further provider configuration, laid over this file's; `features` is merged one level deep. */
  readonly configuration?: Readonly<Record<string, unknown>>
}

export interface RunningOpenIdProvider {
  readonly issuer: string
  /** Every request so far, such as `POST /token`, without the query. */
  readonly requests: string[]
  readonly provider: Provider
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts it. Clients may register `http://127.0.0.1:…` redirect URIs as they are: the provider asks https of web
 * clients for the implicit flow only. Refresh tokens rotate, and a spent one ends its whole family.
 */
export async function startOpenIdProvider(
  options: OpenIdProviderOptions,
): Promise<RunningOpenIdProvider> {
  const requests: string[] = []
  let serve: ((request: IncomingMessage, response: ServerResponse) => unknown) | undefined
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${(request.url ?? '').split('?')[0]}`)
    serve?.(request, response)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const provider = await withoutNotices(async () => {
    const { default: OpenIdProvider, errors } = await import('oidc-provider')
    return new OpenIdProvider(issuer, configure(options, port, errors.InvalidTarget))
  })
  provider.on('server_error', (_ctx, error) => console.error(`${issuer} failed:`, error))
  serve = provider.callback()

  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { issuer, requests, provider, close, [Symbol.asyncDispose]: close }
}

function configure(
  options: OpenIdProviderOptions,
  port: number,
  InvalidTarget: new () => Error,
): Record<string, unknown> {
  const resources = options.resourceServers ?? {}
  const defaultResource = options.defaultResource ?? Object.keys(resources)[0]
  const lifetime = options.accessTokenTtlSeconds ?? 3600
  const ttl = () => (typeof lifetime === 'function' ? lifetime() : lifetime)
  const { features, ...configuration } = (options.configuration ?? {}) as {
    features?: Record<string, unknown>
  }
  return {
    clients: options.clients,
    findAccount: (_ctx: unknown, login: string) => ({
      accountId: login,
      claims: () => ({ ...options.users?.(login), sub: login }),
    }),
    scopes: ['openid', 'offline_access', ...(options.scopes ?? [])],
    // Browsers share cookies between the ports of one host: two providers need names of their own.
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: {
        session: `session_${port}`,
        interaction: `interaction_${port}`,
        resume: `resume_${port}`,
      },
    },
    jwks: { keys: signingKeys() },
    pkce: {
      required: (_ctx: unknown, client: { clientAuthMethod?: string }) =>
        client.clientAuthMethod === 'none',
    },
    rotateRefreshToken: true,
    renderError: (ctx: { type: string; body: unknown }, out: Readonly<Record<string, string>>) => {
      ctx.type = 'text'
      ctx.body = `${out.error}: ${out.error_description ?? ''}`
    },
    issueRefreshToken: (
      _ctx: unknown,
      client: { grantTypeAllowed(type: string): boolean },
      code: { scopes: Set<string> },
    ) =>
      client.grantTypeAllowed('refresh_token') &&
      (options.refreshTokens === 'always' || code.scopes.has('offline_access')),
    ttl: {
      AccessToken: ttl,
      ClientCredentials: ttl,
      AuthorizationCode: 60,
      IdToken: 3600,
      RefreshToken: 86_400,
      Interaction: 600,
      Session: 86_400,
      Grant: 86_400,
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: ownTokensOnly },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: Object.keys(resources).length > 0,
        defaultResource: (_ctx: unknown, _client: unknown, oneOf?: readonly string[]) =>
          oneOf ?? defaultResource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => {
          const found = Object.hasOwn(resources, resource) ? resources[resource] : undefined
          if (!found) throw new InvalidTarget()
          return {
            scope: found.scopes.join(' '),
            audience: resource,
            accessTokenFormat: found.accessTokenFormat ?? 'jwt',
            jwt: { sign: { alg: 'ES256' } },
          }
        },
      },
      ...features,
    },
    ...configuration,
  }
}

interface Owned {
  readonly clientId: string
}

/** A client ends its own grants, not those of another. */
function ownTokensOnly(_ctx: unknown, client: Owned, token: Owned): boolean {
  return token.clientId === client.clientId
}

/** RS256, which is what id tokens are signed with by default, and ES256. */
function signingKeys(): object[] {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  return [
    { ...rsa.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'rsa' },
    { ...ec.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'ec' },
  ]
}

/** While it is loaded and built, the provider prints advice for production; anything else printed meanwhile passes. */
export async function withoutNotices<T>(build: () => Promise<T>): Promise<T> {
  const { info, warn } = console
  const isNotice = (first: unknown) =>
    typeof first === 'string' && /oidc-provider (NOTICE|WARNING)/.test(first)
  const quietInfo: typeof info = (...args) => (isNotice(args[0]) ? undefined : info(...args))
  const quietWarn: typeof warn = (...args) => (isNotice(args[0]) ? undefined : warn(...args))
  console.info = quietInfo
  console.warn = quietWarn
  try {
    return await build()
  } finally {
    // Two at once overlap: only what is still ours is put back.
    if (console.info === quietInfo) console.info = info
    if (console.warn === quietWarn) console.warn = warn
  }
}
