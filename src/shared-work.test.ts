import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Flight } from './flight.js'
import { SharedWork } from './shared-work.js'

/**
 * The timers of one request, which end with it: what a Worker's runtime does. `begin` runs what belongs to the request;
 * `end` clears every timer that was set meanwhile.
 */
function oneRequest() {
  const timers: ReturnType<typeof setInterval>[] = []
  return {
    begin<T>(run: () => T): T {
      const { setInterval: real } = globalThis
      const spy = vi.spyOn(globalThis, 'setInterval').mockImplementation(((...args: never[]) => {
        const timer = real(...(args as unknown as Parameters<typeof real>))
        timers.push(timer)
        return timer
      }) as never)
      try {
        return run()
      } finally {
        spy.mockRestore()
      }
    },
    end: () => timers.forEach(clearInterval),
  }
}
const never = () => new Promise<never>(() => {})
const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('work that requests share', () => {
  it('is done once for all who ask while it runs, and again for who asks later', async () => {
    const work = new SharedWork<number>()
    let runs = 0
    const ask = () => work.run('k', async () => ++runs)
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1])
    expect(work.size).toBe(0)
    expect(await ask()).toBe(2)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('fails for all who share it, with the same error, and is not kept', async () => {
    const work = new SharedWork<number>()
    const error = new Error('no')
    const fail = () => work.run('k', () => Promise.reject(error))
    const all = await Promise.allSettled([fail(), fail()])
    expect(all.map((one) => one.status === 'rejected' && one.reason)).toEqual([error, error])
    expect(await work.run('k', async () => 1)).toBe(1)
  })

  it('tells who led and who joined', async () => {
    const work = new SharedWork<number>()
    const all = await Promise.all([1, 2].map((n) => work.share('k', async () => n)))
    expect(all).toEqual([
      { how: 'led', value: 1 },
      { how: 'joined', value: 1 },
    ])
  })

  it('is begun anew once, for all who wait, when the request that began it has ended', async () => {
    const work = new SharedWork<string>()
    const first = oneRequest()
    first.begin(() => void work.run('k', never))
    await advance(100)
    let again = 0
    const waiting = Array.from({ length: 1_000 }, () =>
      work.run('k', async () => `again ${++again}`),
    )
    first.end()
    await advance(2_000)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['again 1']))
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is begun anew at once by who comes long after that', async () => {
    const work = new SharedWork<string>()
    const first = oneRequest()
    first.begin(() => void work.run('k', never))
    first.end()
    await advance(2_000)
    expect(work.size).toBe(0)
    expect(await work.run('k', async () => 'again')).toBe('again')
  })

  it('is never begun anew by share(), which tells that it found it dead', async () => {
    const work = new SharedWork<string>()
    const first = oneRequest()
    first.begin(() => void work.run('k', never))
    first.end()
    const task = vi.fn(async () => 'again')
    const shared = work.share('k', task)
    await advance(2_000)
    expect(await shared).toEqual({ how: 'dead' })
    expect(task).not.toHaveBeenCalled()
    expect(await work.share('k', task)).toEqual({ how: 'led', value: 'again' })
  })

  it('is waited for as long as the request that began it lives, to a minute', async () => {
    const work = new SharedWork<string>()
    let finish!: (value: string) => void
    const slow = work.run('k', () => new Promise((resolve) => (finish = resolve)))
    const joined = work.share('k', async () => 'again')
    await advance(50_000)
    finish('slow')
    expect([await slow, await joined]).toEqual(['slow', { how: 'joined', value: 'slow' }])
    void work.run('k', never)
    const late = work.share('k', async () => 'again')
    await advance(60_000)
    expect(await late).toEqual({ how: 'dead' })
  })

  it('survives a process that stands still: nothing is dead because nobody ran', async () => {
    const work = new SharedWork<string>()
    let finish!: (value: string) => void
    void work.run('k', () => new Promise((resolve) => (finish = resolve)))
    const joined = work.share('k', async () => 'again')
    await advance(400)
    vi.setSystemTime(Date.now() + 30_000)
    await advance(600)
    finish('after the pause')
    expect(await joined).toEqual({ how: 'joined', value: 'after the pause' })
  })

  it('is dead where the platform does not let a request wait for the promise of another', async () => {
    const flight = new Flight(never)
    vi.spyOn(flight.own, 'then').mockImplementation(() => {
      throw new Error('This promise was created by a request that has since ended.')
    })
    expect(await flight.join()).toBeUndefined()
  })

  it('gives what came of it though the promise of the other request tells nobody', async () => {
    const flight = new Flight(async () => 'done')
    vi.spyOn(flight.own, 'then').mockReturnValue(never())
    const joined = flight.join()
    await advance(500)
    expect(await joined).toEqual({ ok: true, value: 'done' })
  })
})
