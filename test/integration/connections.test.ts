import { type OutboundCredentialProvider, oauth2, VaultUnavailableError } from 'deputize'
import { startAuthorizationServer } from 'deputize/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ConsentRig, challengeOf, startConsentRig, user } from '../support/consent-rig.js'
import { failingStore } from '../support/faults.js'
import { type HostileServer, replyJson, startHostileServer } from '../support/hostile-server.js'

const HOUR = 3_600_000
const read = { provider: 'calendar', scopes: ['read'] } as const
let rig: ConsentRig
let hostile: HostileServer
let people = 0
let revoked: string[] = []
let revokeStatus = 200
/** What the next code gives besides the access token. */
let extra: object = {}
beforeAll(async () => {
  rig = await startConsentRig()
  hostile = await startHostileServer()
  let issued = 0
  hostile.routes.set('/token', (response, request) => {
    const body = { access_token: `at-${++issued}`, token_type: 'bearer', expires_in: 3600 }
    replyJson({ ...body, ...extra })(response, request)
  })
  hostile.routes.set('/revoke', (response, request) => {
    revoked.push(`${request.form.get('token_type_hint')} ${request.form.get('token')}`)
    replyJson({}, revokeStatus)(response, request)
  })
})
afterAll(async () => {
  await rig.close()
  await hostile[Symbol.asyncDispose]()
})
beforeEach(() => {
  rig.aheadMs = 0
  revoked = []
  revokeStatus = 200
  extra = { refresh_token: 'rt-1', scope: 'read' }
})

const calendar = (endpoints: object = { revocation: `${hostile.issuer}/revoke` }) =>
  oauth2({
    issuer: hostile.issuer,
    clientId: 'agent',
    clientSecret: 'agent-secret',
    allowInsecureLoopback: true,
    endpoints: {
      authorization: `${hostile.issuer}/auth`,
      token: `${hostile.issuer}/token`,
      ...endpoints,
    },
  })

function open(endpoints?: object, store = failingStore()) {
  const name = `person${++people}`
  const credentials = rig.open({ store, providers: { calendar: calendar(endpoints) } })
  const acting = rig.agent.unverifiedUser(user(name))
  /** Consents, as a user who comes back with a code. */
  async function consent(from: OutboundCredentialProvider = credentials, account?: string) {
    rig.serving = from
    const { authorizationUrl } = await from.beginAuthorization(acting, { ...read, account })
    const state = new URL(authorizationUrl).searchParams.get('state')
    const url = `${rig.origin}/oauth/callback/calendar?code=c&state=${state}`
    return rig.browserOf(name).open(url)
  }
  return { credentials, acting, store, consent }
}

describe('connections()', () => {
  it('shows what the user connected, and never a token', async () => {
    const { credentials, acting, consent } = open()
    expect(await credentials.connections(acting)).toEqual([])
    const from = Date.now()
    await consent()
    const [one, ...more] = await credentials.connections(acting)
    expect(more).toEqual([])
    expect(one).toMatchObject({
      provider: 'calendar',
      account: 'default',
      scopes: ['read'],
      state: 'active',
    })
    expect(one!.connectedAtMs).toBeGreaterThanOrEqual(from)
    expect(one!.expiresAtMs).toBeGreaterThan(from)
    expect(JSON.stringify(one)).not.toMatch(/at-|rt-1/)
    rig.aheadMs = 2 * HOUR
    await credentials.getToken(acting, read)
    const [renewed] = await credentials.connections(acting)
    expect(renewed!.refreshedAtMs).toBeGreaterThanOrEqual(from + 2 * HOUR)
    expect(renewed!.connectedAtMs).toBe(one!.connectedAtMs)
  })

  it('lists each account, and a new consent updates its own', async () => {
    const { credentials, acting, consent } = open()
    await consent(credentials, 'work')
    await consent(credentials, 'home')
    await consent(credentials, 'work')
    const labels = (await credentials.connections(acting)).map((one) => one.account)
    expect(labels.sort()).toEqual(['home', 'work'])
  })

  it('says that renewing fails, and why; and that a consent is needed, and why', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    rig.aheadMs = 2 * HOUR
    extra = { access_token: undefined, error: 'temporarily_unavailable' }
    await expect(credentials.getToken(acting, read)).rejects.toMatchObject({ retryable: true })
    expect(await credentials.connections(acting)).toMatchObject([
      { state: 'failing', reason: 'temporarily_unavailable' },
    ])
    extra = { access_token: undefined, error: 'invalid_grant' }
    await challengeOf(credentials.getToken(acting, read))
    expect(await credentials.connections(acting)).toMatchObject([
      { state: 'needs_consent', reason: 'invalid_grant' },
    ])
  })

  it('is empty where the agent acts for nobody', async () => {
    const { credentials } = open()
    expect(await credentials.connections(rig.agent.actAsSelf())).toEqual([])
  })
})

describe('disconnect()', () => {
  it('elsewhere is heeded once the vault was asked, though the store fails a moment later (P03)', async () => {
    const { credentials, acting, consent, store } = open()
    const elsewhere = rig.open({ store, providers: { calendar: calendar() } })
    await consent()
    await credentials.getToken(acting, read)
    await elsewhere.disconnect(acting, { provider: 'calendar' })
    rig.aheadMs = 31_000
    // It reads that the connection has ended, and cannot write down that the user is asked.
    store.failPut = () => true
    await expect(credentials.getToken(acting, read)).rejects.toBeInstanceOf(VaultUnavailableError)
    store.failPut = undefined
    await challengeOf(credentials.getToken(acting, read))
  })

  it('leaves nothing in memory of a renewal whose write was acknowledged late (P10)', async () => {
    const store = failingStore()
    const { credentials, acting, consent } = open(undefined, store)
    await consent()
    rig.aheadMs = 2 * HOUR
    const put = store.put.bind(store)
    let persist!: () => void
    let acknowledge!: () => void
    const persisted = new Promise<void>((resolve) => {
      persist = resolve
    })
    const acknowledged = new Promise<void>((resolve) => {
      acknowledge = resolve
    })
    let puts = 0
    store.put = async (...write) => {
      const wrote = await put(...write)
      if (++puts !== 2) return wrote
      persist()
      await acknowledged
      return wrote
    }
    const renewal = credentials.getToken(acting, read)
    await persisted
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toMatchObject({
      removed: true,
    })
    acknowledge()
    await renewal.catch(() => {})
    await challengeOf(credentials.getToken(acting, read))
  })

  it('revokes the refresh token and forgets the grant, everywhere (O54)', async () => {
    const { credentials, acting, store, consent } = open()
    await consent()
    const elsewhere = rig.open({ store, providers: { calendar: calendar() } })
    await credentials.getToken(acting, read)
    const from = rig.audit.length
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toEqual({
      removed: true,
      revoked: true,
    })
    expect(revoked).toEqual(['refresh_token rt-1'])
    expect(rig.audit.slice(from)).toMatchObject([
      { type: 'disconnected', provider: 'calendar', account: 'default', revoked: true },
    ])
    await challengeOf(credentials.getToken(acting, read)) // not from memory either
    await challengeOf(elsewhere.getToken(acting, read))
    expect(await credentials.connections(acting)).toEqual([])
  })

  it.each([
    ['the provider fails', 503, undefined, 'temporarily_unavailable'],
    ['the provider has no revocation endpoint', 200, {}, 'no_revocation_endpoint'],
  ])('forgets the grant also when %s, and says so (O54)', async (_, status, endpoints, reason) => {
    const { credentials, acting, consent } = open(endpoints)
    await consent()
    revokeStatus = status
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toEqual({
      removed: true,
      revoked: false,
      reason,
    })
    await challengeOf(credentials.getToken(acting, read))
  })

  it('revokes the access token where there is no refresh token', async () => {
    extra = { scope: 'read' }
    const { credentials, acting, consent } = open()
    await consent()
    await credentials.disconnect(acting, { provider: 'calendar' })
    expect(revoked).toEqual([expect.stringMatching(/^access_token at-/)])
  })

  it('of nothing says so, and a second time too', async () => {
    const { credentials, acting, consent } = open()
    const nothing = { removed: false, revoked: false, reason: 'not_connected' }
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toEqual(nothing)
    await consent()
    await credentials.disconnect(acting, { provider: 'calendar' })
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toEqual(nothing)
  })

  it('of one of two accounts leaves the other', async () => {
    const { credentials, acting, consent } = open()
    await consent(credentials, 'work')
    await consent(credentials, 'home')
    await expect(credentials.disconnect(acting, { provider: 'calendar' })).rejects.toMatchObject({
      code: 'ERR_ACCOUNT_AMBIGUOUS',
    })
    await credentials.disconnect(acting, { provider: 'calendar', account: 'work' })
    expect((await credentials.getToken(acting, read)).account).toBe('home')
  })

  it('ends the consents that would bring the connection back', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    const pending = await credentials.beginAuthorization(acting, {
      ...read,
      scopes: ['read', 'more'],
    })
    await credentials.disconnect(acting, { provider: 'calendar' })
    expect(await credentials.authorizationStatus(acting, pending.sessionUri)).toBe('expired')
  })

  it('is not undone by a refresh that was under way, whose new token is given back (V08)', async () => {
    const { credentials, acting, store, consent } = open()
    await consent()
    rig.aheadMs = 2 * HOUR
    let go!: () => void
    let asked!: () => void
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const reached = new Promise<void>((resolve) => {
      asked = resolve
    })
    const route = hostile.routes.get('/token')!
    hostile.routes.set('/token', async (response, request) => {
      asked()
      await gate
      route(response, request)
    })
    try {
      extra = { refresh_token: 'rt-2', scope: 'read' }
      const late = rig.open({ store, providers: { calendar: calendar() } }).getToken(acting, read)
      await reached
      await credentials.disconnect(acting, { provider: 'calendar' })
      go()
      await challengeOf(late)
    } finally {
      hostile.routes.set('/token', route)
    }
    expect(revoked).toEqual(['refresh_token rt-1', 'refresh_token rt-2'])
    await challengeOf(credentials.getToken(acting, read))
  })

  it('is not undone by a consent whose code is being exchanged, whose token is given back (O54)', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    let go!: () => void
    let asked!: () => void
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const reached = new Promise<void>((resolve) => {
      asked = resolve
    })
    const route = hostile.routes.get('/token')!
    hostile.routes.set('/token', async (response, request) => {
      asked()
      await gate
      route(response, request)
    })
    try {
      extra = { refresh_token: 'rt-2', scope: 'read' }
      const late = consent()
      await reached
      await credentials.disconnect(acting, { provider: 'calendar' })
      go()
      expect((await late).status).toBe(410)
    } finally {
      hostile.routes.set('/token', route)
    }
    expect(revoked).toEqual(['refresh_token rt-1', 'refresh_token rt-2'])
    expect(await credentials.connections(acting)).toEqual([])
    await challengeOf(credentials.getToken(acting, read))
  })

  it('asks nothing of the provider while the store fails', async () => {
    const { credentials, acting, store, consent } = open()
    await consent()
    store.failPut = () => true
    await expect(credentials.disconnect(acting, { provider: 'calendar' })).rejects.toBeInstanceOf(
      VaultUnavailableError,
    )
    expect(revoked).toEqual([])
  })

  it('works with the metadata of a server', async () => {
    await using server = await startAuthorizationServer({ clientSecret: 'agent-secret' })
    const store = failingStore()
    const calendar = oauth2({
      issuer: server.issuer,
      clientId: 'agent',
      clientSecret: 'agent-secret',
      allowInsecureLoopback: true,
    })
    const credentials = rig.open({ store, providers: { calendar } })
    const acting = rig.agent.unverifiedUser(user('meta'))
    const { authorizationUrl } = await credentials.beginAuthorization(acting, read)
    const url = new URL(authorizationUrl)
    url.searchParams.set('login_hint', 'meta')
    rig.serving = credentials
    await rig.browserOf('meta').open(url.href)
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toMatchObject({
      removed: true,
      revoked: true,
    })
    expect(server.requests).toContain('POST /revoke')
  })
})

describe('a second consent that brings no refresh token', () => {
  it('does not keep one that may be another account’s', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    extra = { scope: 'read' }
    await consent()
    rig.aheadMs = 2 * HOUR
    await challengeOf(credentials.getToken(acting, read))
  })
})

describe('a token in memory', () => {
  it('is noticed to be gone when another process ended the connection', async () => {
    const { credentials, acting, store, consent } = open()
    await consent()
    const first = await credentials.getToken(acting, read)
    const elsewhere = rig.open({ store, providers: { calendar: calendar() } })
    await elsewhere.disconnect(acting, { provider: 'calendar' })
    expect((await credentials.getToken(acting, read)).value).toBe(first.value)
    rig.aheadMs = 31_000
    await challengeOf(credentials.getToken(acting, read))
  })

  it('goes with a new consent in this process', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    const first = await credentials.getToken(acting, read)
    await consent()
    expect((await credentials.getToken(acting, read)).value).not.toBe(first.value)
  })

  it('is told to the audit trail like any other', async () => {
    const { credentials, acting, consent } = open()
    await consent()
    await credentials.getToken(acting, read)
    const from = rig.audit.length
    await credentials.getToken(acting, read)
    expect(rig.audit.slice(from)).toMatchObject([
      { type: 'token_served', provider: 'calendar', flow: 'USER_FEDERATION', account: 'default' },
    ])
  })

  it('is served while the store fails, and is not kept with cache: false (P03)', async () => {
    const { credentials, acting, store, consent } = open()
    await consent()
    const plain = rig.open({ store, cache: false, providers: { calendar: calendar() } })
    const token = await credentials.getToken(acting, read)
    await plain.getToken(acting, read)
    store.failGet = () => true
    rig.aheadMs = 40_000
    expect((await credentials.getToken(acting, read)).value).toBe(token.value)
    await expect(plain.getToken(acting, read)).rejects.toBeInstanceOf(VaultUnavailableError)
    rig.aheadMs = 301_000
    await expect(credentials.getToken(acting, read)).rejects.toBeInstanceOf(VaultUnavailableError)
    expect(rig.tokenRequests()).toBeGreaterThanOrEqual(0)
  })

  it.each([0, -1, 1.5, '10'])('takes no cache.maxTokens of %j', (maxTokens) => {
    expect(() => rig.open({ cache: { maxTokens: maxTokens as number } })).toThrow(TypeError)
  })
})
