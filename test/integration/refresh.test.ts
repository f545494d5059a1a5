import {
  type AccessToken,
  memoryStore,
  NetworkError,
  OAuthRefusedError,
  type OutboundCredentialProvider,
  oauth2,
  VaultUnavailableError,
} from 'deputize'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { API, type ConsentRig, challengeOf, startConsentRig, user } from '../support/consent-rig.js'
import {
  type FailingStore,
  type FaultProxy,
  failingStore,
  printed,
  startFaultProxy,
} from '../support/faults.js'
import { type HostileServer, replyJson, startHostileServer } from '../support/hostile-server.js'

const HOUR = 3_600_000
const read = { provider: 'calendar', scopes: ['read'] } as const

let rig: ConsentRig
let proxy: FaultProxy
let people = 0
beforeAll(async () => {
  rig = await startConsentRig()
  proxy = await startFaultProxy(rig.services.issuer)
})
afterAll(async () => {
  await rig.close()
  await proxy[Symbol.asyncDispose]()
})
beforeEach(() => {
  rig.aheadMs = 0
  proxy.faults.length = 0
})

const server = (extra: object = {}) =>
  oauth2({
    issuer: rig.services.issuer,
    clientId: 'agent',
    clientSecret: 'agent-secret',
    resource: API,
    allowInsecureLoopback: true,
    timeoutMs: 30_000,
    ...extra,
  })

/** The same server and client, its token endpoint behind the proxy: the provider has the name that its redirect URI has. */
const proxied = (timeoutMs = 30_000) => ({
  calendar: server({
    timeoutMs,
    endpoints: {
      authorization: `${rig.services.issuer}/auth`,
      token: `${proxy.origin}/token`,
    },
  }),
})

/** A process with a consented grant, and the means to start others over the same store. */
interface ConnectedOptions {
  readonly behindProxy?: boolean
  /** Of a request to the proxy. */
  readonly timeoutMs?: number
  readonly timing?: NonNullable<Parameters<ConsentRig['open']>[0]>['timing']
}

async function connected(options: ConnectedOptions = {}) {
  const name = `user${++people}`
  const store = failingStore()
  const providers = options.behindProxy ? proxied(options.timeoutMs) : {}
  const open = (extra: Parameters<ConsentRig['open']>[0] = {}) =>
    rig.open({ store, providers, ...(options.timing && { timing: options.timing }), ...extra })
  const credentials = open()
  rig.serving = credentials
  const acting = rig.agent.unverifiedUser(user(name))
  const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
  await rig.consent(authorizationUrl, name)
  const first = await credentials.getToken(acting, read)
  const from = rig.tokenRequests()
  return {
    store,
    open,
    credentials,
    acting,
    first,
    requests: () => rig.tokenRequests() - from,
    get: (from: OutboundCredentialProvider = credentials) => from.getToken(acting, read),
  }
}

const distinct = (tokens: readonly AccessToken[]) => new Set(tokens.map((one) => one.value)).size

describe('refresh on a provider that rotates and ends the family at reuse', () => {
  it('goes on through rotation after rotation (O28)', async () => {
    const { get, first, requests } = await connected()
    const values = new Set([first.value])
    for (let round = 1; round <= 5; round++) {
      rig.aheadMs += 2 * HOUR
      values.add((await get()).value)
      expect(requests()).toBe(round)
    }
    expect(values.size).toBe(6)
  })

  it.each([8, 200])(
    'makes one request of %i concurrent refreshes, and the family lives (O27)',
    async (n) => {
      const { get, requests } = await connected()
      rig.aheadMs += 2 * HOUR
      expect(distinct(await Promise.all(Array.from({ length: n }, () => get())))).toBe(1)
      expect(requests()).toBe(1)
      rig.aheadMs += 2 * HOUR
      await get()
      expect(requests()).toBe(2)
    },
  )

  it('makes one request of calls for different scopes of one grant (O27)', async () => {
    const { credentials, acting, requests } = await connected()
    rig.aheadMs += 2 * HOUR
    const wanted = [['read'], [], ['read'], undefined]
    const tokens = await Promise.all(
      wanted.map((scopes) => credentials.getToken(acting, { provider: 'calendar', scopes })),
    )
    expect([distinct(tokens), requests()]).toEqual([1, 1])
  })

  it('makes one request of four processes with one store (O28, P11)', async () => {
    const { open, get, requests } = await connected()
    const processes = Array.from({ length: 4 }, () => open())
    for (let round = 1; round <= 3; round++) {
      rig.aheadMs += 2 * HOUR
      const calls = processes.flatMap((one) => [get(one), get(one)])
      expect(distinct(await Promise.all(calls))).toBe(1)
      expect(requests()).toBe(round)
    }
  })

  it('renews a token that the resource refused, once for all who hold it (O35)', async () => {
    const { credentials, acting, first, requests } = await connected()
    const again = await Promise.all(
      Array.from({ length: 8 }, () => credentials.getToken(acting, { ...read, rejected: first })),
    )
    expect([distinct(again), requests()]).toEqual([1, 1])
    expect(again[0]!.value).not.toBe(first.value)
    // Who comes later with the old one gets the newer one without a request.
    const late = await credentials.getToken(acting, { ...read, rejected: first })
    expect([late.value, requests()]).toEqual([again[0]!.value, 1])
  })

  it('renews a token when less than a minute is left, and not before (O34)', async () => {
    const { get, first, requests } = await connected()
    rig.aheadMs = HOUR - 65_000
    expect((await get()).value).toBe(first.value)
    rig.aheadMs = HOUR - 59_000
    expect((await get()).value).not.toBe(first.value)
    expect(requests()).toBe(1)
  })

  it('serves on when a clock goes back by minutes, and renews when it goes back by hours (O34)', async () => {
    const { get, first, requests } = await connected()
    rig.aheadMs = -4 * 60_000
    expect((await get()).value).toBe(first.value)
    const from = rig.audit.length
    rig.aheadMs = -2 * HOUR
    const renewed = (await get()).value
    expect([renewed === first.value, requests()]).toEqual([false, 1])
    const told = rig.audit.slice(from).filter((event) => event.type === 'clock_differs')
    expect(told).toMatchObject([{ provider: 'calendar', flow: 'USER_FEDERATION' }])
    // Nor is it served when the clock is right again: nobody knows when it ends.
    rig.aheadMs = 0
    expect((await get()).value).not.toBe(first.value)
  })

  it('reads each row once for callers who come at once (P11)', async () => {
    const { store, open, acting } = await connected()
    rig.aheadMs += 2 * HOUR
    const credentials = open({ cache: false })
    await credentials.connections(acting) // the vault has the key of its index then
    const gets = vi.spyOn(store, 'get')
    const puts = store.puts
    await Promise.all(Array.from({ length: 50 }, () => credentials.getToken(acting, read)))
    // The accounts, the grant, the grant once the lease was taken; the lease, the grant, and the lease given back.
    expect([gets.mock.calls.length, store.puts - puts]).toEqual([3, 3])
    gets.mockClear()
    await Promise.all(Array.from({ length: 50 }, () => credentials.getToken(acting, read)))
    expect(gets).toHaveBeenCalledTimes(2)
  })

  it('reads one row to look a token in memory up again', async () => {
    const { store, get } = await connected()
    await get()
    const gets = vi.spyOn(store, 'get')
    for (let round = 1; round <= 5; round++) {
      rig.aheadMs += 11_000
      await get()
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(gets).toHaveBeenCalledTimes(round)
    }
  })

  it('tells every refresh once, whoever shared it', async () => {
    const { get } = await connected()
    rig.aheadMs += 2 * HOUR
    const from = rig.audit.length
    await Promise.all(Array.from({ length: 5 }, () => get()))
    const types = rig.audit.slice(from).map((event) => event.type)
    expect(types.filter((type) => type === 'token_refreshed')).toHaveLength(1)
    expect(types.filter((type) => type === 'token_served')).toHaveLength(4)
  })
})

it('tells a refresh also when its caller went away', async () => {
  const { credentials, acting, get } = await connected()
  rig.aheadMs += 2 * HOUR
  const from = rig.audit.length
  const controller = new AbortController()
  const leaving = credentials.getToken(acting, { ...read, signal: controller.signal })
  controller.abort(new Error('gone'))
  await expect(leaving).rejects.toThrow('gone')
  await get()
  const types = rig.audit.slice(from).map((event) => event.type)
  expect(types.filter((type) => type === 'token_refreshed')).toHaveLength(1)
})

describe('when the user revoked the grant', () => {
  it('asks for consent, tells it once, and does not ask the server again (O29, O54)', async () => {
    const { get, requests, credentials, acting } = await connected()
    rig.aheadMs += 2 * HOUR
    // The server forgets its grants: what a user does on the provider's own page.
    const { RefreshToken } = rig.services.provider as unknown as {
      RefreshToken: { find(value: string): Promise<unknown> }
    }
    const find = RefreshToken.find
    RefreshToken.find = async () => undefined
    try {
      const from = rig.audit.length
      const links = await Promise.all(Array.from({ length: 8 }, () => challengeOf(get())))
      expect(new Set(links.map((one) => one.sessionUri)).size).toBe(1)
      expect(requests()).toBe(1)
      const lost = rig.audit.slice(from).filter((event) => event.type === 'grant_lost')
      expect(lost).toMatchObject([{ reason: 'invalid_grant' }])
    } finally {
      RefreshToken.find = find
    }
    await challengeOf(credentials.getToken(acting, read))
    expect(requests()).toBe(1)
  })
})

describe('a transient failure', () => {
  it.each([
    ['503 with Retry-After', { status: 503, headers: { 'retry-after': '7' } }, OAuthRefusedError],
    ['429', { status: 429 }, OAuthRefusedError],
    [
      '500 with a page',
      { status: 500, headers: { 'content-type': 'text/html' } },
      OAuthRefusedError,
    ],
    ['502', { status: 502 }, OAuthRefusedError],
    ['504', { status: 504 }, OAuthRefusedError],
    ['a reset connection', 'reset', NetworkError],
    ['silence', 'hang', NetworkError],
  ] as const)('keeps the grant: %s (P06, P08)', async (_, fault, type) => {
    const timeoutMs = fault === 'hang' ? 2_000 : 30_000
    const { get, requests } = await connected({ behindProxy: true, timeoutMs })
    rig.aheadMs += 2 * HOUR
    // Silence and a broken connection are tried once more: nobody knows whether the server has acted.
    proxy.faults.push(...(typeof fault === 'string' ? [fault, fault] : [fault]))
    const error = await get().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ retryable: true })
    if (typeof fault === 'object' && 'headers' in fault && fault.status === 503) {
      expect(error).toMatchObject({ retryAfterMs: 7_000 })
    }
    if (typeof fault === 'object' && fault.status === 429) {
      // It was said to this grant; its cool-down is for every caller.
      await expect(get()).rejects.toMatchObject({ code: 'ERR_SERVER_UNAVAILABLE' })
      rig.aheadMs += 3_000
    }
    await get()
    expect(requests()).toBe(1)
  })

  it('leaves the row free for another process at once', async () => {
    // Who had to wait for the end of the lease would not come back before the test is ended.
    const timing = { leaseMs: HOUR, skewMs: HOUR }
    const { get, open, requests } = await connected({ behindProxy: true, timing })
    rig.aheadMs += 2 * HOUR
    proxy.faults.push({ status: 503 })
    await expect(get()).rejects.toBeInstanceOf(OAuthRefusedError)
    await get(open())
    expect(requests()).toBe(1)
  })

  it.each([
    'reset',
    'hang',
    { status: 503 },
    { status: 408 },
    { status: 302 },
    { status: 200 },
  ] as const)(
    'does not keep a token that is still good from being served: %j (P06)',
    async (fault) => {
      const timeoutMs = fault === 'hang' ? 2_000 : 30_000
      const { get, first } = await connected({ behindProxy: true, timeoutMs })
      rig.aheadMs = HOUR - 30_000
      proxy.faults.push(fault)
      expect((await get()).value).toBe(first.value)
      // It is not asked again at once (D05).
      const seen = proxy.seen.length
      expect((await get()).value).toBe(first.value)
      expect(proxy.seen.length).toBe(seen)
      rig.aheadMs += 25_000
      expect((await get()).value).not.toBe(first.value)
    },
  )

  it('does not serve the token that the resource refused', async () => {
    const { credentials, acting, first } = await connected({ behindProxy: true })
    proxy.faults.push({ status: 503 })
    await expect(credentials.getToken(acting, { ...read, rejected: first })).rejects.toBeInstanceOf(
      OAuthRefusedError,
    )
  })

  it('whose outcome is unknown ends in consent at worst, never in a loop (P09, O32)', async () => {
    const { get } = await connected({ behindProxy: true })
    rig.aheadMs += 2 * HOUR
    proxy.faults.push('reset-after')
    const seen = proxy.seen.length
    await challengeOf(get()) // the server saw the same refresh token twice and ended the family
    expect(proxy.seen.length - seen).toBe(2)
    await challengeOf(get())
    expect(proxy.seen.length - seen).toBe(2)
  })

  it('of a wrong client secret keeps the grant for the right one', async () => {
    const { open, get } = await connected()
    rig.aheadMs += 2 * HOUR
    const misconfigured = open({
      providers: { calendar: server({ clientSecret: 'not-the-s3cret' }) },
    })
    const error = await get(misconfigured).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ oauthError: 'invalid_client', retryable: false })
    expect(printed(error)).not.toContain('not-the-s3cret')
    await get()
  })
})

describe('a store that fails', () => {
  it('before the refresh: no refresh token is spent', async () => {
    const { store, get, requests } = await connected()
    rig.aheadMs += 2 * HOUR
    store.failPut = () => true
    await expect(get()).rejects.toBeInstanceOf(VaultUnavailableError)
    store.failPut = undefined
    store.failGet = () => true
    const error = await get().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(VaultUnavailableError)
    expect(printed(error)).not.toContain('store-password')
    store.failGet = undefined
    expect(requests()).toBe(0)
    await get()
    expect(requests()).toBe(1)
  })

  /** Fails from the write after the claim on, until it is told to stop. */
  function failAfterClaim(store: FailingStore): void {
    const claim = store.puts + 1
    store.failPut = () => store.puts > claim
  }

  it('at the write after the refresh: nothing is lost once it is back (O31)', async () => {
    const { store, get, first, requests } = await connected()
    rig.aheadMs += 2 * HOUR
    failAfterClaim(store)
    const errors = await Promise.all(
      Array.from({ length: 5 }, () => get().catch((reason: unknown) => reason)),
    )
    for (const error of errors) expect(error).toBeInstanceOf(VaultUnavailableError)
    expect(requests()).toBe(1)
    store.failPut = undefined
    const saved = await get()
    expect(saved.value).not.toBe(first.value)
    expect(requests()).toBe(1)
    rig.aheadMs += 2 * HOUR
    await get()
    expect(requests()).toBe(2)
  })

  it('at the write after the refresh: it is written though nobody asks this process again (O31)', async () => {
    const { store, open, get, requests } = await connected()
    const works: Promise<unknown>[] = []
    const credentials = open({ waitUntil: (work) => void works.push(work) })
    rig.aheadMs += 2 * HOUR
    failAfterClaim(store)
    await expect(get(credentials)).rejects.toBeInstanceOf(VaultUnavailableError)
    expect(works).toHaveLength(2) // the refresh, and the write that goes on after it
    store.failPut = undefined
    await Promise.all(works)
    await get(open())
    expect(requests()).toBe(1)
    rig.aheadMs += 2 * HOUR
    await get(open())
    expect(requests()).toBe(2)
  })

  it('is written when the process closes, and told where it cannot be', async () => {
    const { store, open, get, requests, acting } = await connected()
    const closing = open()
    rig.aheadMs += 2 * HOUR
    failAfterClaim(store)
    await expect(get(closing)).rejects.toBeInstanceOf(VaultUnavailableError)
    store.failPut = undefined
    expect(await closing.close()).toEqual({ grants: [], consents: 0 })
    await get(open())
    expect(requests()).toBe(1)

    const unlucky = open()
    rig.aheadMs += 2 * HOUR
    failAfterClaim(store)
    await expect(get(unlucky)).rejects.toBeInstanceOf(VaultUnavailableError)
    const from = rig.audit.length
    const { grants } = await unlucky.close()
    store.failPut = undefined
    const name = { provider: 'calendar', flow: 'USER_FEDERATION', user: acting.user }
    expect(grants).toMatchObject([name])
    const told = rig.audit.slice(from).filter((event) => event.type === 'grant_at_risk')
    expect(told).toMatchObject([{ ...name, reason: 'not_written' }])
  })

  it('frees the row when the process closes in the middle of a refresh', async () => {
    const { open, get, requests } = await connected()
    const closing = open()
    rig.aheadMs += 2 * HOUR
    const last = get(closing)
    while (requests() === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    await using _ = closing
    await closing.close()
    expect((await last).value).toBe((await get(open())).value)
    expect(requests()).toBe(1)
  })

  it('for a moment at the write after the refresh: the caller does not notice (O31)', async () => {
    const { store, get, requests } = await connected()
    rig.aheadMs += 2 * HOUR
    const claim = store.puts + 1
    store.failPut = () => store.puts === claim + 1 || store.puts === claim + 2
    await get()
    expect(requests()).toBe(1)
  })

  it('at the write after a consent: the grant is in memory, and written once the store is back (O31, P01)', async () => {
    const name = `user${++people}`
    const store = failingStore()
    const credentials = rig.open({ store })
    rig.serving = credentials
    const acting = rig.agent.unverifiedUser(user(name))
    const { authorizationUrl, sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const claim = store.puts + 2 // the number of the consent, and its session
    store.failPut = () => store.puts > claim
    expect((await rig.browserOf(name).open(callback)).status).toBeGreaterThanOrEqual(500)
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('pending')
    await expect(credentials.getToken(acting, read)).rejects.toBeInstanceOf(VaultUnavailableError)
    store.failPut = undefined
    // Nobody asks, and yet it is written; who waits for the consent is told.
    await credentials.waitForAuthorization(acting, sessionUri, { timeoutMs: 5_000 })
    await rig.open({ store }).getToken(acting, read)
  })

  it('for a moment at the write after a consent: the user does not notice (O31)', async () => {
    const name = `user${++people}`
    const store = failingStore()
    const credentials = rig.open({ store })
    rig.serving = credentials
    const acting = rig.agent.unverifiedUser(user(name))
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const claim = store.puts + 2 // the number of the consent, and its session
    store.failPut = () => store.puts === claim + 1
    expect((await rig.browserOf(name).open(callback)).status).toBe(200)
    await credentials.getToken(acting, read)
  })
})

describe('leases', () => {
  /** A server whose refresh tokens rotate without families, and a process that stands still in the middle of a refresh. */
  let hostile: HostileServer
  let current = 'rt-0'
  let issued = 0
  beforeAll(async () => {
    hostile = await startHostileServer()
    hostile.routes.set('/token', (response, request) => {
      const { form } = request
      if (form.get('grant_type') === 'refresh_token') {
        if (form.get('refresh_token') !== current) {
          return replyJson({ error: 'invalid_grant' }, 400)(response, request)
        }
        current = `rt-${++issued}`
      }
      const body = {
        access_token: `at-${issued}`,
        token_type: 'bearer',
        expires_in: 3600,
        refresh_token: current,
      }
      replyJson(body)(response, request)
    })
  })
  afterAll(() => hostile[Symbol.asyncDispose]())

  async function twoProcesses() {
    const rows = memoryStore()
    // The store as the slow process has it: a process that stands still renews nothing.
    const store = failingStore(rows)
    const timing = { leaseMs: 2_000, skewMs: 1_000, pollMs: 20 }
    let stopped: (() => void) | undefined
    let asked!: () => void
    const standsStill = new Promise<void>((resolve) => {
      asked = resolve
    })
    /** Between the claim and the request the process stops, as with SIGSTOP or a long collection. */
    const slowFetch: typeof fetch = async (input, init) => {
      if (init?.method === 'POST' && String(init.body).includes('refresh_token')) {
        asked()
        await new Promise<void>((resolve) => {
          stopped = resolve
        })
        return fetch(input, { ...init, signal: null })
      }
      return fetch(input, init)
    }
    const provider = (extra: object = {}) => ({
      calendar: server({
        issuer: hostile.issuer,
        resource: undefined,
        timeoutMs: 30_000,
        ...extra,
      }),
    })
    const slow = rig.open({ store, timing, providers: provider({ fetch: slowFetch }) })
    const quick = rig.open({ store: rows, timing, providers: provider() })
    rig.serving = slow
    const name = `user${++people}`
    const acting = rig.agent.unverifiedUser(user(name))
    const { authorizationUrl } = await challengeOf(slow.getToken(acting, read))
    const state = new URL(authorizationUrl).searchParams.get('state')
    await rig.browserOf(name).open(`${rig.origin}/oauth/callback/calendar?code=c&state=${state}`)
    await slow.getToken(acting, read)
    rig.aheadMs += 2 * HOUR
    const first = slow.getToken(acting, read)
    await standsStill
    return { acting, quick, slow, first, store, resume: () => stopped?.() }
  }

  it('keep a second process from the server while the first has one, and end by themselves (O30)', async () => {
    const { acting, quick, slow, first, store, resume } = await twoProcesses()
    const before = hostile.tokenRequests().length
    let settled = false
    const second = quick.getToken(acting, read).finally(() => {
      settled = true
    })
    // One lease is renewed four times: after eight writes two leases would have ended.
    let renewals = 0
    store.failPut = () => {
      renewals++
      return false
    }
    await expect.poll(() => renewals).toBeGreaterThan(8)
    expect([settled, hostile.tokenRequests().length - before]).toEqual([false, 0])
    store.failPut = () => true
    const token = await second
    expect(hostile.tokenRequests().length - before).toBe(1)
    store.failPut = undefined
    // The first one wakes up: the server refuses its spent token, it reads again and serves what the other wrote.
    resume()
    expect((await first).value).toBe(token.value)
    expect((await slow.getToken(acting, read)).value).toBe(token.value)
    expect((await quick.getToken(acting, read)).value).toBe(token.value)
  })

  it('of a process that comes back in time are its own: the other waits and shares (O28)', async () => {
    const { acting, quick, first, resume } = await twoProcesses()
    const before = hostile.tokenRequests().length
    const second = quick.getToken(acting, read)
    resume()
    expect((await second).value).toBe((await first).value)
    expect(hostile.tokenRequests().length - before).toBe(1)
  })

  it('let a waiting caller go when its signal aborts', async () => {
    const { acting, quick, first, resume } = await twoProcesses()
    const reason = new Error('enough')
    const controller = new AbortController()
    const second = quick.getToken(acting, { ...read, signal: controller.signal })
    setTimeout(() => controller.abort(reason), 20)
    await expect(second).rejects.toBe(reason)
    resume()
    await first
  })
})
