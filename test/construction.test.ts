/**
 * Objects at the top of a module: Cloudflare Workers allow neither randomness, nor a timer, nor I/O there, and the clock
 * stands still. So nothing that is exported uses any of them before it is asked to do something.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Keyv } from 'keyv'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { root, subpaths } from '../scripts/subpaths.js'

type Call = (...args: readonly unknown[]) => unknown

const node = createRequire(import.meta.url)('node:crypto') as Record<string, Call>
const forbid = (what: string) => () => {
  throw new Error(`${what} was used while an object was made`)
}

/** By the object that has them: what must not be touched. */
const forbidden: readonly (readonly [object: object, names: readonly string[]])[] = [
  [crypto, ['getRandomValues', 'randomUUID']],
  [
    crypto.subtle,
    ['digest', 'importKey', 'generateKey', 'deriveBits', 'deriveKey', 'sign', 'encrypt'],
  ],
  [node, ['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync', 'generateKeyPairSync']],
  [Date, ['now']],
  [performance, ['now']],
  [Math, ['random']],
  [
    globalThis,
    ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch', 'BroadcastChannel'],
  ],
]

const key = new Uint8Array(32).fill(7)
const issuer = 'https://idp.example'
const jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x0_zEsGzdmGqcEY7gEg0vBvVBX8jnPRvZ_eH8p0GZ0w',
  kid: 'k',
}
const client = { clientId: 'c', clientSecret: 's' }
const noop = () => undefined
const keyv = new Keyv()
/** Enough of every client that a store takes. */
const everything: object = new Proxy(noop, {
  get: (_, name) => (name === 'then' ? undefined : everything),
  apply: () => everything,
})
const modules = await Promise.all(
  subpaths.map(async ({ specifier, source }) => {
    const module: Record<string, unknown> = await import(join(root, source))
    return [specifier, module] as const
  }),
)
function exported(name: string, from = ''): Call {
  const [, module] = modules.find(([specifier, all]) => specifier.endsWith(from) && name in all)!
  return module[name] as Call
}
const make = (name: string, ...args: readonly unknown[]) => Reflect.construct(exported(name), args)
const call = (name: string, ...args: readonly unknown[]) => exported(name)(...args)

const jwtBearer = () => call('jwtBearer', { issuer, allowedAudience: ['a'] })
const vault = () => call('tokenVault', { store: call('memoryStore'), keys: call('localKeys', key) })
const provider = () => call('oauth2', { issuer, ...client })

const verifier = () => make('InboundVerifier', { authenticators: [jwtBearer()] })
const guard = () => call('requireScopes', 'a')
const errors = { InvalidTokenError: Error, InsufficientScopeError: Error }

/** How each is made: everything that is exported and not in `asked`. */
const made: Readonly<Record<string, () => unknown>> = {
  AccessToken: () =>
    make('AccessToken', 't', { tokenType: 'Bearer', scopes: [], missingScopes: [], provider: 'p' }),
  Secret: () => make('Secret', 's'),
  InboundVerifier: verifier,
  WorkloadIdentity: () => make('WorkloadIdentity', { name: 'agent', issuer }),
  OutboundCredentialProvider: () =>
    make('OutboundCredentialProvider', {
      providers: { p: provider(), k: call('apiKey', { key: 'k' }) },
      callbackUrl: `${issuer}/cb`,
      identifyUser: noop,
    }),
  jwtBearer: () =>
    call('jwtBearer', {
      issuer,
      allowedAudience: ['a'],
      jwks: { keys: [jwk] },
      dpop: { nonceSecret: 'n'.repeat(32) },
    }),
  introspection: () =>
    call('introspection', { issuer, ...client, allowedAudience: ['a'], dpop: {} }),
  sigv4: () => call('sigv4', { region: 'eu-west-1', service: 's', credentials: noop }),
  stsIdentity: () => call('stsIdentity', { serverId: 'me', allowedAccounts: ['111122223333'] }),
  auth0Tokens: () => call('auth0Tokens', { domain: 'a.eu.auth0.com', allowedAudience: ['a'] }),
  awsWebIdentity: () =>
    call('awsWebIdentity', {
      issuer: 'https://0123.tokens.sts.global.api.aws',
      allowedAudience: ['a'],
      allowedAccounts: ['111122223333'],
    }),
  cognitoTokens: () =>
    call('cognitoTokens', { userPoolId: 'eu-west-1_AbCdEfGhI', allowedClients: ['c'] }),
  entraIdTokens: () =>
    call('entraIdTokens', {
      tenantId: '11111111-2222-3333-4444-555555555555',
      allowedAudience: ['a'],
    }),
  googleServiceAccountTokens: () =>
    call('googleServiceAccountTokens', {
      allowedAudience: ['a'],
      allowedServiceAccounts: ['a@b.iam.gserviceaccount.com'],
    }),
  keycloakTokens: () =>
    call('keycloakTokens', { issuer: `${issuer}/realms/r`, allowedAudience: ['a'] }),
  oktaTokens: () =>
    call('oktaTokens', { issuer: 'https://a.okta.com/oauth2/default', allowedAudience: ['a'] }),
  rfc9068Tokens: () => call('rfc9068Tokens', { issuer, allowedAudience: ['a'] }),
  workloadToken: () =>
    call('workloadToken', { issuer, allowedAudience: ['a'], allowedWorkloads: ['w'] }),
  memoryReplayGuard: () => call('memoryReplayGuard'),
  requireScopes: guard,
  requireAll: () => call('requireAll', guard(), guard()),
  requireAny: () => call('requireAny', guard(), guard()),
  memoryStore: () => call('memoryStore'),
  tokenVault: () => call('tokenVault'),
  localKeys: () => call('localKeys', key),
  keyvStore: () => call('keyvStore', keyv, { processes: 'one' }),
  postgresStore: () => call('postgresStore', everything),
  redisStore: () => call('redisStore', everything),
  sqliteStore: () => call('sqliteStore', everything),
  fileStore: () => call('fileStore', '/nowhere'),
  signingKeys: () => call('signingKeys', { vault: vault() }),
  kmsKeys: () => call('kmsKeys', { client: everything, keyId: jwk.kid }),
  oauth2: provider,
  apiKey: () => call('apiKey', { key: 'k' }),
  awsIam: () => call('awsIam', { region: 'eu-west-1', service: 's3' }),
  requireToken: () => call('requireToken', { provider: 'p' }, noop),
  requireApiKey: () => call('requireApiKey', { provider: 'p' }, noop),
  requireAwsCredentials: () => call('requireAwsCredentials', { provider: 'p' }, noop),
  authenticatedFetch: () => call('authenticatedFetch', { provider: 'p' }),
  nodeHandler: () => call('nodeHandler', noop, { origin: issuer }),
  authenticate: () =>
    ['express', 'fastify', 'hono', 'mcp'].map((at) => exported('authenticate', at)(verifier())),
  metadataRoute: () =>
    ['express', 'mcp'].map((at) =>
      exported(
        'metadataRoute',
        at,
      )(make('InboundVerifier', { authenticators: [jwtBearer()], resource: issuer })),
    ),
  mcpTokenVerifier: () => call('mcpTokenVerifier', { verifier: verifier(), errors }),
  consentElicitation: () => call('consentElicitation', class extends Error {}),
}

/** What is called while a request is there, or a server is started. */
const asked = [
  'accessToken',
  'authInfoOf',
  'callerOf',
  'calledTools',
  'currentActing',
  'describeVaultStore',
  'findAuthorizationRequired',
  'isDeputizeError',
  'keepRawBody',
  'loopbackCallback',
  'rawRequest',
  'signCallerIdentity',
  'startAuthorizationServer',
  'startFakeSts',
]

it('everything that is exported is in the table', () => {
  const names = modules.flatMap(([, module]) =>
    Object.entries(module).flatMap(([name, value]) =>
      typeof value === 'function' && !(value.prototype instanceof Error) ? [name] : [],
    ),
  )
  const all = [...new Set(names)].filter((name) => name !== 'DeputizeError').sort()
  expect([...Object.keys(made), ...asked].sort()).toEqual(all)
})

beforeEach(() => {
  for (const [object, names] of forbidden) {
    for (const name of names) {
      if (!(name in object)) continue
      vi.spyOn(object as Record<string, Call>, name).mockImplementation(forbid(name) as never)
    }
  }
})
afterEach(() => void vi.restoreAllMocks())

describe('made at the top of a module', () => {
  it.each(Object.entries(made))('%s', (_, run) => {
    expect(run).not.toThrow()
  })
})
