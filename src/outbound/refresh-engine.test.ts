import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type HostileServer,
  replyJson,
  startHostileServer,
} from '../../test/support/hostile-server.js'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { AuthorizationServer } from '../oauth/server.js'
import { startAuthorizationServer } from '../testing/index.js'
import { tokenVault } from '../vault/token-vault.js'
import { type Failing, failingAfter } from './failing.js'
import { emptyGrant, type Grant, storedToken } from './grant.js'
import { refreshed } from './grant-changes.js'
import type { Wanted } from './plan.js'
import { type Obtained, RefreshEngine } from './refresh-engine.js'
import { type LeaseTiming, leaseTiming } from './row-lease.js'

let hostile: HostileServer
let asked: string[] = []
beforeAll(async () => {
  hostile = await startHostileServer()
})
afterAll(() => hostile[Symbol.asyncDispose]())
beforeEach(() => {
  asked = []
})

const answers = (...bodies: object[]) => {
  hostile.routes.set('/token', (response, request) => {
    asked.push(request.form.get('refresh_token') ?? request.form.get('scope') ?? '')
    const body = bodies.length > 1 ? bodies.shift() : bodies[0]
    replyJson({ token_type: 'bearer', expires_in: 60, ...body })(response, request)
  })
}
const wanted = (extra: Partial<Wanted> = {}): Wanted => ({
  flow: 'USER_FEDERATION',
  scopes: ['read'],
  defaultScopes: [],
  ...extra,
})

async function withGrant(
  grant: Partial<Grant> | undefined,
  issuer = hostile.issuer,
  options: { readonly timing?: LeaseTiming; readonly secret?: () => string } = {},
) {
  const clock = fakeClock()
  const vault = tokenVault()
  const row = { kind: 'grant', owner: ['x'] } as const
  const held: Grant = {
    ...emptyGrant,
    scopes: ['read', 'write'],
    requested: ['read', 'write'],
    refreshToken: 'rt-0',
    ...grant,
  }
  if (grant) await vault.write(row, held, { replaces: 0 })
  const server = new AuthorizationServer({
    name: 'api',
    issuer,
    clientId: 'agent',
    clientAuth: 'client_secret_basic',
    clientSecret: options.secret ?? 's3cret',
    allowInsecureLoopback: true,
    timeoutMs: 1_000,
    clock,
  })
  const engine = new RefreshEngine(vault, clock, { timing: options.timing })
  return {
    clock,
    stored: async () => (await vault.read<Grant>(row))?.value,
    vault,
    row,
    obtain: (extra?: Partial<Wanted>, onAhead?: (obtained: Obtained) => void) =>
      engine.obtain({ name: 'api', row, server }, wanted(extra), onAhead),
  }
}

describe('a refresh', () => {
  it('keeps the refresh token when none comes back (O26)', async () => {
    const { obtain, clock } = await withGrant({})
    answers({ access_token: 'a1' }, { access_token: 'a2' })
    expect(await obtain()).toMatchObject({ how: 'refreshed', rotated: false })
    clock.advance(60_000)
    expect(await obtain()).toMatchObject({ how: 'refreshed', token: { value: 'a2' } })
    expect(asked).toEqual(['rt-0', 'rt-0'])
  })

  it('stores the new refresh token with the token, and gives the lease back (O28)', async () => {
    const { obtain, stored } = await withGrant({})
    answers({ access_token: 'a1', refresh_token: 'rt-1' })
    expect(await obtain()).toMatchObject({ how: 'refreshed', rotated: true })
    expect(await stored()).toMatchObject({ refreshToken: 'rt-1', tokens: [{ value: 'a1' }] })
  })

  it('that narrows the grant says so, keeps what is left, and asks for consent next (O18)', async () => {
    const { obtain, stored } = await withGrant({})
    answers({ access_token: 'a1', refresh_token: 'rt-1', scope: 'write' })
    expect(await codeOf(obtain())).toBe('ERR_SCOPE_NOT_GRANTED')
    expect(await stored()).toMatchObject({ refreshToken: 'rt-1', scopes: ['write'] })
    expect(await obtain({ scopes: ['write'] })).toMatchObject({ how: 'served' })
    expect(await obtain()).toMatchObject({ how: 'consent', missing: ['read'] })
    expect(asked).toHaveLength(1)
  })

  it('that gives more than was asked serves more (O17)', async () => {
    const { obtain } = await withGrant({})
    answers({ access_token: 'a1', scope: 'read write admin' })
    await obtain()
    expect(await obtain({ scopes: ['admin'] })).toMatchObject({ how: 'served' })
  })

  it('whose token ends at once is used once, and asked for again (O21)', async () => {
    const { obtain } = await withGrant({})
    answers({ access_token: 'a1', expires_in: 0 })
    expect(await obtain()).toMatchObject({ how: 'refreshed', token: { value: 'a1' } })
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
    expect(asked).toHaveLength(2)
  })

  it.each([{ error: 'invalid_grant' }, { error: 'invalid_grant', access_token: undefined }])(
    'refused with status 200 ends the grant as with 400: %j (O24)',
    async (body) => {
      const { obtain, stored } = await withGrant({})
      answers(body)
      expect(await obtain()).toMatchObject({ how: 'consent', lost: 'invalid_grant' })
      const after = await stored()
      expect(after).toMatchObject({ state: 'needs_consent', reason: 'invalid_grant', tokens: [] })
      expect(after).not.toHaveProperty('refreshToken')
    },
  )

  it.each(['invalid_client', 'unauthorized_client', 'invalid_request', 'server_error', 'odd_code'])(
    'refused with %s keeps the grant',
    async (error) => {
      const { obtain, stored } = await withGrant({})
      answers({ error })
      expect(await codeOf(obtain())).toBe('ERR_OAUTH_REFUSED')
      expect(await stored()).toMatchObject({ state: 'active', refreshToken: 'rt-0' })
    },
  )

  it('for each resource has its own token and shares the refresh token', async () => {
    const { obtain, stored } = await withGrant({})
    answers(
      { access_token: 'a', refresh_token: 'rt-1' },
      { access_token: 'b', refresh_token: 'rt-2' },
    )
    const [a, b] = await Promise.all([
      obtain({ resource: 'https://a.example' }),
      obtain({ resource: 'https://b.example' }),
    ])
    // Whichever was first.
    const values = [a, b].map((one) => one.how !== 'consent' && one.token.value)
    expect(values.sort()).toEqual(['a', 'b'])
    expect(asked).toEqual(['rt-0', 'rt-1'])
    expect(await stored()).toMatchObject({ refreshToken: 'rt-2', scopes: ['read', 'write'] })
  })
})

describe('a lease that ends before the request goes out', () => {
  it('sends nothing, and the row is read and claimed again (O30, P10)', async () => {
    const monotonic = fakeClock(0)
    let stops = 0
    const secret = () => {
      // The process stands still between the claim and the request.
      if (stops++ === 0) monotonic.advance(60_000)
      return 's3cret'
    }
    const timing = { ...leaseTiming, monotonic, leaseMs: 30_000 }
    const { obtain, vault, row } = await withGrant({}, hostile.issuer, { timing, secret })
    answers({ access_token: 'a1', refresh_token: 'rt-1' })
    const before = (await vault.read(row))!.version
    const write = vi.spyOn(vault, 'write')
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
    expect([asked, stops]).toEqual([['rt-0'], 2])
    expect((await vault.read(row))!.version - before).toBe(1)
    const kinds = write.mock.calls.map(([key]) => key.kind)
    expect(kinds).toEqual(['lease', 'lease', 'lease', 'grant', 'lease'])
  })
})

describe('a token that nears its end', () => {
  const HOUR_MS = 3_600_000
  /** Waits for the background renewal that the call starts. */
  async function ahead({ obtain }: Awaited<ReturnType<typeof withGrant>>) {
    let tell!: (obtained: Obtained) => void
    const done = new Promise<Obtained>((resolve) => {
      tell = resolve
    })
    const served = await obtain({}, tell)
    return { served, done }
  }

  it('is served at once, and renewed once meanwhile (D06, O34)', async () => {
    const it = await withGrant({})
    answers(
      { access_token: 'a1', refresh_token: 'rt-1', expires_in: 3_600 },
      { access_token: 'a2', refresh_token: 'rt-2', expires_in: 3_600 },
    )
    await it.obtain()
    it.clock.advance(0.7 * HOUR_MS)
    expect(await it.obtain()).toMatchObject({ token: { value: 'a1' } })
    expect(asked).toHaveLength(1)
    it.clock.advance(0.2 * HOUR_MS)
    const { served, done } = await ahead(it)
    expect(served).toMatchObject({ how: 'served', token: { value: 'a1' } })
    await Promise.all(Array.from({ length: 50 }, () => it.obtain()))
    expect(await done).toMatchObject({ how: 'refreshed', token: { value: 'a2' } })
    expect(asked).toEqual(['rt-0', 'rt-1'])
    expect(await it.obtain()).toMatchObject({ token: { value: 'a2' } })
  })

  it('is served on when the renewal fails; the failure is in the row, and it is not tried at once (D05)', async () => {
    const it = await withGrant({})
    answers({ access_token: 'a1', expires_in: 3_600 })
    await it.obtain()
    it.clock.advance(0.9 * HOUR_MS)
    answers({ error: 'temporarily_unavailable' })
    const from = asked.length
    for (let n = 0; n < 20; n++) {
      expect(await it.obtain()).toMatchObject({ how: 'served', token: { value: 'a1' } })
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect((await it.stored())?.failing).toMatchObject({
      code: 'temporarily_unavailable',
      count: 1,
    })
    expect(asked.length - from).toBe(1)
    it.clock.advance(2_001)
    answers({ access_token: 'a2', expires_in: 3_600 })
    await (await ahead(it)).done
    expect(await it.stored()).not.toHaveProperty('failing')
  })

  it('gives up for longer and longer, and waits as the server says (P06)', async () => {
    const at = (before: Failing | undefined, error: object = {}) =>
      failingAfter(before, error, 1_000, () => 1)
    let failing = at(undefined)
    const waits = Array.from({ length: 12 }, () => {
      const ms = failing.nextTryMs - 1_000
      failing = at(failing)
      return ms
    })
    expect(waits.slice(0, 4)).toEqual([2_000, 4_000, 8_000, 16_000])
    expect(Math.max(...waits)).toBe(300_000)
    expect(at(undefined, { retryAfterMs: 9_000 }).nextTryMs).toBe(10_000)
    expect(failingAfter(failing, {}, 5_000, () => 0)).toMatchObject({
      sinceMs: 1_000,
      lastMs: 5_000,
    })
  })

  it('is not renewed at the same moment as the others (D06)', () => {
    const moments = Array.from({ length: 10_000 }, () => {
      const answer = {
        accessToken: 'a',
        tokenType: 'Bearer',
        expiresAtMs: HOUR_MS,
        scopes: [],
      } as const
      return storedToken(answer, undefined, 0).renewFromMs!
    })
    const share = moments.map((ms) => ms / (HOUR_MS - 60_000))
    expect(Math.min(...share)).toBeGreaterThanOrEqual(0.72)
    expect(Math.max(...share)).toBeLessThanOrEqual(0.88)
    const first = moments.filter((ms) => ms < Math.min(...moments) + 60_000).length
    expect(first).toBeLessThan(2_000)
  })
})

describe('a refresh beside a consent', () => {
  it('takes only its refresh token over when the consent has widened the scopes', () => {
    const claimed: Grant = { ...emptyGrant, scopes: ['read'], refreshToken: 'rt-0' }
    const now: Grant = { ...claimed, scopes: ['read', 'write'], tokens: [token('wide')] }
    const answer = {
      accessToken: 'narrow',
      tokenType: 'Bearer',
      scopes: ['read'],
      refreshToken: 'rt-1',
    } as const
    expect(refreshed(now, claimed, answer, token('narrow'))).toMatchObject({
      scopes: ['read', 'write'],
      refreshToken: 'rt-1',
      tokens: [{ value: 'wide' }],
    })
  })

  const token = (value: string) => ({ value, tokenType: 'Bearer', scopes: ['read'], issuedAtMs: 0 })
})

describe('a server that fails', () => {
  it('is left alone after five failures, and the row is not even claimed (D05)', async () => {
    const it = await withGrant({})
    answers({ error: 'temporarily_unavailable' })
    for (let n = 0; n < 5; n++) expect(await codeOf(it.obtain())).toBe('ERR_OAUTH_REFUSED')
    const version = (await it.vault.read(it.row))?.version
    expect(await codeOf(it.obtain())).toBe('ERR_SERVER_UNAVAILABLE')
    expect(asked).toHaveLength(5)
    expect((await it.vault.read(it.row))?.version).toBe(version)
  })
})

describe('a token in the agent’s own name', () => {
  it('is asked for with the defaults of the provider', async () => {
    const { obtain } = await withGrant(undefined)
    answers({ access_token: 'a1' })
    await obtain({ flow: 'M2M', defaultScopes: ['openid', 'base', 'offline_access'] })
    expect(asked).toEqual(['base read'])
  })

  it('with fewer scopes is not handed out for more, and is for what it has (O18)', async () => {
    const { obtain } = await withGrant(undefined)
    answers({ access_token: 'a1', scope: 'read' })
    expect(await codeOf(obtain({ flow: 'M2M', scopes: ['read', 'write'] }))).toBe(
      'ERR_SCOPE_NOT_GRANTED',
    )
    expect(await obtain({ flow: 'M2M' })).toMatchObject({ how: 'served' })
  })

  it('comes from the plain authorization server of deputize/testing too', async () => {
    await using server = await startAuthorizationServer({ clientSecret: 's3cret' })
    const { obtain } = await withGrant(undefined, server.issuer)
    const all = await Promise.all(Array.from({ length: 50 }, () => obtain({ flow: 'M2M' })))
    expect(all.filter((one) => one.how === 'issued')).toHaveLength(1)
    expect(server.requests.filter((line) => line === 'POST /token')).toHaveLength(1)
  })
})
