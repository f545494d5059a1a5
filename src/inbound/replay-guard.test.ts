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
    await expect(guard.claim('third', clock() + 2000)).rejects.toThrow('full')
    expect(await guard.claim('long', clock() + 60_000)).toBe(false)
    clock.advance(2001)
    expect(await guard.claim('third', clock() + 2000)).toBe(true)
    expect(await guard.claim('long', clock() + 60_000)).toBe(false)
  })

  it.each([0, -1, Number.NaN, '7'])('refuses maxEntries %j', (maxEntries) => {
    expect(() => memoryReplayGuard({ maxEntries: maxEntries as number })).toThrow(/maxEntries/)
  })
})
