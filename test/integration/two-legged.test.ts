import {
  ConfigurationError,
  localKeys,
  memoryStore,
  NetworkError,
  OAuthRefusedError,
  OutboundCredentialProvider,
  oauth2,
  ScopeNotGrantedError,
  ServerResponseError,
  tokenVault,
  type VaultStore,
  WorkloadIdentity,
} from 'deputize'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningOpenIdProvider, startOpenIdProvider } from '../../examples/openid-provider.js'
import { printed } from '../support/faults.js'
import {
  type HostileServer,
  hang,
  type Reply,
  replyJson,
  reset,
  resetMidway,
  startHostileServer,
} from '../support/hostile-server.js'

const API = 'https://api.example'
const OTHER_API = 'https://other.example'
const SECRET = 'agent-secret-canary'
/** Everything that RFC 6749 appendix A.2 allows in a secret, and what a form must encode. */
const ODD_SECRET = "a:b%20c+d&e=f g/?#!~*'()%%"

let server: RunningOpenIdProvider
const clients = ['client_secret_basic', 'client_secret_post'].flatMap((method) => [
  { client_id: `agent-${method}`, client_secret: SECRET, method },
  { client_id: `odd:${method}`, client_secret: ODD_SECRET, method },
])
beforeAll(async () => {
  server = await startOpenIdProvider({
    clients: [
      { client_id: 'agent', client_secret: SECRET, method: 'client_secret_basic' },
      { client_id: 'second', client_secret: SECRET, method: 'client_secret_basic' },
      ...clients,
    ].map(({ method, ...client }) => ({
      ...client,
      token_endpoint_auth_method: method,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    resourceServers: { [API]: { scopes: ['a', 'b', 'c'] }, [OTHER_API]: { scopes: ['x'] } },
  })
})
afterAll(() => server.close())

const agent = new WorkloadIdentity({ name: 'two-legged' })
const self = agent.actAsSelf()

function open(extra: object = {}, store: VaultStore = memoryStore()) {
  return new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: server.issuer,
        clientId: 'agent',
        clientSecret: SECRET,
        allowInsecureLoopback: true,
        timeoutMs: 30_000,
        ...extra,
      }),
    },
    vault: tokenVault({ store, keys: localKeys(Buffer.alloc(32, 1)) }),
  })
}
const tokenRequests = () => server.requests.filter((line) => line === 'POST /token').length
const counted = async <T>(run: () => Promise<T>): Promise<readonly [T, number]> => {
  const before = tokenRequests()
  const result = await run()
  return [result, tokenRequests() - before]
}
const claims = (jwt: string) => JSON.parse(atob(jwt.split('.')[1]!))

describe('tokens in the agent’s own name, from a real OpenID provider', () => {
  it('makes one token request and one discovery of fifty calls at once', async () => {
    const credentials = open()
    const from = server.requests.length
    const tokens = await Promise.all(
      Array.from({ length: 50 }, () =>
        credentials.getToken(self, { provider: 'api', scopes: ['a'] }),
      ),
    )
    expect(new Set(tokens.map((token) => token.value)).size).toBe(1)
    expect(server.requests.slice(from)).toEqual([
      'GET /.well-known/openid-configuration',
      'POST /token',
    ])
  })

  it('makes no request after a restart with the same store', async () => {
    const store = memoryStore()
    const first = await open({}, store).getToken(self, { provider: 'api', scopes: ['a'] })
    const from = server.requests.length
    const again = await open({}, store).getToken(self, { provider: 'api', scopes: ['a'] })
    expect(again.value).toBe(first.value)
    expect(server.requests.slice(from)).toEqual([])
  })

  it('makes one request of two processes that start cold with one store', async () => {
    const store = memoryStore()
    const [, requests] = await counted(() =>
      Promise.all(
        [open({}, store), open({}, store)].flatMap((one) =>
          Array.from({ length: 5 }, () => one.getToken(self, { provider: 'api', scopes: ['a'] })),
        ),
      ),
    )
    expect(requests).toBe(1)
  })

  it('serves a subset, and asks for the union when more is wanted', async () => {
    const credentials = open()
    const get = (...scopes: string[]) => credentials.getToken(self, { provider: 'api', scopes })
    const both = await get('a', 'b')
    const [served, none] = await counted(() => get('b'))
    expect([served.value, none]).toEqual([both.value, 0])
    const [more, one] = await counted(() => get('c'))
    expect([[...more.scopes].sort(), one]).toEqual([['a', 'b', 'c'], 1])
    // Two tools that want different scopes do not take turns evicting each other.
    const [, evictions] = await counted(async () => {
      for (const scope of ['a', 'b', 'c', 'a']) await get(scope)
    })
    expect(evictions).toBe(0)
  })

  it('keeps one token a resource', async () => {
    const credentials = open()
    const get = (resource: string, scope: string) =>
      credentials.getToken(self, { provider: 'api', resource, scopes: [scope] })
    const [one, other] = await Promise.all([get(API, 'a'), get(OTHER_API, 'x')])
    expect([claims(one.value).aud, claims(other.value).aud]).toEqual([API, OTHER_API])
    const [again, requests] = await counted(() => get(API, 'a'))
    expect([again.value, requests]).toEqual([one.value, 0])
  })

  it('never uses the user: who asks on behalf of whom shares the agent’s token', async () => {
    const credentials = open()
    const request = { provider: 'api', scopes: ['a'], flow: 'M2M' } as const
    const mine = await credentials.getToken(self, request)
    const acting = agent.unverifiedUser({ issuer: 'https://people.example', subject: 'ada' })
    const [theirs, requests] = await counted(() => credentials.getToken(acting, request))
    expect([theirs.value, requests]).toEqual([mine.value, 0])
    expect(claims(mine.value).sub).toBe('agent')
  })

  it('shares nothing between clients, agents or provider names (O19, O57)', async () => {
    const store = memoryStore()
    const request = { provider: 'api', scopes: ['a'] }
    const [tokens, requests] = await counted(async () => [
      await open({}, store).getToken(self, request),
      await open({ clientId: 'second' }, store).getToken(self, request),
      await open({}, store).getToken(new WorkloadIdentity({ name: 'other' }).actAsSelf(), request),
    ])
    expect(new Set(tokens.map((token) => token.value)).size).toBe(3)
    expect(requests).toBe(3)
  })

  it.each(clients)(
    'authenticates as $client_id by $method, whatever is in the secret (O42, O43)',
    async ({ client_id: clientId, client_secret: clientSecret, method }) => {
      const token = await open({ clientId, clientSecret, clientAuth: method }).getToken(self, {
        provider: 'api',
        scopes: ['a'],
      })
      expect(claims(token.value).client_id).toBe(clientId)
    },
  )

  it('asks a function for the secret, each time it is needed', async () => {
    const secrets = ['wrong-canary', SECRET]
    const credentials = open({ clientSecret: () => secrets.shift() ?? SECRET })
    await expect(credentials.getToken(self, { provider: 'api' })).rejects.toBeInstanceOf(
      OAuthRefusedError,
    )
    await credentials.getToken(self, { provider: 'api' })
  })

  it('lets one caller go when its signal aborts, and the others have their token', async () => {
    const credentials = open()
    const reason = new Error('gone')
    const controller = new AbortController()
    const request = { provider: 'api', scopes: ['a'] }
    const leaving = credentials.getToken(self, { ...request, signal: controller.signal })
    const staying = credentials.getToken(self, request)
    controller.abort(reason)
    await expect(leaving).rejects.toBe(reason)
    expect((await staying).provider).toBe('api')
    await expect(
      credentials.getToken(self, { ...request, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason)
  })

  it('says which scope a server does not grant', async () => {
    const error = await open()
      .getToken(self, { provider: 'api', scopes: ['a', 'unheard-of'] })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ScopeNotGrantedError)
    expect(error).toMatchObject({ missingScopes: ['unheard-of'] })
  })
})

describe('bad input', () => {
  let hostile: HostileServer
  const metadata = '/.well-known/openid-configuration'
  let honestMetadata: Reply
  beforeAll(async () => {
    hostile = await startHostileServer()
    honestMetadata = hostile.routes.get(metadata)!
  })
  beforeEach(() => {
    hostile.routes.set(metadata, honestMetadata)
    hostile.routes.set(
      '/token',
      replyJson({ access_token: 'good', token_type: 'bearer', expires_in: 60 }),
    )
  })
  afterAll(() => hostile[Symbol.asyncDispose]())

  const at = (extra: object = {}) => open({ issuer: hostile.issuer, ...extra })
  const ask = (credentials = at()) => credentials.getToken(self, { provider: 'api', scopes: ['a'] })

  async function failure(credentials?: OutboundCredentialProvider) {
    const error = (await ask(credentials).then(
      () => undefined,
      (reason: unknown) => reason,
    )) as { message: string; retryable: boolean; reason?: string } | undefined
    if (!error) throw new Error('It was no failure')
    const text = printed(error)
    for (const canary of [SECRET, 'canary-in-body', Buffer.from(SECRET).toString('base64')]) {
      expect(text).not.toContain(canary)
    }
    return error
  }

  it('a wrong client secret: what to check', async () => {
    const error = await failure(open({ clientSecret: 'wrong-canary-in-body' }))
    expect(error).toBeInstanceOf(OAuthRefusedError)
    expect(error).toMatchObject({ oauthError: 'invalid_client', status: 401, retryable: false })
    expect(error.message).toMatch(/Check clientId, clientSecret and clientAuth/)
  })

  it('an unknown provider name: the known ones', async () => {
    const error = await open()
      .getToken(self, { provider: 'apj' })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConfigurationError)
    expect((error as Error).message).toBe(
      'No provider named "apj". Known: api. Add it to the option providers.',
    )
  })

  it('an issuer that nobody answers for', async () => {
    const gone = await startHostileServer()
    await gone[Symbol.asyncDispose]()
    const error = await failure(at({ issuer: gone.issuer }))
    expect(error).toBeInstanceOf(NetworkError)
    expect(error).toMatchObject({ reason: 'unreachable', retryable: true })
  })

  const slow: Reply = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const timer = setInterval(() => response.write(' '), 50)
    response.on('close', () => clearInterval(timer))
  }
  const big: Reply = (response) => {
    response.on('error', () => {})
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ access_token: 'x'.repeat(5_000_000) }))
  }
  const redirect =
    (status: number): Reply =>
    (response) => {
      response.writeHead(status, { location: `${hostile.issuer}/elsewhere` }).end()
    }
  const html: Reply = (response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end('<html>canary-in-body: sign in to the guest network</html>')
  }

  it.each([
    ['silence', hang, NetworkError, 'timeout', true],
    ['a byte at a time (D04)', slow, NetworkError, 'timeout', true],
    ['a reset', reset, NetworkError, 'unreachable', true],
    ['a reset in the middle (P08)', resetMidway, NetworkError, 'unreachable', true],
    ['5 MB (O23)', big, NetworkError, 'too_large', false],
    ['a redirect 302 (O38)', redirect(302), NetworkError, 'redirected', false],
    ['a redirect 307 (O38)', redirect(307), NetworkError, 'redirected', false],
    ['a redirect 308 (O38)', redirect(308), NetworkError, 'redirected', false],
    ['HTML with status 200 (O23)', html, ServerResponseError, undefined, false],
  ] as const)('%s, as metadata and as token answer', async (_, reply, type, reason, passes) => {
    // Short only where the server keeps silent.
    const credentials = () => (reason === 'timeout' ? at({ timeoutMs: 400 }) : at())
    const advice = /Check|Try again|try again|Configure/

    // The metadata are looked for at two addresses: the error says what came of each.
    hostile.routes.set(metadata, reply)
    const undiscovered = await failure(credentials())
    expect(undiscovered).toBeInstanceOf(ServerResponseError)
    expect(undiscovered.message).toContain(metadata)
    expect(undiscovered.message).toMatch(advice)
    expect(undiscovered.retryable).toBe(passes)

    hostile.routes.set(metadata, honestMetadata)
    hostile.routes.set('/token', reply)
    const from = hostile.received.length
    const error = await failure(credentials())
    expect(error).toBeInstanceOf(type)
    if (reason) expect(error.reason).toBe(reason)
    expect(error.message).toMatch(advice)
    const targets = hostile.received.slice(from).map((one) => one.target)
    expect(targets).toContain('/token')
    expect(targets).not.toContain('/elsewhere')
  })

  it('recovers from a server that hung, without a poisoned flight (D08)', async () => {
    const credentials = at({ timeoutMs: 2_000 })
    hostile.routes.set('/token', hang)
    const failed = await Promise.allSettled(Array.from({ length: 20 }, () => ask(credentials)))
    expect(failed.every((one) => one.status === 'rejected')).toBe(true)
    hostile.routes.set('/token', replyJson({ access_token: 'good', token_type: 'bearer' }))
    expect((await ask(credentials)).value).toBe('good')
  })

  it.each([500, 502, 503, 504, 429])('HTTP %i: try later (P06)', async (status) => {
    hostile.routes.set('/token', replyJson({ error_description: 'canary-in-body' }, status))
    expect(await failure()).toMatchObject({ code: 'ERR_OAUTH_REFUSED', status, retryable: true })
  })

  it.each([
    ['seconds', () => '7', 7_000],
    ['a date', () => new Date(Date.now() + 3_600_000).toUTCString(), 600_000],
    ['far too many seconds', () => '999999', 600_000],
    ['the past', () => new Date(0).toUTCString(), 0],
  ])('Retry-After in %s is told (P06)', async (_, value, ms) => {
    hostile.routes.set('/token', replyJson({}, 503, { 'retry-after': value() }))
    const { retryAfterMs } = (await failure()) as unknown as { retryAfterMs: number }
    expect(retryAfterMs).toBe(ms)
  })

  it('a secret that the server echoes is in no error (O25)', async () => {
    const echo = { error: 'invalid_client', error_description: `${SECRET} canary-in-body` }
    for (const body of [echo, { error: SECRET }, { error: { secret: SECRET } }, `{"${SECRET}`]) {
      hostile.routes.set('/token', replyJson(body, 400))
      await failure()
      hostile.routes.set('/token', replyJson(body, 200))
      await failure()
    }
  })

  it('an agent that once had a scope that is not allowed any more still gets the others', async () => {
    const credentials = at()
    const get = (scope: string) => credentials.getToken(self, { provider: 'api', scopes: [scope] })
    let allowed = ['old', 'a']
    hostile.routes.set('/token', (response, request) => {
      const asked = request.form.get('scope')?.split(' ') ?? []
      const answer = asked.every((scope) => allowed.includes(scope))
        ? replyJson({ access_token: asked.join('+'), token_type: 'bearer', expires_in: 60 })
        : replyJson({ error: 'invalid_scope' }, 400)
      answer(response, request)
    })
    await get('old')
    allowed = ['a']
    expect((await get('a')).value).toBe('a')
    await expect(get('old')).rejects.toMatchObject({ oauthError: 'invalid_scope' })
    expect((await get('a')).value).toBe('a')
  })
})
