/**
 * The library's objects and errors, made by its real code paths out of secrets that are canaries. Each scene is one value
 * that an application can get hold of, and print.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  AccessToken,
  type Acting,
  type AuditEvent,
  apiKey,
  authenticatedFetch,
  currentActing,
  InboundVerifier,
  jwtBearer,
  type KeyvLike,
  keyvStore,
  localKeys,
  memoryStore,
  type OAuth2Options,
  OutboundCredentialProvider,
  type OutboundCredentialProviderOptions,
  oauth2,
  requireApiKey,
  requireToken,
  Secret,
  signingKeys,
  tokenVault,
  type VaultStore,
  WorkloadIdentity,
} from 'deputize'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import Keyv from 'keyv'
import type { Canaries } from './secret-walker.js'

/** Something that can be printed. */
export interface Scene {
  readonly name: string
  readonly value: unknown
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const user = { issuer: 'https://idp.example', subject: 'u1' }
const callbackUrl = 'https://app.example/callback'
const never = '\u0000nothing' // no scene may end in what it should not have reached

export async function* scenes(canaries: Canaries): AsyncGenerator<Scene> {
  await using endpoint = await startEndpoint(canaries)
  yield* valueScenes(canaries)
  yield* inboundScenes(canaries, endpoint)
  yield* outboundScenes(canaries, endpoint)
  yield* answerScenes(canaries, endpoint)
  yield* storeScenes(canaries, endpoint)
  yield* optionScenes(canaries)
}

async function* valueScenes(canaries: Canaries): AsyncGenerator<Scene> {
  const facts = { tokenType: 'Bearer', scopes: [], missingScopes: [], provider: 'p' }
  yield { name: 'Secret', value: new Secret(canaries.make('secret')) }
  yield { name: 'AccessToken', value: new AccessToken(canaries.make('access token'), facts) }
  yield { name: 'apiKey()', value: apiKey({ key: canaries.make('API key') }) }
  const options = { issuer: 'https://idp.example', clientId: 'agent' }
  yield {
    name: 'oauth2()',
    value: oauth2({ ...options, clientSecret: canaries.make('client secret') }),
  }
  const hidden = canaries.make('client secret')
  yield {
    name: 'oauth2() with a function',
    value: oauth2({ ...options, clientSecret: () => hidden }),
  }

  const key = canaries.add('vault key', crypto.getRandomValues(new Uint8Array(32)))
  const keys = localKeys(key)
  const store = memoryStore()
  const vault = tokenVault({ store, keys })
  const row = { kind: 'grant', owner: ['x'] } as const
  await vault.write(row, { refreshToken: canaries.make('refresh token') }, { replaces: 0 })
  yield { name: 'localKeys()', value: keys }
  yield { name: 'localKeys() of base64', value: localKeys(Buffer.from(key).toString('base64')) }
  yield { name: 'TokenVault', value: vault }
  yield { name: 'memoryStore()', value: store }
  const { ids } = await store.scan()
  yield { name: 'a sealed row', value: await store.get(ids[0]!) }
  yield { name: 'keyvStore()', value: keyvStore(new Keyv() as KeyvLike, { processes: 'one' }) }
  const stranger = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(3)) })
  yield { name: 'a row without its key', value: await thrown(stranger.read(row)) }

  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  canaries.add('signing key', jwk.d!)
  const agent = new WorkloadIdentity({
    name: 'agent',
    issuer: 'https://agents.example',
    keys: signingKeys({ keys: [jwk as never] }),
  })
  const acting = agent.unverifiedUser(user)
  const token = await acting.workloadAccessToken({ audience: 'a' })
  canaries.add('workload token', signatureOf(token.value))
  yield { name: 'WorkloadIdentity', value: agent }
  yield { name: 'Acting', value: acting }
  yield { name: 'workload access token', value: token }
  yield {
    name: 'verified workload token',
    value: await agent.verifyWorkloadAccessToken(token.value, { audience: 'a' }),
  }
  yield {
    name: 'refused workload token',
    value: await thrown(agent.verifyWorkloadAccessToken(token.value, { audience: 'b' })),
  }
  const wrong = signingKeys({ keys: [{ ...jwk, crv: 'P-521' } as never] })
  yield { name: 'a signing key that is none', value: await thrown(wrong.load({ name: 'agent' })) }
}

async function* inboundScenes(canaries: Canaries, endpoint: Endpoint): AsyncGenerator<Scene> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }
  const events: AuditEvent[] = []
  const verifier = new InboundVerifier({
    authenticators: [
      jwtBearer({
        issuer: user.issuer,
        jwks: { keys: [jwk as never] },
        allowedAudience: ['agent'],
      }),
    ],
    audit: (event) => events.push(event),
  })
  const sign = (claims: object) =>
    new SignJWT({
      iss: user.issuer,
      sub: 'u1',
      aud: 'agent',
      client_id: 'web',
      exp: Math.floor(Date.now() / 1000) + 300,
      ...claims,
    })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .sign(privateKey)
  const token = await sign({})
  canaries.add('presented token', signatureOf(token))
  const principal = await verifier.verifyToken(token)
  yield { name: 'Principal', value: principal }
  yield { name: 'InboundVerifier', value: verifier }
  const agent = new WorkloadIdentity({ name: 'agent' })
  yield { name: 'Acting for a verified user', value: agent.actFor(principal) }
  yield {
    name: 'actFor() of a copy',
    value: await thrown(async () => agent.actFor({ ...principal })),
  }

  const secret = canaries.make('presented token')
  const text = (value: string) => Buffer.from(value).toString('base64url')
  const presented: Record<string, string> = {
    'for another audience': await sign({ aud: 'other', jti: secret }),
    'of another issuer': await sign({ iss: `https://${secret}.example` }),
    expired: await sign({ exp: 1, jti: secret }),
    'with a changed signature': `${token.slice(0, -8)}AAAAAAAA`,
    'that is no token': secret,
    'of broken JSON': `${text(`{"alg":"ES256" ${secret}`)}.${text(`{"sub": ${secret}`)}.${text(secret)}`,
    'with a kid of its own': `${text(JSON.stringify({ alg: 'ES256', kid: secret }))}.${token.split('.').slice(1).join('.')}`,
    'with an alg of its own': `${text(JSON.stringify({ alg: secret }))}.${token.split('.').slice(1).join('.')}`,
  }
  for (const [what, presentedToken] of Object.entries(presented)) {
    yield { name: `a token ${what}`, value: await thrown(verifier.verifyToken(presentedToken)) }
    const request = new Request('https://a.example/', {
      headers: { authorization: `Bearer ${presentedToken}` },
    })
    const refused = await verifier.authenticate(request)
    if (refused instanceof Response) {
      yield {
        name: `the answer to a token ${what}`,
        value: [...refused.headers, await refused.text()],
      }
    }
  }
  for (const [what, answer] of answers(canaries)) {
    endpoint.answer = answer
    const remote = new InboundVerifier({
      authenticators: [
        jwtBearer({
          issuer: user.issuer,
          jwksUri: `${endpoint.origin}/jwks`,
          allowedAudience: ['agent'],
          allowInsecureLoopback: true,
        }),
      ],
    })
    yield { name: `keys: ${what}`, value: await thrown(remote.verifyToken(token)) }
  }
  yield { name: 'audit events of a verifier', value: events }
}

async function* outboundScenes(canaries: Canaries, endpoint: Endpoint): AsyncGenerator<Scene> {
  const stage = makeStage(canaries, endpoint)
  const { credentials, acting, self, events } = stage
  endpoint.answer = tokens(canaries)
  yield { name: 'M2M token', value: await credentials.getToken(self, { provider: 'idp' }) }
  yield { name: 'API key', value: await credentials.getApiKey(self, { provider: 'search' }) }

  const challenge = await credentials.beginAuthorization(acting, {
    provider: 'idp',
    scopes: ['read'],
  })
  yield { name: 'AuthorizationRequiredError', value: challenge }
  yield {
    name: 'AuthorizationRequiredError of getToken()',
    value: await thrown(credentials.getToken(acting, { provider: 'idp', scopes: ['read'] })),
  }
  const page = await stage.comeBack(challenge.authorizationUrl)
  yield {
    name: 'the page after a consent',
    value: [page.status, ...page.headers, await page.text()],
  }
  if (page.status !== 200) throw new Error(`The consent was not completed: HTTP ${page.status}`)

  const token = await credentials.getToken(acting, { provider: 'idp', scopes: ['read'] })
  yield { name: 'user token', value: token }
  yield {
    name: 'getTokens()',
    value: await credentials.getTokens(acting, [
      { provider: 'idp', scopes: ['read'] },
      { provider: 'idp', scopes: ['more'] },
    ]),
  }
  stage.advance(2 * 3_600_000)
  yield {
    name: 'refreshed token',
    value: await credentials.getToken(acting, { provider: 'idp', scopes: ['read'] }),
  }
  yield { name: 'OutboundCredentialProvider', value: credentials }
  yield { name: 'a provider of it', value: credentials.provider('idp') }
  const inside = await credentials.runAs(acting, async () => currentActing())
  yield { name: 'currentActing()', value: inside }
  const tool = requireToken({ provider: 'idp', scopes: ['read'] }, async (one: AccessToken) => {
    throw new Error(`the tool printed ${one} ${JSON.stringify(one)}`)
  })
  yield { name: 'requireToken()', value: tool }
  yield {
    name: 'a tool that prints its token',
    value: await thrown(credentials.runAs(acting, () => tool())),
  }
  const keyed = requireApiKey({ provider: 'search' }, async (key: Secret) => {
    throw new Error(`the tool printed ${key} ${JSON.stringify(key)}`)
  })
  yield {
    name: 'a tool that prints its key',
    value: await thrown(credentials.runAs(acting, () => keyed())),
  }
  const fetchApi = authenticatedFetch({ provider: 'idp', scopes: ['read'] })
  yield { name: 'authenticatedFetch()', value: fetchApi }
  yield {
    name: 'authenticatedFetch() to another origin',
    value: await thrown(credentials.runAs(acting, () => fetchApi('https://evil.example/'))),
  }
  yield { name: 'audit events of outbound', value: events }
}

/** Every answer that a hostile or broken server may give, at every request that carries secrets. */
async function* answerScenes(canaries: Canaries, endpoint: Endpoint): AsyncGenerator<Scene> {
  for (const [what, answer] of answers(canaries)) {
    const stage = makeStage(canaries, endpoint)
    const { credentials, acting, self, events } = stage
    endpoint.answer = answer
    yield {
      name: `M2M: ${what}`,
      value: await outcome(credentials.getToken(self, { provider: 'idp' })),
    }
    yield {
      name: `discovery: ${what}`,
      value: await thrown(credentials.getToken(self, { provider: 'discovered' })),
    }

    const failing = await credentials.beginAuthorization(acting, { provider: 'idp', scopes: ['a'] })
    const page = await stage.comeBack(failing.authorizationUrl)
    yield { name: `page: ${what}`, value: [page.status, ...page.headers, await page.text()] }
    yield {
      name: `consent: ${what}`,
      value: await outcome(credentials.waitForAuthorization(acting, failing.sessionUri)),
    }

    endpoint.answer = tokens(canaries)
    const good = await credentials.beginAuthorization(acting, { provider: 'idp', scopes: ['b'] })
    await stage.comeBack(good.authorizationUrl)
    stage.advance(2 * 3_600_000)
    endpoint.answer = answer
    yield {
      name: `refresh: ${what}`,
      value: await outcome(credentials.getToken(acting, { provider: 'idp', scopes: ['b'] })),
    }
    yield { name: `audit events: ${what}`, value: events }
  }
  for (const error of foreignErrors(canaries)) {
    const fetch = () => Promise.reject(error)
    const { credentials, self, events } = makeStage(canaries, endpoint, { fetch })
    yield {
      name: `fetch rejects with ${error.name}`,
      value: await thrown(credentials.getToken(self, { provider: 'idp' })),
    }
    yield { name: 'its audit events', value: events }
  }
}

async function* storeScenes(canaries: Canaries, endpoint: Endpoint): AsyncGenerator<Scene> {
  endpoint.answer = tokens(canaries)
  for (const error of foreignErrors(canaries)) {
    const stores: Record<string, VaultStore> = {
      get: { ...memoryStore(), get: () => Promise.reject(error) },
      put: { ...memoryStore(), put: () => Promise.reject(error) },
      keyv: keyvStore(
        new Keyv({
          get: async () => Promise.reject(error),
          set: async () => Promise.reject(error),
          delete: async () => Promise.reject(error),
          on: () => {},
          clear: async () => {},
        } as never) as KeyvLike,
        { processes: 'one' },
      ),
    }
    for (const [method, store] of Object.entries(stores)) {
      const vault = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(7)) })
      const row = { kind: 'grant', owner: ['x'] } as const
      const value = { refreshToken: canaries.make('refresh token') }
      const used = method === 'get' ? vault.read(row) : vault.write(row, value, { replaces: 0 })
      yield { name: `vault, ${method} rejects with ${error.name}`, value: await thrown(used) }
      if (method === 'put') continue
      const { credentials, self, acting, events } = makeStage(canaries, endpoint, {}, { vault })
      yield {
        name: `getToken(), ${method} rejects with ${error.name}`,
        value: await thrown(credentials.getToken(self, { provider: 'idp' })),
      }
      yield {
        name: `beginAuthorization(), ${method} rejects with ${error.name}`,
        value: await thrown(credentials.beginAuthorization(acting, { provider: 'idp' })),
      }
      yield { name: 'their audit events', value: events }
    }
  }
  const garbage = {
    sealed: Buffer.from(`{"refresh_token":"${canaries.make('refresh token')}"}`),
    version: 1,
  }
  const vault = tokenVault({
    store: { ...memoryStore(), get: async () => garbage },
    keys: localKeys(new Uint8Array(32).fill(7)),
  })
  yield { name: 'a row in clear', value: await thrown(vault.read({ kind: 'grant', owner: [] })) }
}

/** Secrets in the wrong option, and functions that fail to give one. */
async function* optionScenes(canaries: Canaries): AsyncGenerator<Scene> {
  const secret = canaries.make('client secret')
  const self = new WorkloadIdentity({ name: 'agent' }).actAsSelf()
  const failures: (() => string)[] = [
    ...foreignErrors(canaries).map((error) => () => {
      throw error
    }),
    () => `${secret}\r\nX-Other: 1`,
    () => ({ secret }) as never,
  ]
  for (const give of failures) {
    const providers = {
      idp: oauth2({
        issuer: 'https://idp.example',
        endpoints: { token: 'https://idp.example/t' },
        clientId: 'c',
        clientSecret: give,
        fetch: () => Promise.reject(new Error(never)),
      }),
      search: apiKey({ key: give }),
    }
    const credentials = new OutboundCredentialProvider({ providers })
    yield {
      name: 'a function that fails to give a client secret',
      value: await thrown(credentials.getToken(self, { provider: 'idp' })),
    }
    yield {
      name: 'a function that fails to give an API key',
      value: await thrown(credentials.getApiKey(self, { provider: 'search' })),
    }
  }
  const wrong: Record<string, () => unknown> = {
    'a password in issuer': () =>
      oauth2({ issuer: `https://user:${secret}@idp.example`, clientId: 'c' }),
    'a secret in the query of issuer': () =>
      oauth2({ issuer: `http://idp.example/?key=${secret}`, clientId: 'c' }),
    'a password in origins': () =>
      apiKey({ key: 'k', origins: [`https://user:${secret}@api.example`] }),
    'the key in header': () => apiKey({ key: 'k', header: `Authorization: Bearer ${secret}` }),
    'a password in the workload’s issuer': () =>
      new WorkloadIdentity({ name: 'agent', issuer: `https://user:${secret}@a.example` }),
    'a key that is too short': () => localKeys(`${secret}--`),
    'a key that is too short, older': () => localKeys(new Uint8Array(32).fill(1), `${secret}--`),
    'text for a key ring': () => tokenVault({ keys: secret as never }),
  }
  for (const [what, run] of Object.entries(wrong)) {
    yield { name: what, value: await thrown(async () => run()) }
  }
}

/** Answers of a server, each with secrets where they do not belong. */
function answers(canaries: Canaries): [string, Answer][] {
  const made: [string, Answer][] = []
  const secret = () => canaries.make('answer')
  const add = (what: string, status: number, body: string, headers: Record<string, string> = {}) =>
    made.push([
      `${what}, HTTP ${status}`,
      (_, response) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
      },
    ])
  for (const status of [200, 400, 401, 500]) {
    const token = { access_token: secret(), refresh_token: secret(), id_token: secret() }
    add(
      'an error that quotes',
      status,
      JSON.stringify({
        ...token,
        error: 'invalid_grant',
        error_description: secret(),
        error_uri: `https://a.example/${secret()}`,
      }),
      { 'www-authenticate': `Bearer error="${secret()}"` },
    )
    add('an error in words', status, JSON.stringify({ error: `no ${secret()}!` }))
    add('an error that is an object', status, JSON.stringify({ error: { message: secret() } }))
    add('HTML', status, `<h1>${secret()}</h1>`, { 'content-type': 'text/html' })
    add('HTML that says it is JSON', status, `<h1>${secret()}</h1>`)
    add('broken JSON', status, `{"access_token": "${secret()}", "token_type": Bearer ${secret()}`)
    add('a list', status, JSON.stringify([secret()]))
    add('a string', status, JSON.stringify(secret()))
    add('no token type', status, JSON.stringify(token))
    add('an odd token type', status, JSON.stringify({ ...token, token_type: secret() }))
    add(
      'a token that is an object',
      status,
      JSON.stringify({ access_token: { value: secret() }, token_type: 'Bearer' }),
    )
    add(
      'a token with a line break',
      status,
      JSON.stringify({ access_token: `${secret()}\r\nX: 1`, token_type: 'Bearer' }),
    )
    add(
      'a scope that is a list',
      status,
      JSON.stringify({ ...token, token_type: 'Bearer', scope: [secret()] }),
    )
    add(
      'a lifetime in words',
      status,
      JSON.stringify({ ...token, token_type: 'Bearer', expires_in: secret() }),
    )
    add(
      'an ID token that is none',
      status,
      JSON.stringify({ ...token, token_type: 'Bearer', id_token: `${secret()}.${secret()}.` }),
    )
    add(
      'another issuer',
      status,
      JSON.stringify({
        issuer: 'https://another.example', // which the error names, so that the operator can compare
        jwks_uri: secret(),
        keys: secret(),
        token_endpoint: secret(),
      }),
    )
    add('too much', status, JSON.stringify({ access_token: secret() }).padEnd(1_100_000))
  }
  add('a redirect', 307, secret(), { location: `https://a.example/?token=${secret()}` })
  const cut = secret()
  made.push([
    'a connection that ends',
    (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
      response.write(`{"access_token":"${cut}`, () => request.socket.resetAndDestroy())
    },
  ])
  made.push(['what is no HTTP', (request) => void request.socket.end(`${cut}\r\n\r\n`)])
  return made
}

/** What parsers, drivers and clients throw, with a secret in every corner of it. */
function foreignErrors(canaries: Canaries): Error[] {
  const secret = canaries.make('foreign error')
  const inner = Object.assign(new Error(`connect ${secret}`), {
    code: 'ECONNRESET',
    address: secret,
    syscall: secret,
  })
  let syntax = new Error(secret)
  try {
    JSON.parse(secret)
  } catch (error) {
    syntax = error as Error
  }
  class ResponseBodyError extends Error {
    override readonly name = 'ResponseBodyError'
    readonly code = 'OAUTH_RESPONSE_BODY_ERROR'
    override readonly cause = { access_token: secret }
    readonly response = { body: secret }
  }
  const named = Object.assign(new Error(secret), {
    name: secret,
    detail: secret,
    query: `INSERT ${secret}`,
    code: secret,
  })
  return [
    new TypeError(`fetch failed ${secret}`, { cause: inner }),
    syntax,
    new ResponseBodyError(secret),
    named,
    new AggregateError([inner, syntax], secret, { cause: named }),
    Object.assign(new Error(secret, { cause: secret }), { toJSON: () => secret, code: 5 }),
  ]
}

/** A good answer to a token request, of fresh secrets. */
function tokens(canaries: Canaries): Answer {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({
        access_token: canaries.make('access token'),
        refresh_token: canaries.make('refresh token'),
        token_type: 'Bearer',
        expires_in: 3600,
      }),
    )
  }
}

interface Endpoint extends AsyncDisposable {
  readonly origin: string
  answer: Answer
}

/** Answers every request as it is told; what requests carry becomes a canary. */
async function startEndpoint(canaries: Canaries): Promise<Endpoint> {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const form = new URLSearchParams(body)
    for (const name of ['code_verifier', 'code', 'client_secret', 'refresh_token']) {
      const value = form.get(name)
      if (value && !value.startsWith('canary-')) canaries.add(name, value)
    }
    response.on('error', () => {})
    endpoint.answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint: Endpoint = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (_, response) => void response.writeHead(404).end(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return endpoint
}

/** One agent at work with the endpoint. */
function makeStage(
  canaries: Canaries,
  endpoint: Endpoint,
  provider: Partial<OAuth2Options> = {},
  options: Partial<OutboundCredentialProviderOptions> = {},
) {
  const events: AuditEvent[] = []
  const audit = (event: AuditEvent) => void events.push(event)
  let nowMs = Date.now()
  const clock = () => nowMs
  const agent = new WorkloadIdentity({ name: 'agent', audit, clock })
  const [acting, self]: Acting[] = [agent.unverifiedUser(user), agent.actAsSelf()]
  const client = {
    issuer: endpoint.origin,
    clientId: 'agent',
    allowInsecureLoopback: true,
    clientSecret: canaries.make('client secret'),
    ...provider,
  } as const
  const endpoints = {
    authorization: `${endpoint.origin}/authorize`,
    token: `${endpoint.origin}/token`,
  }
  const credentials = new OutboundCredentialProvider({
    providers: {
      idp: oauth2({ ...client, endpoints, origins: ['https://api.example'] }),
      discovered: oauth2({ ...client, clientAuth: 'client_secret_post' }),
      search: apiKey({ key: canaries.make('API key') }),
    },
    callbackUrl,
    audit,
    clock,
    ...options,
  })
  return {
    credentials,
    acting: acting!,
    self: self!,
    events,
    advance(ms: number) {
      nowMs += ms
    },
    /** The user's browser comes back from the provider with a code. */
    comeBack(authorizationUrl: string): Promise<Response> {
      const back = new URL(`${callbackUrl}/idp`)
      back.searchParams.set('code', canaries.make('code'))
      back.searchParams.set('state', new URL(authorizationUrl).searchParams.get('state')!)
      return credentials.handleCallback(new Request(back), { user })
    },
  }
}

const signatureOf = (token: string) => token.slice(token.lastIndexOf('.') + 1)

/** What came of it: an ID token that nobody asked for is no reason to refuse an answer. */
const outcome = (task: Promise<unknown>): Promise<unknown> => task.catch((error: unknown) => error)

/** What `run` throws; it must. */
async function thrown(run: Promise<unknown> | (() => Promise<unknown>)): Promise<unknown> {
  try {
    await (typeof run === 'function' ? run() : run)
  } catch (error) {
    return error
  }
  throw new Error('Nothing was thrown where something should have been.')
}
