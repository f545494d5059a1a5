import { describe, expect, it } from 'vitest'
import { AccessToken } from '../access-token.js'
import type { TokenRequest } from '../context/credential-source.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { defaultTiming } from './timing.js'
import { CACHE_MAX_BYTES, TokenCache } from './token-cache.js'

const agent = new WorkloadIdentity({ name: 'test-agent' })
const as = (subject: string) => agent.unverifiedUser({ issuer: 'https://p.example', subject })
const ada = as('ada')
const wish = (extra: Partial<TokenRequest> = {}): TokenRequest => ({ provider: 'api', ...extra })
const now = 1_800_000_000_000

function filled(maxTokens = 100) {
  const cache = new TokenCache(maxTokens, defaultTiming)
  const put = (who = ada, request = wish(), extra = {}, nowMs = now) => {
    const token = new AccessToken(`t-${Math.random()}`, {
      tokenType: 'Bearer',
      scopes: ['read'],
      missingScopes: [],
      provider: request.provider,
    })
    cache.put(
      who,
      request,
      {
        token,
        flow: 'USER_FEDERATION',
        account: undefined,
        accountReadMs: 0,
        row: 'row',
        scopes: ['read', 'write'],
        usableUntilMs: now + 3_540_000,
        renewFromMs: now + 2_800_000,
        ...extra,
      },
      nowMs,
    )
    return token
  }
  return {
    cache,
    put,
    find: (request = wish(), who = ada, nowMs = now) => cache.find(who, request, nowMs),
  }
}

describe('a token in memory', () => {
  it('serves the same wish, and any subset of its scopes', () => {
    const { find, put } = filled()
    const token = put()
    expect(find()?.token).toBe(token)
    expect(find(wish({ scopes: ['write', 'openid'] }))?.token).toBe(token)
    expect(find(wish({ scopes: ['admin'] }))).toBeUndefined()
    expect(find(wish({ scopes: 'read' as never }))).toBeUndefined()
  })

  it('serves the same user of another Acting, and nobody else', () => {
    const { find, put } = filled()
    const token = put()
    expect(find(wish(), as('ada'))?.token).toBe(token)
    expect(find(wish(), as('bob'))).toBeUndefined()
    expect(find(wish(), agent.actAsSelf())).toBeUndefined()
    const other = new WorkloadIdentity({ name: 'other-agent' })
    expect(find(wish(), other.unverifiedUser(ada.user!))).toBeUndefined()
    // Names that run into each other.
    put(agent.unverifiedUser({ issuer: 'https://p.example","ada', subject: 'x' }))
    expect(find(wish(), as('ada","x'))).toBeUndefined()
  })

  it('serves no literal and no copy of an Acting', () => {
    const { find, put } = filled()
    put()
    expect(find(wish(), { ...ada } as never)).toBeUndefined()
    expect(find(wish(), Object.create(ada) as never)).toBeUndefined()
    expect(find(wish(), null as never)).toBeUndefined()
  })

  it.each<Partial<TokenRequest>>([
    { provider: 'other' },
    { flow: 'M2M' },
    { resource: 'https://b.example' },
    { account: 'work' },
  ])('does not serve another wish: %j', (extra) => {
    const { find, put } = filled()
    put()
    expect(find(wish(extra))).toBeUndefined()
  })

  it('is not served past its time, nor after a clock that went back (P10)', () => {
    const { find, put } = filled()
    put(ada, wish(), { usableUntilMs: now + 5_000 })
    expect(find(wish(), ada, now + 4_999)).toBeDefined()
    expect(find(wish(), ada, now + 5_000)).toBeUndefined()
    expect(find(wish(), ada, now - 1)).toBeUndefined()
  })

  it('is looked up again after ten seconds, once, and is never older than thirty', () => {
    const { cache, find, put } = filled()
    put()
    const due = (ms: number) => cache.takeCheck(find(wish(), ada, now + ms)!, now + ms)
    expect(due(9_999)).toBe(false)
    expect(due(10_000)).toBe(true)
    expect(due(10_001)).toBe(false)
    expect(due(11_000)).toBe(true)
    expect(find(wish(), ada, now + 29_999)).toBeDefined()
    expect(find(wish(), ada, now + 30_000)).toBeUndefined()
  })

  it('is served for five minutes while the store fails (P03)', () => {
    const { cache, find, put } = filled()
    const token = put()
    expect(cache.lastResort(ada, wish(), now + 40_000)?.token).toBe(token)
    expect(find(wish(), ada, now + 299_999)).toBeDefined()
    expect(find(wish(), ada, now + 300_000)).toBeUndefined()
    expect(cache.lastResort(ada, wish({ rejected: token }), now + 40_000)).toBeUndefined()
  })

  it('is gone with its row, and with its owner', () => {
    const { cache, find, put } = filled()
    put()
    put(as('bob'))
    put(as('carol'), wish(), { row: 'another' })
    cache.dropRow('row')
    expect([find(), find(wish(), as('bob'))]).toEqual([undefined, undefined])
    expect(find(wish(), as('carol'))).toBeDefined()
    cache.dropOwner(as('carol'))
    expect([find(wish(), as('carol')), cache.size]).toEqual([undefined, 0])
  })

  it('is one a wish, and at most as many as were allowed; who was served stays (D01)', () => {
    const { cache, find, put } = filled(10)
    put(as('kept'))
    for (let n = 0; n < 1_000; n++) {
      put(as(`user-${n}`))
      put(as(`user-${n}`))
      find(wish(), as('kept'))
    }
    expect(cache.size).toBeLessThanOrEqual(10)
    expect(find(wish(), as('kept'))).toBeDefined()
    expect(find(wish(), as('user-999'))).toBeDefined()
  })

  it('is one of 64 of its owner at most (D01)', () => {
    const { cache, put } = filled(1_000)
    for (let n = 0; n < 200; n++) put(ada, wish({ account: `a${n}` }))
    expect(cache.size).toBe(64)
  })

  it('takes no more bytes together than its bound, whatever their number', () => {
    const { cache, put } = filled(10_000)
    const scopes = Array.from({ length: 1_000 }, (_, n) => `${n}`.padEnd(250, 'x'))
    for (let n = 0; n < 300; n++) put(as(`user-${n}`), wish(), { row: `row-${n}`, scopes })
    expect(cache.bytes).toBeLessThanOrEqual(CACHE_MAX_BYTES)
    expect(cache.size).toBeGreaterThan(100)
    expect(cache.size).toBeLessThan(150)
    for (let n = 0; n < 300; n++) cache.dropRow(`row-${n}`)
    expect([cache.size, cache.bytes]).toEqual([0, 0])
  })
})
