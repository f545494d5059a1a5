import { describe, expect, it } from 'vitest'
import { type CacheLimits, VerifiedCache } from './verified-cache.js'

const limits = (some: Partial<CacheLimits> = {}): CacheLimits => ({
  maxTokens: 100,
  maxBytes: 1_000_000,
  maxAgeMs: 60_000,
  ...some,
})
const token = (n: number | string) => `head.body-${n}.${`signature-${n}`.padStart(43, 's')}`
const finding = (value: string, change = {}) => ({
  value,
  sinceMs: 1000,
  untilMs: 1_000_000,
  epoch: 0,
  bytes: 0,
  ...change,
})

describe('a verified cache', () => {
  it('J56 gives what was found of exactly this token, and nothing of one with the same end', () => {
    const cache = new VerifiedCache<string>(limits())
    const tail = 's'.repeat(43)
    cache.set(`a.a.${tail}`, finding('a'))
    expect(cache.get(`a.a.${tail}`, 1000, 0)).toBe('a')
    for (const other of [`a.b.${tail}`, `A.a.${tail}`, `xa.a.${tail}`, `.a.${tail}`, tail, '']) {
      expect(cache.get(other, 1000, 0), other).toBeUndefined()
    }
    cache.set(`b.b.${tail}`, finding('b'))
    expect(cache.get(`b.b.${tail}`, 1000, 0)).toBe('b')
    expect(cache.get(`a.a.${tail}`, 1000, 0)).toBeUndefined()
  })

  it('J56 finds a token in whatever memory it stands', () => {
    const cache = new VerifiedCache<string>(limits())
    cache.set(cache.own(token(1)), finding('one'))
    expect(cache.get(Buffer.from(token(1)).toString(), 1000, 0)).toBe('one')
    expect(cache.get(`Bearer ${token(1)}`.slice(7), 1000, 0)).toBe('one')
  })

  it('looks at the clock at each hit', () => {
    const cache = new VerifiedCache<string>(limits())
    cache.set(token(1), finding('one', { untilMs: 5000 }))
    expect(cache.get(token(1), 4999, 0)).toBe('one')
    expect(cache.get(token(1), 5000, 0)).toBeUndefined()
    expect(cache.get(token(1), 999, 0)).toBeUndefined() // the clock was set back: nbf may lie ahead again
  })

  it('ends a finding after maxAgeMs, however long the token is good', () => {
    const cache = new VerifiedCache<string>(limits({ maxAgeMs: 100 }))
    cache.set(token(1), finding('one'))
    expect(cache.get(token(1), 1099, 0)).toBe('one')
    expect(cache.get(token(1), 1100, 0)).toBeUndefined()
  })

  it('forgets what was verified with other keys', () => {
    const cache = new VerifiedCache<string>(limits())
    cache.set(token(1), finding('one', { epoch: 7 }))
    expect(cache.get(token(1), 1000, 7)).toBe('one')
    expect(cache.get(token(1), 1000, 8)).toBeUndefined()
  })

  it('D holds a bounded number of tokens, and keeps those that are used', () => {
    const cache = new VerifiedCache<string>(limits({ maxTokens: 10 }))
    cache.set(token('kept'), finding('kept'))
    for (let n = 0; n < 200; n++) {
      cache.set(token(n), finding(`${n}`))
      expect(cache.size).toBeLessThanOrEqual(10)
      expect(cache.get(token('kept'), 1000, 0)).toBe('kept')
    }
    expect(cache.get(token(0), 1000, 0)).toBeUndefined()
    expect(cache.get(token(199), 1000, 0)).toBe('199')
  })

  it('D holds a bounded number of bytes, and takes no token that would be half of them', () => {
    const cache = new VerifiedCache<string>(limits({ maxBytes: 20_000 }))
    for (let n = 0; n < 50; n++) cache.set(token(n), finding(`${n}`))
    expect(cache.size).toBeLessThanOrEqual(20)
    const empty = new VerifiedCache(limits({ maxBytes: 20_000 }))
    expect(empty.takes('x'.repeat(8900))).toBe(true)
    expect(empty.takes('x'.repeat(9000))).toBe(false)
    expect(new VerifiedCache(limits({ maxBytes: 0 })).takes('x')).toBe(false)
  })

  it('D counts what a finding holds besides its token, once', () => {
    const cache = new VerifiedCache<string>(limits({ maxBytes: 20_000 }))
    cache.set(token(1), finding('too much', { bytes: 9000 }))
    expect(cache.get(token(1), 1000, 0)).toBeUndefined()
    for (let n = 0; n < 50; n++) cache.set(token(n), finding(`${n}`, { bytes: 3900 }))
    expect(cache.size).toBe(4) // two of 5 KB in each generation
    cache.set(token('again'), finding('again', { bytes: 100 }))
    for (let n = 0; n < 50; n++) cache.set(token('again'), finding('again', { bytes: 100 }))
    expect(cache.get(token(49), 1000, 0)).toBe('49') // nothing was displaced
  })

  it('becomes picky when tokens do not come back, and open again when they do', () => {
    const cache = new VerifiedCache<string>(limits({ maxTokens: 20 }))
    const verify = (n: number) => {
      if (!cache.takes(token(n))) return false
      cache.set(token(n), finding(`${n}`))
      return true
    }
    for (let n = 0; n < 11; n++) expect(verify(n)).toBe(true) // the first generation is full of strangers
    expect(verify(100)).toBe(false)
    expect(verify(100)).toBe(true) // for the second time
    for (let n = 200; n < 400; n++) verify(n)
    expect(cache.get(token(100), 1000, 0)).toBe('100')
    for (let n = 0; n < 10; n++) cache.get(token(100), 1000, 0)
    for (let n = 500; n < 509; n++) {
      verify(n)
      verify(n)
    }
    expect(verify(600)).toBe(true)
  })
})
