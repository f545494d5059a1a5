/**
 * What a tool call pays for a token that is in memory already, inside `runAs` as everywhere; and that nobody waits.
 *
 *   npm run bench get-token
 *
 * CPU time, cases interleaved in one process, medians of rounds. The base case is a Map hit in an async function, with
 * the key put together from its parts: the least that an asynchronous API can cost.
 */
import { createServer } from 'node:http'
import { ConfidentialClientApplication } from '@azure/msal-node'
import {
  type Acting,
  currentActing,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  requireToken,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { Keyv } from 'keyv'
import { listen, stop } from '../examples/api-server.js'
import { judge, measure, printCosts, printGoals, quantile } from './rounds.js'

const SCOPE = 'invoices:read'
let requests = 0
let slowMs = 0
const server = createServer((request, response) => {
  request.resume()
  requests++
  const body = JSON.stringify({
    access_token: 'x'.repeat(1_200) + requests,
    token_type: 'Bearer',
    expires_in: 3_600,
    scope: SCOPE,
  })
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  }, slowMs)
})
const origin = await listen(server)
const agent = new WorkloadIdentity({ name: 'bench-agent' })
const billing = oauth2({
  issuer: origin,
  endpoints: { token: `${origin}/token` },
  clientId: 'agent',
  clientSecret: 'agent-secret',
  allowInsecureLoopback: true,
})
const request = { provider: 'billing', scopes: [SCOPE], flow: 'M2M' } as const
const open = (clock?: () => number, cache?: { maxTokens: number }) =>
  new OutboundCredentialProvider({
    providers: { billing },
    vault: tokenVault({
      store: memoryStore({ maxRows: 200_000 }),
      keys: localKeys(new Uint8Array(32).fill(1)),
    }),
    ...(clock ? { clock } : {}),
    ...(cache ? { cache } : {}),
  })

// --- how many requests
const cold = open()
const self = agent.actAsSelf()
await Promise.all(Array.from({ length: 1_000 }, () => cold.getToken(self, request)))
console.log('Cold')
judge('token requests of 1,000 calls at once', [requests], 1, 'at most')

// --- what a hit costs
const user = { issuer: 'https://login.people.example', subject: 'user-0123456789abcdef' }
const acting = agent.unverifiedUser(user)
const warm = open()
await warm.getToken(acting, request)
const map = new Map<string, unknown>()
const keyOf = (who: Acting, provider: string, scopes: readonly string[]) =>
  `${who.workload.name}\0${who.user?.issuer}\0${who.user?.subject}\0${provider}\0${scopes.join(' ')}`
const token = await warm.getToken(acting, request)
map.set(keyOf(acting, 'billing', [SCOPE]), token)
const mapHit = async (who: Acting, wish: typeof request) =>
  map.get(keyOf(who, wish.provider, wish.scopes))
const keyv = new Keyv()
await keyv.set('billing', { value: 'x'.repeat(1_200), expiresAtMs: Date.now() })
const tool = requireToken(request, async (held) => held)

async function msal(): Promise<((count: number) => Promise<void>) | undefined> {
  const authority = 'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555'
  const answer = async (url: string) => {
    const body = url.includes('/token')
      ? { token_type: 'Bearer', expires_in: 3_600, access_token: 'x'.repeat(1_200) }
      : {}
    return { headers: {}, body, status: 200 }
  }
  const application = new ConfidentialClientApplication({
    auth: {
      clientId: 'agent',
      clientSecret: 'agent-secret',
      authority,
      knownAuthorities: ['login.microsoftonline.com'],
      authorityMetadata: JSON.stringify({
        token_endpoint: `${authority}/oauth2/v2.0/token`,
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
        issuer: `${authority}/v2.0`,
        jwks_uri: `${authority}/discovery/v2.0/keys`,
      }),
      cloudDiscoveryMetadata: JSON.stringify({
        tenant_discovery_endpoint: `${authority}/v2.0/.well-known/openid-configuration`,
        'api-version': '1.1',
        metadata: [
          {
            preferred_network: 'login.microsoftonline.com',
            preferred_cache: 'login.windows.net',
            aliases: ['login.microsoftonline.com', 'login.windows.net'],
          },
        ],
      }),
    },
    system: {
      networkClient: {
        sendGetRequestAsync: answer,
        sendPostRequestAsync: answer,
      } as never,
    },
  })
  const get = () =>
    application.acquireTokenByClientCredential({ scopes: ['https://api.example/.default'] })
  await get()
  if ((await get())?.fromCache !== true) return undefined
  return async (count) => {
    for (let i = 0; i < count; i++) await get()
  }
}
const msalRun = await msal()

/** Inside `runAs`, as tools are. */
const inside = (body: () => Promise<unknown>) => (count: number) =>
  warm.runAs(acting, async () => {
    for (let i = 0; i < count; i++) await body()
  })
const samples = await measure([
  { name: 'async Map hit, key put together', run: inside(() => mapHit(currentActing(), request)) },
  { name: 'getToken, in memory', run: inside(() => warm.getToken(currentActing(), request)) },
  {
    name: 'getToken, in memory, a new Acting each time',
    run: inside(() => warm.getToken(agent.unverifiedUser(user), request)),
  },
  { name: 'requireToken, in memory', run: inside(() => tool()) },
  { name: 'Keyv get, memory', run: inside(() => keyv.get('billing')) },
  ...(msalRun ? [{ name: 'msal-node, cached', run: msalRun }] : []),
])
console.log('\nA token in memory, CPU time a call')
printCosts(samples)
printGoals(samples, [
  { of: 'getToken, in memory', against: 'async Map hit, key put together', atLeast: 0.5 },
  { of: 'getToken, in memory', against: 'Keyv get, memory', atLeast: 4.5 },
  ...(msalRun ? [{ of: 'getToken, in memory', against: 'msal-node, cached', atLeast: 70 }] : []),
])
if (!msalRun) console.log('  msal-node did not serve from its cache: not compared')

// --- hits while the token is renewed
async function percentiles(renewing: boolean): Promise<number> {
  let aheadMs = 0
  const credentials = open(() => Date.now() + aheadMs)
  slowMs = renewing ? 300 : 0
  await credentials.getToken(acting, request)
  if (renewing) aheadMs = 55 * 60_000 // past the moment from which it is renewed, far from its end
  const times: number[] = []
  const end = performance.now() + 280
  await credentials.getToken(acting, request)
  while (performance.now() < end) {
    for (let i = 0; i < 200; i++) {
      const from = performance.now()
      await credentials.getToken(acting, request)
      times.push(performance.now() - from)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  slowMs = 0
  await new Promise((resolve) => setTimeout(resolve, 400))
  credentials.close()
  return quantile(times, 0.99)
}
await percentiles(true)
const ratios: number[] = []
for (let round = 0; round < 7; round++) {
  const otherwise = await percentiles(false)
  ratios.push((await percentiles(true)) / otherwise)
}
console.log('\nHits while the token is renewed')
judge('p99 during / p99 otherwise', ratios, 2, 'at most')

// --- memory
const GRANTS = Number(process.env.BENCH_GRANTS ?? 100_000)
const CAP = 10_000
const PLATEAU_MIB = 64
/** Sealed rows are written and forgotten, so that what is measured is the library's own. */
const nowhere = {
  get: async () => undefined,
  put: async () => true,
  delete: async () => {},
  scan: async () => ({ ids: [] }),
}
let issued = 0
const many = new OutboundCredentialProvider({
  providers: {
    billing: oauth2({
      issuer: origin,
      endpoints: { token: `${origin}/token` },
      clientId: 'agent',
      clientSecret: 'agent-secret',
      allowInsecureLoopback: true,
      fetch: async () =>
        Response.json({
          access_token: 'x'.repeat(1_200) + ++issued,
          token_type: 'Bearer',
          expires_in: 3_600,
        }),
    }),
  },
  vault: tokenVault({ store: nowhere, keys: localKeys(new Uint8Array(32).fill(1)) }),
  cache: { maxTokens: CAP },
})
const used = () => {
  gc?.()
  gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}
/** Each is an agent of its own, with a grant of its own. */
async function fill(from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 100) {
    const wishes = Array.from({ length: Math.min(100, to - i) }, (_, n) =>
      many.getToken(new WorkloadIdentity({ name: `agent-${i + n}` }).actAsSelf(), request),
    )
    await Promise.all(wishes)
  }
}
await fill(0, 100)
const empty = used()
await fill(100, CAP)
const full = used()
await fill(CAP, GRANTS)
const after = used()
console.log('\nMemory')
console.log(`  ${CAP} tokens in memory: ${(full - empty).toFixed(1)} MiB`)
judge(
  `MiB after ${GRANTS} grants, at most ${CAP} of them in memory`,
  [after - empty],
  PLATEAU_MIB,
  'at most',
)

many.close()
await stop(server)
