/**
 * A Worker as Workers are written: everything is made at the top of the module, where the platform gives neither network
 * nor timers nor randomness, and every request uses it.
 *
 * `/<use>/<set>` answers 200, or what the verifier answers. Each set is made of objects of its own. With `?leave` it answers
 * `left` as soon as the server outside was reached: the request ends before its work. With `?kept` that work is given to
 * `waitUntil()`.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type AccessToken,
  InboundVerifier,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { introspection, jwtBearer, sigv4, stsIdentity } from 'deputize/inbound'
// @ts-expect-error The test puts this module beside the bundle.
import given from './given.mjs'
import { type Use, uses } from './module-scope-uses.js'

/** What the test hands over. */
export interface WorkerInput {
  /** The server that stands for everything outside. */
  readonly origin: string
  /** Names of the sets. */
  readonly sets: readonly string[]
  readonly secretAccessKey: string
}

interface Context {
  waitUntil(work: Promise<unknown>): void
}

const { origin, sets, secretAccessKey } = given as WorkerInput
const loopback = { allowInsecureLoopback: true } as const
const client = { clientId: 'agent', clientSecret: 'agent-secret' }
const agent = new WorkloadIdentity({ name: 'worker', issuer: 'https://agents.example.com' })
const user = { issuer: 'https://login.example.com', subject: 'ana' }
const requests = new AsyncLocalStorage<Context>()

type Work = (request: Request) => Promise<Response>

function verified(authenticator: ReturnType<typeof jwtBearer>): Work {
  let reason: string | undefined
  const verifier = new InboundVerifier({
    authenticators: [authenticator],
    resource: 'https://agent.example.com',
    audit: (event) => {
      if (event.type === 'caller_refused') ({ reason } = event)
    },
  })
  return async (request) => {
    const caller = await verifier.authenticate(request)
    if (!(caller instanceof Response)) return new Response(caller.subject)
    const headers = new Headers(caller.headers)
    headers.delete('content-length')
    return new Response(reason, { status: caller.status, headers })
  }
}

function provider(issuer: string, hasWaitUntil: boolean) {
  return new OutboundCredentialProvider({
    providers: { api: oauth2({ issuer, ...client, ...loopback }) },
    vault: tokenVault({ store: memoryStore(), keys: localKeys(new Uint8Array(32).fill(7)) }),
    callbackUrl: 'http://127.0.0.1:1/callback',
    identifyUser: () => user,
    cache: false,
    ...(hasWaitUntil ? { waitUntil: (work) => requests.getStore()?.waitUntil(work) } : {}),
    ...loopback,
  })
}

function makeUse(use: Use, set: string): Work {
  const issuer = `${origin}/${use}/${set}`
  const rules = { issuer, allowedAudience: ['agent'], ...loopback }
  const jwksUri = `${issuer}/jwks`
  if (use === 'keys') return verified(jwtBearer({ ...rules, jwksUri }))
  if (use === 'discovery') return verified(jwtBearer(rules))
  if (use === 'introspection') return verified(introspection({ ...rules, ...client }))
  if (use === 'dpop') {
    const nonceSecret = async () => (await fetch(`${issuer}/secret`)).text()
    return verified(jwtBearer({ ...rules, jwksUri, dpop: { nonceSecret } }))
  }
  if (use === 'sigv4') {
    const credentials = async () => {
      await fetch(`${issuer}/secret`)
      return { secretAccessKey }
    }
    return verified(sigv4({ region: 'eu-west-1', service: 'agent', credentials }))
  }
  if (use === 'sts') {
    const toLoopback = ((_: unknown, init?: RequestInit) =>
      fetch(`${issuer}/sts`, init)) as typeof fetch
    return verified(
      stsIdentity({ serverId: 'agent', allowedAccounts: ['111122223333'], fetch: toLoopback }),
    )
  }
  const credentials = provider(issuer, use === 'refresh-with-waitUntil')
  if (use === 'm2m') {
    return async () => {
      await credentials.getToken(agent.actAsSelf(), { provider: 'api' })
      return new Response('ana')
    }
  }
  let last: AccessToken | undefined
  return async (request) => {
    const { search, searchParams } = new URL(request.url)
    if (searchParams.has('code')) {
      return credentials.handleCallback(new Request(`http://127.0.0.1:1/callback/api${search}`))
    }
    // The API refuses the token in hand each time, so each call renews it.
    const rejected = last === undefined ? {} : { rejected: last }
    last = await credentials.getToken(agent.unverifiedUser(user), { provider: 'api', ...rejected })
    return new Response('ana')
  }
}

const works = new Map<string, Work>(
  sets.flatMap((set) => uses.map((use) => [`/${use}/${set}`, makeUse(use, set)] as const)),
)

async function answer(work: Work, request: Request): Promise<Response> {
  try {
    return await work(request)
  } catch (error) {
    const { code, reason, message, authorizationUrl } = error as Record<string, unknown>
    const status = authorizationUrl ? 401 : 500
    return Response.json({ code, reason, message, authorizationUrl }, { status })
  }
}

export default {
  fetch(request: Request, _: unknown, context: Context): Promise<Response> {
    return requests.run(context, async () => {
      const { pathname, searchParams } = new URL(request.url)
      const work = works.get(pathname)
      if (!work) return new Response('no such use', { status: 404 })
      const running = answer(work, request)
      if (!searchParams.has('leave')) return running
      if (searchParams.has('kept')) context.waitUntil(running)
      await fetch(`${origin}/reached${pathname}`)
      return new Response('left')
    })
  },
}
