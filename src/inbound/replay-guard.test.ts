import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { memoryReplayGuard } from './replay-guard.js'

describe('memoryReplayGuard', () => {
  it('J66 lets one of many claim an id, until it expires', async () => {
    const clock = fakeClock()
    const guard = memoryReplayGuard({ clock })
    const until = clock() + 1000
    const claims = await Promise.all(Array.from({ length: 20 }, () => guard.claim('a', until)))
    expect(claims.filter(Boolean)).toHaveLength(1)
    expect(await guard.claim('b', until)).toBe(true)
    clock.advance(1000)
    expect(await guard.claim('a', until)).toBe(false)
    clock.advance(1)
    expect(await guard.claim('a', clock() + 1000)).toBe(true)
    expect(await guard.claim('a', clock() + 1000)).toBe(false)
  })

  it('J66 is bounded: full, it refuses and forgets nothing that is still good', async () => {
    const clock = fakeClock()
    const guard = memoryReplayGuard({ maxEntries: 2, clock })
    expect(await guard.claim('long', clock() + 60_000)).toBe(true)
    expect(await guard.claim('short', clock() + 2000)).toBe(true)
    expect(() => guard.claim('third', clock() + 2000)).toThrow('full')
    expect(await guard.claim('long', clock() + 60_000)).toBe(false)
    clock.advance(2001)
    expect(await guard.claim('third', clock() + 2000)).toBe(true)
    expect(await guard.claim('long', clock() + 60_000)).toBe(false)
  })

  it('J66 keeps one caller from filling it, or a few', () => {
    for (const greedy of [1, 2, 10]) {
      const clock = fakeClock()
      const guard = memoryReplayGuard({ maxEntries: 1_000, clock })
      const until = clock() + 60_000
      let held = 0
      for (let n = 0; n < 1_000; n++) {
        for (let caller = 0; caller < greedy; caller++) {
          try {
            if (guard.claim(`${n} of ${caller}`, until, `caller ${caller}`)) held++
          } catch (error) {
            expect(String(error)).toContain('share')
          }
        }
      }
      expect(held).toBeGreaterThanOrEqual(750)
      expect(guard.claim('other', until, 'another caller')).toBe(true)
      expect(guard.claim('0 of 0', until, 'another caller')).toBe(false)
      expect(guard.claim('0 of 0', until, 'caller 0')).toBe(false)
      clock.advance(61_001)
      expect(guard.claim('new', clock() + 1_000, 'caller 0')).toBe(true)
    }
  })

  it('J66 lets claims without a caller have all of it', () => {
    const clock = fakeClock()
    const guard = memoryReplayGuard({ maxEntries: 100, clock })
    for (let n = 0; n < 100; n++) expect(guard.claim(`${n}`, clock() + 1_000)).toBe(true)
    expect(() => guard.claim('more', clock() + 1_000)).toThrow('full')
  })

  it('J66 remembers what it must, whatever the clock does', () => {
    const clock = fakeClock()
    const guard = memoryReplayGuard({ maxEntries: 100, clock })
    for (const [step, ttl] of [
      [0, 5_000],
      [-3_600_000, 5_000],
      [7_200_000, 5_000],
      [-7_200_000, 3_600_000],
      [1, 604_800_000],
      [604_800_000, 1],
    ] as const) {
      clock.advance(step)
      const id = `${step}`
      const until = clock() + ttl
      expect(guard.claim(id, until, 'a')).toBe(true)
      expect(guard.claim(id, until, 'a')).toBe(false)
      clock.advance(ttl)
      expect(guard.claim(id, until, 'a')).toBe(false)
      clock.advance(1)
      expect(guard.claim(id, clock(), 'a')).toBe(true)
    }
    // Nothing is left behind of all that.
    clock.advance(8_000_000)
    for (let n = 0; n < 75; n++) expect(guard.claim(`fresh ${n}`, clock() + 1_000, 'a')).toBe(true)
    expect(() => guard.claim('fresh 75', clock() + 1_000, 'a')).toThrow('share')
  })

  it('J66 does not search what it holds: full, and expiring all the time', () => {
    const clock = fakeClock()
    const size = 200_000
    const guard = memoryReplayGuard({ maxEntries: size, clock })
    for (let n = 0; n < 2 * size; n++) {
      if (n % 200 === 0) clock.advance(60)
      try {
        guard.claim(`${n}`, clock() + 60_000, `caller ${n % 3}`)
      } catch {
        // It has no room now.
      }
    }
    // A search at every claim would take hours, and the test's time-out would end it.
  })

  it.each([0, -1, Number.NaN, '7'])('refuses maxEntries %j', (maxEntries) => {
    expect(() => memoryReplayGuard({ maxEntries: maxEntries as number })).toThrow(/maxEntries/)
  })
})
