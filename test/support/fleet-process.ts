/**
 * One process of a fleet, for the proofs: does what its parent tells it, over a store of its own connection, and can be
 * made to stop or die at a named point. The points are in its store and its fetch, not in the library.
 */
import { writeSync } from 'node:fs'
import { OutboundCredentialProvider } from '../../src/outbound/credential-provider.js'
import type { Timing } from '../../src/outbound/timing.js'
import { oauth2 } from '../../src/providers/oauth2.js'
import { localKeys } from '../../src/vault/key-ring.js'
import type { VaultStore } from '../../src/vault/store.js'
import { tokenVault } from '../../src/vault/token-vault.js'
import { WorkloadIdentity } from '../../src/workload/identity.js'
import { storeOfParent } from './fleet-store.js'
import { openStore, type StoreSpec } from './open-store.js'

export interface FleetConfig {
  /** `parent`: the parent's own, over IPC. */
  readonly store: StoreSpec | 'parent'
  readonly issuer: string
  readonly token?: string
  readonly resource?: string
  readonly callbackUrl: string
  readonly key: string
  readonly timeoutMs?: number
  readonly timing?: Partial<Omit<Timing, 'monotonic'>>
}

/** Where to stop: `put 1 after` is when the first write of the order has returned. */
export interface Stop {
  readonly at: string
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}

export type FleetTask =
  | {
      readonly what: 'get'
      readonly subject: string
      readonly calls: number
      readonly self?: boolean
    }
  | { readonly what: 'begin'; readonly subject: string }
  | { readonly what: 'callback'; readonly subject: string; readonly url: string }
  | { readonly what: 'disconnect'; readonly subject: string }
  /** How many steps of the store the order before took. */
  | { readonly what: 'steps' }

export type FleetOrder = FleetTask & {
  readonly kind: 'order'
  readonly id: number
  readonly aheadMs?: number
  readonly stop?: Stop
  /** For so long from now on its store fails. */
  readonly storeFailsMs?: number
}

export interface FleetAnswer {
  readonly kind: 'answer'
  readonly id: number
  /** Tokens, codes of errors, or what else was asked for. */
  readonly results: readonly string[]
}

const config = JSON.parse(process.argv[2] ?? '') as FleetConfig
let aheadMs = 0
let stop: Stop | undefined
let counts = new Map<string, number>()
let before = counts
let storeFailsUntilMs = 0

function reach(point: string): void {
  if (stop?.at !== point) return
  const { signal } = stop
  stop = undefined
  // Synchronously, so that the parent knows before this process is gone.
  if (signal === 'SIGSTOP') writeSync(1, 'stopped\n')
  process.kill(process.pid, signal)
}

async function through<T>(kind: string, step: () => Promise<T>): Promise<T> {
  if (kind !== 'fetch' && performance.now() < storeFailsUntilMs) throw new Error('away')
  const count = (counts.get(kind) ?? 0) + 1
  counts.set(kind, count)
  reach(`${kind} ${count} before`)
  const result = await step()
  reach(`${kind} ${count} after`)
  return result
}

const inner: VaultStore =
  config.store === 'parent' ? storeOfParent() : (await openStore(config.store)).store
const store: VaultStore = {
  get: (id) => through('get', () => inner.get(id)),
  put: (id, row, options) => through('put', () => inner.put(id, row, options)),
  delete: (id) => inner.delete(id),
  scan: (cursor) => inner.scan(cursor),
}
const person = (subject: string) => ({ issuer: 'https://people.example', subject })
const credentials = new OutboundCredentialProvider(
  {
    providers: {
      calendar: oauth2({
        issuer: config.issuer,
        clientId: 'agent',
        clientSecret: 'agent-secret',
        allowInsecureLoopback: true,
        timeoutMs: config.timeoutMs ?? 10_000,
        fetch: (input, init) => through('fetch', () => fetch(input, init)),
        ...(config.resource === undefined ? {} : { resource: config.resource }),
        ...(config.token === undefined
          ? {}
          : { endpoints: { token: config.token, authorization: `${config.issuer}/auth` } }),
      }),
    },
    vault: tokenVault({ store, keys: localKeys(config.key) }),
    callbackUrl: config.callbackUrl,
    allowInsecureLoopback: true,
    clock: () => Date.now() + aheadMs,
  },
  config.timing ?? {},
)
const agent = new WorkloadIdentity({ name: 'test-agent' })
const request = { provider: 'calendar', scopes: ['read'] } as const

async function run(task: FleetTask): Promise<readonly string[]> {
  if (task.what === 'steps') return [`${(before.get('get') ?? 0) + (before.get('put') ?? 0)}`]
  const acting = agent.unverifiedUser(person(task.subject))
  const code = (error: { code?: string }) => String(error.code)
  if (task.what === 'get') {
    const who = task.self ? agent.actAsSelf() : acting
    return Promise.all(
      Array.from({ length: task.calls }, () =>
        credentials.getToken(who, request).then((token) => token.value, code),
      ),
    )
  }
  if (task.what === 'begin') {
    const { authorizationUrl, sessionUri } = await credentials.beginAuthorization(acting, request)
    return [authorizationUrl, sessionUri]
  }
  if (task.what === 'disconnect') {
    const { removed, revoked } = await credentials.disconnect(acting, { provider: 'calendar' })
    return [`${removed}`, `${revoked}`]
  }
  const { status } = await credentials.handleCallback(new Request(task.url), {
    user: person(task.subject),
  })
  return [`${status}`]
}

process.on('message', async (order: FleetOrder) => {
  if (order.kind !== 'order') return
  aheadMs = order.aheadMs ?? aheadMs
  stop = order.stop
  storeFailsUntilMs = performance.now() + (order.storeFailsMs ?? 0)
  before = counts
  counts = new Map()
  const results = await run(order).catch((error: { code?: string }) => [
    String(error.code ?? error),
  ])
  process.send!({ kind: 'answer', id: order.id, results } satisfies FleetAnswer)
})
process.send!({ kind: 'ready' })
