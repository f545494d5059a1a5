import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Failing } from './failing.js'
import { emptyGrant, type Grant, type StoredToken } from './grant.js'
import { isFresh, planToken, stillServes, type Wanted } from './plan.js'

const now = 1_800_000_000_000
const HOUR = 3_600_000
const token: StoredToken = {
  value: 't',
  tokenType: 'Bearer',
  scopes: ['read', 'write'],
  issuedAtMs: now,
  expiresAtMs: now + HOUR,
}
const grant: Grant = {
  ...emptyGrant,
  scopes: ['read', 'write'],
  requested: ['read', 'write'],
  refreshToken: 'rt',
  tokens: [token],
}
const { refreshToken: _, ...withoutRefresh } = grant
const none: Grant = { ...grant, tokens: [] }
const stale = (left: number): Grant => ({
  ...grant,
  tokens: [{ ...token, expiresAtMs: now + left, issuedAtMs: now + left - HOUR }],
})
const user = (extra: Partial<Wanted> = {}): Wanted => ({
  flow: 'USER_FEDERATION',
  scopes: ['read'],
  defaultScopes: [],
  ...extra,
})
const self = (extra: Partial<Wanted> = {}): Wanted => ({ ...user(extra), flow: 'M2M' })

describe('a token that nears its end', () => {
  const due = { ...token, renewFromMs: now - 1 }
  const ahead = (held: Grant, wanted = user()) => {
    const plan = planToken(held, wanted, now)
    return plan.step === 'use' ? plan.ahead?.step : 'not used'
  }

  it('is renewed ahead, and not while that has just failed (D06)', () => {
    const failing = { code: 'x', sinceMs: 0, lastMs: now, count: 1, nextTryMs: now + 1 }
    expect(ahead({ ...grant, tokens: [due] })).toBe('refresh')
    expect(ahead({ ...grant, tokens: [due] }, self())).toBe('acquire')
    expect(ahead({ ...grant, tokens: [due], failing })).toBeUndefined()
    expect(ahead({ ...grant, tokens: [due], failing: { ...failing, nextTryMs: now } })).toBe(
      'refresh',
    )
    expect(ahead({ ...grant, tokens: [{ ...token, renewFromMs: now + 1 }] })).toBeUndefined()
    expect(ahead(grant)).toBeUndefined()
    expect(ahead({ ...withoutRefresh, tokens: [due] })).toBeUndefined()
  })
})

const failed = (more: Partial<Grant>, of: Grant = grant, how: Partial<Failing> = {}): Grant => ({
  ...of,
  failing: { code: 'x', sinceMs: now, lastMs: now, count: 1, nextTryMs: now + 1, ...how },
  ...more,
})
/** With a token that took the place of one which the resource had refused. */
const replaced = (agoMs: number): Grant => ({
  ...grant,
  tokens: grant.tokens.map((one) => ({ ...one, issuedAtMs: now - agoMs, afterRefusal: true })),
})
const refused = (notGranted: string[]): Grant => ({ ...grant, notGranted })

describe('planToken', () => {
  it.each<[string, Grant | undefined, Wanted, string]>([
    ['nothing held', undefined, user(), 'consent'],
    ['fresh and covering', grant, user(), 'use'],
    ['a subset', grant, user({ scopes: ['write'] }), 'use'],
    ['no scope wanted', grant, user({ scopes: [] }), 'use'],
    ['openid, which no server echoes', grant, user({ scopes: ['openid', 'read'] }), 'use'],
    ['a minute and a bit left', stale(60_001), user(), 'use'],
    ['exactly a minute left', stale(60_000), user(), 'refresh'],
    ['ended', stale(-1), user(), 'refresh'],
    ['ended, no refresh token', { ...withoutRefresh, tokens: [] }, user(), 'consent'],
    ['fresh, no refresh token', withoutRefresh, user(), 'use'],
    ['a scope never granted', grant, user({ scopes: ['admin'] }), 'consent'],
    ['refused by the resource', grant, user({ rejected: 't' }), 'refresh'],
    ['another was refused', grant, user({ rejected: 'old' }), 'use'],
    ['its replacement refused as well', replaced(59_999), user({ rejected: 't' }), 'use'],
    ['the same, a minute later', replaced(60_000), user({ rejected: 't' }), 'refresh'],
    ['the same, by a clock that went back', replaced(-1), user({ rejected: 't' }), 'refresh'],
    ['the same, as self', replaced(1), self({ rejected: 't' }), 'use'],
    ['refused, no refresh token', withoutRefresh, user({ rejected: 't' }), 'consent'],
    ['another resource', grant, user({ resource: 'https://b.example' }), 'refresh'],
    ['not honoured any more', { ...withoutRefresh, state: 'needs_consent' }, user(), 'consent'],
    ['in doubt, tried once more', { ...grant, state: 'needs_consent' }, user(), 'refresh'],
    ['in doubt, tried a moment ago', failed({ state: 'needs_consent' }), user(), 'consent'],
    [
      'in doubt, more scopes',
      { ...grant, state: 'needs_consent' },
      user({ scopes: ['x'] }),
      'consent',
    ],
    ['failed a moment ago, a token left', failed({}, stale(60_000)), user(), 'use'],
    ['failed a moment ago, none left', failed({}, stale(-1)), user(), 'refresh'],
    ['refused a moment ago, none left', failed({}, stale(-1), { holds: true }), user(), 'rest'],
    [
      'refused a moment ago, a token left',
      failed({}, stale(60_000), { holds: true }),
      user(),
      'use',
    ],
    ['refused a moment ago, as self', failed({}, stale(-1), { holds: true }), self(), 'rest'],
    [
      'refused at a time that no cool-down reaches',
      failed({}, stale(-1), { holds: true, nextTryMs: now + 600_001 }),
      user(),
      'refresh',
    ],
    [
      'a scope asked for and not granted',
      refused(['admin']),
      user({ scopes: ['admin'] }),
      'not-granted',
    ],
    [
      'a scope that another consent did not get',
      refused(['x']),
      user({ scopes: ['admin'] }),
      'consent',
    ],
    ['what was granted, beside one that was not', refused(['admin']), user(), 'use'],
    [
      'not granted, and not honoured any more',
      { ...refused(['admin']), state: 'needs_consent' },
      user({ scopes: ['admin'] }),
      'consent',
    ],
    [
      'a token that covers less than the grant',
      { ...grant, tokens: [{ ...token, scopes: ['write'] }] },
      user(),
      'refresh',
    ],
    ['nothing held, as self', undefined, self(), 'acquire'],
    ['fresh, as self', grant, self(), 'use'],
    ['ended, as self, whatever refresh token there is', stale(-1), self(), 'acquire'],
    ['more scopes, as self', grant, self({ scopes: ['admin'] }), 'acquire'],
    ['not honoured, as self', { ...none, state: 'needs_consent' }, self(), 'acquire'],
  ])('%s -> %s', (_name, held, wanted, step) => {
    expect(planToken(held, wanted, now).step).toBe(step)
  })

  it('asks for the union of the defaults, what is granted and what is wanted, as self without what only a user consents to', () => {
    const wanted = { scopes: ['admin', 'read'], defaultScopes: ['openid'] }
    const scopes = ['openid', 'read', 'write', 'admin']
    expect(planToken(grant, user(wanted), now)).toEqual({
      step: 'consent',
      scopes,
      missing: ['admin'],
    })
    expect(planToken(grant, self(wanted), now)).toEqual({
      step: 'acquire',
      scopes: ['read', 'write', 'admin'],
    })
  })

  it('never hands out a token that lacks a scope, that was refused, or that ended', () => {
    const scope = fc.constantFrom('a', 'b', 'c', 'openid')
    const scopes = fc.uniqueArray(scope)
    const tokens = fc.array(
      fc.record({
        value: fc.constantFrom('t1', 't2'),
        tokenType: fc.constant('Bearer'),
        scopes,
        issuedAtMs: fc.integer({ min: now - HOUR, max: now }),
        expiresAtMs: fc.integer({ min: now - HOUR, max: now + HOUR }),
      }),
      { maxLength: 2 },
    )
    fc.assert(
      fc.property(
        tokens,
        scopes,
        scopes,
        fc.boolean(),
        fc.boolean(),
        (held, granted, want, m2m, bad) => {
          const rejected = bad ? 't1' : undefined
          const wanted = (m2m ? self : user)({ scopes: want, rejected })
          const plan = planToken({ ...emptyGrant, scopes: granted, tokens: held }, wanted, now)
          if (plan.step !== 'use') return
          expect(plan.token.value).not.toBe(rejected)
          expect(plan.token.expiresAtMs).toBeGreaterThan(now)
          for (const one of want) if (one !== 'openid') expect(plan.token.scopes).toContain(one)
        },
      ),
    )
  })
})

describe('isFresh', () => {
  it.each([
    ['no expiry told', undefined, 0, true],
    ['half of a short life left, and a bit', 10_000, 4_999, true],
    ['half of a short life gone', 10_000, 5_000, false],
    ['a life of nothing', 0, 0, false],
    ['a clock that went back', 3_600_000, -7_200_000, true],
  ])('%s', (_name, lifetimeMs, agoMs, fresh) => {
    const { expiresAtMs: _, ...open } = token
    const one =
      lifetimeMs === undefined ? open : { ...open, expiresAtMs: token.issuedAtMs + lifetimeMs }
    expect(isFresh(one, token.issuedAtMs + agoMs)).toBe(fresh)
  })
})

describe('stillServes', () => {
  it.each<[string, Grant | undefined, Wanted, boolean]>([
    ['a second left', stale(1_000), user(), true],
    ['ended this moment', stale(0), user(), false],
    ['nothing held', undefined, user(), false],
    ['refused by the resource', stale(1_000), user({ rejected: 't' }), false],
    ['too few scopes', stale(1_000), user({ scopes: ['admin'] }), false],
    ['another resource', stale(1_000), user({ resource: 'https://b.example' }), false],
  ])('%s', (_name, held, wanted, serves) => {
    expect(stillServes(held, wanted, now) !== undefined).toBe(serves)
  })
})
