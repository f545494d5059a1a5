/**
 * What a stranger meets first: a function that is called with nothing, or with the wrong thing, says its name and what it
 * takes. Every function that is published is called; a new one is in the table by being exported.
 */
import { join } from 'node:path'
import Keyv from 'keyv'
import { afterAll, describe, expect, it } from 'vitest'
import { root, subpaths } from '../scripts/subpaths.js'
import { authenticate } from '../src/adapters/hono/authenticate.js'
import { mcpTokenVerifier } from '../src/adapters/mcp/token-verifier.js'
import { loopbackCallback } from '../src/adapters/node/loopback-callback.js'
import { authenticatedFetch } from '../src/fetch/authenticated-fetch.js'
import { requireScopes } from '../src/inbound/guards.js'
import { jwtBearer } from '../src/inbound/jwt-bearer.js'
import { InboundVerifier } from '../src/inbound/verifier.js'
import { OutboundCredentialProvider } from '../src/outbound/credential-provider.js'
import { apiKey } from '../src/providers/api-key.js'
import { startAuthorizationServer } from '../src/testing/authorization-server.js'
import { startFakeSts } from '../src/testing/fake-sts.js'
import { requireToken } from '../src/tools/require-token.js'
import { localKeys } from '../src/vault/key-ring.js'
import { tokenVault } from '../src/vault/token-vault.js'
import { WorkloadIdentity } from '../src/workload/identity.js'
import { signingKeys } from '../src/workload/signing-keys.js'

type Call = (...args: readonly unknown[]) => unknown

/** What the engine says of a value that nobody checked. */
const ENGINE = /^Cannot |is not (a function|iterable|defined|a constructor)|non-object|Invalid URL/

/** Those that need nothing: their first argument may be left out, but not be `null`. */
const needNothing = [
  'loopbackCallback',
  'memoryReplayGuard',
  'memoryStore',
  'signingKeys',
  'startAuthorizationServer',
  'startFakeSts',
  'tokenVault',
]
/** Those that answer whatever they are asked, or are about what surrounds the call. */
const answerAnything = ['currentActing', 'findAuthorizationRequired', 'isDeputizeError']
/** No caller of `callerOf()` passes something wrong; somebody forgot `authenticate()`. */
const otherErrors: Readonly<Record<string, string>> = { callerOf: 'ConfigurationError' }

const published: [name: string, call: Call][] = []
const seen = new Set<unknown>()
for (const { source } of subpaths) {
  const module: Record<string, unknown> = await import(join(root, source))
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || value.prototype instanceof Error) continue
    if (name === 'DeputizeError' || answerAnything.includes(name) || seen.has(value)) continue
    seen.add(value)
    const call = /^class\b/.test(Function.prototype.toString.call(value))
      ? (...args: readonly unknown[]) => Reflect.construct(value, args)
      : (value as Call)
    published.push([name, call])
  }
}

async function thrownBy(call: () => unknown): Promise<Error> {
  try {
    await call()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}

describe('every published function', () => {
  it('is in the table', () => {
    expect(published.length).toBeGreaterThan(50)
  })

  it.each(published)(
    '%s says its name and what it takes, without arguments',
    async (name, call) => {
      const args = needNothing.includes(name) ? [null] : []
      const { name: kind, message } = await thrownBy(() => call(...args))
      expect(kind).toBe(otherErrors[name] ?? 'TypeError')
      expect(message).not.toMatch(ENGINE)
      expect(message).toContain(name)
    },
  )

  it.each(published)('%s leaves nothing to the engine with null', async (_, call) => {
    expect((await thrownBy(() => call(null))).message).not.toMatch(ENGINE)
  })
})

/** Those that take no options, or nothing but facts that this library itself puts together. */
const takeNoOptions = [
  'AccessToken',
  'Secret',
  'accessToken',
  'authInfoOf',
  'calledTools',
  'callerOf',
  'consentElicitation',
  'keepRawBody',
  'localKeys',
  'metadataRoute',
  'nodeHandler',
  'rawRequest',
  'requireAll',
  'requireAny',
  'requireScopes',
]

const issuer = 'https://idp.example'
const allowedAudience = ['a']
const rule = { name: 'team', operator: 'EQUALS', value: 'x' }
const bearer = { issuer, allowedAudience }
const consent = { issuer, clientId: 'c' }
const introspected = { ...bearer, introspectionEndpoint: issuer, clientId: 'c', clientSecret: 's' }
/** Good arguments of whatever takes options, and where in them the options are. One function may take several. */
const takeOptions: Readonly<Record<string, readonly (readonly [path: string, ...unknown[]])[]>> = {
  InboundVerifier: [['0', { authenticators: [] }]],
  OutboundCredentialProvider: [
    ['0', { providers: {} }],
    ['1', { providers: {} }, {}],
    ['0.cache', { providers: {}, cache: {} }],
  ],
  WorkloadIdentity: [['0', { name: 'agent' }]],
  apiKey: [['0', { key: 'k' }]],
  auth0Tokens: [['0', { domain: 'acme.eu.auth0.com', allowedAudience }]],
  authenticate: [['1', { authenticate() {}, challenge() {} }, {}]],
  authenticatedFetch: [['0', { provider: 'k' }]],
  awsIam: [['0', { region: 'eu-west-1', service: 's3' }]],
  awsWebIdentity: [
    ['0', { ...bearer, allowedAccounts: ['111122223333'] }],
    ['0.customClaims.0', { ...bearer, customClaims: [rule] }],
  ],
  cognitoTokens: [['0', { userPoolId: 'eu-west-1_Ab12Cd34E', allowedClients: ['web'] }]],
  describeVaultStore: [['2', { describe() {}, it() {} }, () => {}, {}]],
  entraIdTokens: [['0', { tenantId: '11111111-2222-3333-4444-555555555555', allowedAudience }]],
  fileStore: [['1', '/tmp/vault', {}]],
  googleServiceAccountTokens: [
    ['0', { allowedAudience, allowedServiceAccounts: ['a@b.gserviceaccount.com'] }],
  ],
  introspection: [
    ['0', introspected],
    ['0.dpop', { ...introspected, dpop: {} }],
    ['0.customClaims.0', { ...introspected, customClaims: [rule] }],
  ],
  jwtBearer: [
    ['0', bearer],
    ['0.cache', { ...bearer, cache: {} }],
    ['0.dpop', { ...bearer, dpop: {} }],
    ['0.profile', { ...bearer, profile: {} }],
    ['0.customClaims.0', { ...bearer, customClaims: [rule] }],
    ['0.customClaims.1', { ...bearer, customClaims: [rule, rule] }],
  ],
  keycloakTokens: [['0', { issuer: 'https://sso.example/realms/a', allowedAudience }]],
  keyvStore: [['1', new Keyv(), { processes: 'one' }]],
  kmsKeys: [['0', { client: { generateDataKey() {}, decrypt() {} }, keyId: 'a' }]],
  loopbackCallback: [['0', {}]],
  mcpTokenVerifier: [['0', { verifier: {}, errors: {} }]],
  memoryReplayGuard: [['0', {}]],
  memoryStore: [['0', {}]],
  oauth2: [
    ['0', consent],
    ['0.endpoints', { ...consent, endpoints: { token: issuer } }],
  ],
  oktaTokens: [['0', { issuer: 'https://acme.okta.com/oauth2/default', allowedAudience }]],
  postgresStore: [['1', { query() {} }, {}]],
  redisStore: [['1', { sendCommand() {}, duplicate() {} }, {}]],
  requireApiKey: [['0', { provider: 'k' }]],
  requireAwsCredentials: [['0', { provider: 'k' }]],
  requireToken: [['0', { provider: 'k' }]],
  rfc9068Tokens: [['0', bearer]],
  signCallerIdentity: [['0', { serverId: 'a' }]],
  signingKeys: [['0', {}]],
  sigv4: [['0', { region: 'r', service: 's', credentials() {} }]],
  sqliteStore: [['1', { prepare() {}, exec() {} }, {}]],
  startAuthorizationServer: [['0', {}]],
  startFakeSts: [['0', {}]],
  stsIdentity: [['0', { serverId: 'a', allowedAccounts: ['111122223333'] }]],
  tokenVault: [['0', {}]],
  workloadToken: [['0', bearer]],
}

/** A copy of `value` whose object at `path` has the option `mispelled` as well. */
function misspell(value: unknown, path: readonly string[]): unknown {
  const [step, ...rest] = path
  if (step === undefined) return { ...(value as object), mispelled: undefined }
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) }
  const member = copy as unknown as Record<string, unknown>
  member[step] = misspell(member[step], rest)
  return copy
}

describe('an option that nobody knows is refused', () => {
  it.each(published)('%s is said to take options, or none', (name) => {
    const listed = [Object.hasOwn(takeOptions, name), takeNoOptions.includes(name)]
    expect(listed.filter(Boolean), `list ${name} in takeOptions or in takeNoOptions`).toEqual([
      true,
    ])
  })

  const calls = published.flatMap(([name, call]) =>
    (takeOptions[name] ?? []).map(([path, ...args]) => ({ name, path, call, args })),
  )
  it.each(calls)('$name, argument $path', async ({ path, call, args }) => {
    const wrong = misspell(args, path.split('.')) as unknown[]
    const error = await thrownBy(() => call(...wrong))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(/ has no option "mispelled"\. Known: \w+/)
  })
})

const agent = new WorkloadIdentity({ name: 'agent', issuer: 'https://agent.example' })
const self = agent.actAsSelf()
const credentials = new OutboundCredentialProvider({ providers: { k: apiKey({ key: 's3cret' }) } })
const verifier = new InboundVerifier({
  authenticators: [jwtBearer({ issuer: 'https://idp.example', allowedAudience: ['a'] })],
})
const running = {
  idp: await startAuthorizationServer(),
  sts: await startFakeSts(),
  loopback: await loopbackCallback(),
}
afterAll(() => Promise.all(Object.values(running).map((one) => one.close())))

/** A call that no compiler let pass. */
function wrongly(target: object, method: string, ...args: readonly unknown[]): unknown {
  return (target as Record<string, Call>)[method]?.(...args)
}
const express = { method: 'GET', url: '/callback/k', headers: { host: 'agent.example' } }

const asking = ['getToken', 'getApiKey', 'getAwsCredentials', 'awsCredentials']
const requests = [...asking, 'beginAuthorization', 'disconnect']

describe('a method with wrong arguments says what it takes', () => {
  it.each(requests)('credentials.%s(acting)', async (method) => {
    const missing = await thrownBy(() => wrongly(credentials, method, self))
    expect(missing).toBeInstanceOf(TypeError)
    expect(missing.message).toBe(
      `${method}() takes an Acting and a request, such as { provider: "name" }; got undefined.`,
    )
    const { message } = await thrownBy(() => wrongly(credentials, method, self, 's3cret'))
    expect(message).toMatch(/got string\.$/)
    const unnamed = await thrownBy(() => wrongly(credentials, method, self, {}))
    expect(unnamed.message).toContain('provider must be the name of one; got undefined. Known: ')
    const nobody = await thrownBy(() => wrongly(credentials, method))
    expect(nobody.message).toContain(`${method}() takes an Acting from a WorkloadIdentity`)
  })

  it.each<[string, () => unknown, string]>([
    ['getTokens', () => wrongly(credentials, 'getTokens', self), 'takes a list of requests'],
    ['runAs', () => wrongly(credentials, 'runAs', self), 'runAs() takes an Acting and a function'],
    ['bind', () => wrongly(credentials, 'bind', self), 'bind() takes an Acting and a function'],
    [
      'completeAuthorization',
      () => wrongly(credentials, 'completeAuthorization'),
      'completeAuthorization() takes { sessionUri, user }; got undefined.',
    ],
    [
      'handleCallback, which gets the request of Express',
      () => wrongly(credentials, 'handleCallback', express),
      'handleCallback() takes a Request of the Fetch standard; got object. With node:http or Express, wrap it in nodeHandler()',
    ],
    [
      'handleCallback with null',
      () => wrongly(credentials, 'handleCallback', new Request('https://agent.example'), null),
      'handleCallback() takes a Request and { user }; got null.',
    ],
    [
      'waitForAuthorization',
      () => wrongly(credentials, 'waitForAuthorization', self, 'urn:x', null),
      'waitForAuthorization() takes an object of options',
    ],
    ['handler', () => wrongly(agent, 'handler', express), 'handler() takes a Request'],
    ['metadataHandler', () => wrongly(verifier, 'metadataHandler'), 'metadataHandler() takes a'],
    [
      'challenge, which gets an error of something else',
      () => wrongly(verifier, 'challenge', new Error('s3cret')),
      'challenge() takes an InboundAuthError; got object. Throw errors that are none again.',
    ],
    ['actFor', () => wrongly(agent, 'actFor', {}), 'actFor() takes a Principal'],
    [
      'actForToken',
      () => wrongly(agent, 'actForToken', 's3cret'),
      'actForToken() takes a token and the InboundVerifier that judges it; got undefined.',
    ],
    [
      'workloadAccessToken',
      () => wrongly(self, 'workloadAccessToken'),
      'workloadAccessToken() takes { audience }',
    ],
    [
      'verifyWorkloadAccessToken',
      () => wrongly(agent, 'verifyWorkloadAccessToken', 's3cret'),
      'verifyWorkloadAccessToken() takes a token and { audience }; got undefined.',
    ],
    ['rewrap', () => wrongly(tokenVault(), 'rewrap', null), 'rewrap() takes an object of options'],
    [
      'loopback.handle',
      () => wrongly(running.loopback, 'handle', 'x'),
      'handle() takes a function of a Request, such as (request) => credentials.handleCallback(request); got string.',
    ],
    [
      'userToken',
      () => wrongly(running.idp, 'userToken'),
      'userToken() takes options such as { subject: "ada", audience: "my-agent" }; got undefined.',
    ],
    [
      'userToken without an audience',
      () => wrongly(running.idp, 'userToken', { subject: 'ada' }),
      'userToken() needs the option audience.',
    ],
    [
      'misbehave',
      () => wrongly(running.sts, 'misbehave', 'x'),
      'The answer of misbehave() must be a function; got string.',
    ],
  ])('%s', async (_, call, text) => {
    const error = await thrownBy(call)
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain(text)
    expect(error.message).not.toContain('s3cret')
  })
})

describe('a method refuses an option that nobody knows', () => {
  const more = { mispelled: undefined }
  it.each<[string, () => unknown]>([
    ...requests.map((method): [string, () => unknown] => [
      `${method}()`,
      () => wrongly(credentials, method, self, { provider: 'k', ...more }),
    ]),
    ['handleCallback()', () => wrongly(credentials, 'handleCallback', new Request(issuer), more)],
    ['completeAuthorization()', () => wrongly(credentials, 'completeAuthorization', more)],
    ['waitForAuthorization()', () => wrongly(credentials, 'waitForAuthorization', self, 'u', more)],
    ['workloadAccessToken()', () => wrongly(self, 'workloadAccessToken', more)],
    [
      'verifyWorkloadAccessToken()',
      () => wrongly(agent, 'verifyWorkloadAccessToken', 's3cret', more),
    ],
    ['rewrap()', () => wrongly(tokenVault(), 'rewrap', more)],
    ['userToken()', () => wrongly(running.idp, 'userToken', more)],
  ])('%s', async (name, call) => {
    const error = await thrownBy(call)
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain(`${name} has no option "mispelled". Known: `)
  })
})

describe('an option of the wrong kind is named', () => {
  const make = (options: object) => () => Reflect.construct(InboundVerifier, [options])
  const one = {
    authenticators: [jwtBearer({ issuer: 'https://a.example', allowedAudience: ['a'] })],
  }
  const lent = { acting: self, credentials: {} as never }
  it.each<[string, () => unknown, RegExp]>([
    [
      'a misspelled one',
      make({ ...one, ressource: 'x' }),
      /InboundVerifier has no option "ressource"/,
    ],
    ['a sink', make({ ...one, audit: console }), /audit must be a function/],
    ['a clock', make({ ...one, clock: 7 }), /clock must be a function/],
    ['a port in place of options', () => loopbackCallback(8080 as never), /got number/],
    ['a list in place of options', () => requireToken([] as never), /got an array/],
    ['no scope', () => requireScopes(), /requireScopes\(\).*got an empty list/],
    ['keys', () => signingKeys({ keys: 'pem' as never }), /keys must hold/],
    ['a vault', () => signingKeys({ vault: 'x' as never }), /vault must be made by tokenVault/],
    ['no key ring', () => tokenVault({ keys: null as never }), /keys must be a key ring/],
    [
      'no store',
      () => tokenVault({ store: null as never, keys: localKeys(new Uint8Array(32).fill(1)) }),
      /store must have the method get/,
    ],
    [
      'no keys of an agent',
      () => new WorkloadIdentity({ name: 'abc', keys: null as never }),
      /keys must be made by signingKeys/,
    ],
    [
      'a variable that is not set',
      () => localKeys(undefined as never),
      /got no base64 \(undefined\)\. Is its environment variable set\?/,
    ],
    [
      'a guard',
      () => authenticate(verifier, { guard: 'calendar:write' as never }),
      /guard must be a function; got string/,
    ],
    [
      'a verifier',
      () =>
        mcpTokenVerifier({
          errors: { InvalidTokenError: Error, InsufficientScopeError: Error },
        } as never),
      /verifier must be an InboundVerifier/,
    ],
    [
      'credentials',
      () => requireToken({ provider: 'k', ...lent }, () => 1)(),
      /credentials must be an OutboundCredentialProvider/,
    ],
    ['a fetch', () => authenticatedFetch({ provider: 'k', fetch: 'x' as never }), /fetch must be/],
    [
      'an address without a host, told without its query',
      () => authenticatedFetch({ provider: 'k' })('/events?key=s3cret'),
      /needs an absolute URL.*got \/events…\.$/,
    ],
  ])('%s', async (_, call, text) => {
    const error = await thrownBy(call)
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(text)
  })
})
