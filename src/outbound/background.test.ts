import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BackgroundRun, keepAlive } from './background.js'

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'],
  })
})
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('a background run', () => {
  it('tries until it is done, one run at a time, and can be begun again', async () => {
    let tries = 0
    const works: Promise<unknown>[] = []
    const run = new BackgroundRun(
      async () => ++tries % 3 === 0,
      (work) => void works.push(work),
    )
    run.start()
    run.start()
    await pass(20_000)
    expect([tries, works.length]).toEqual([3, 1])
    run.start()
    await pass(20_000)
    expect([tries, works.length]).toEqual([6, 2])
    await Promise.all(works)
  })

  it('is begun anew where the request of the first has ended, with all its timers', async () => {
    let tries = 0
    const works: Promise<unknown>[] = []
    const run = new BackgroundRun(
      async () => ++tries > 0,
      (work) => void works.push(work),
    )
    run.start()
    await pass(0)
    vi.clearAllTimers()
    run.start()
    expect(works).toHaveLength(1) // it may live: nobody knows yet
    await pass(5_000)
    run.start()
    await pass(5_000)
    expect(tries).toBe(1)
    await works[1]
  })

  it('does not run once it was closed', async () => {
    let tries = 0
    const run = new BackgroundRun(async () => ++tries > 3, undefined)
    run.start()
    run.close()
    await pass(20_000)
    run.start()
    await pass(20_000)
    expect(tries).toBe(0)
  })
})

describe('work that is given to waitUntil', () => {
  it('never rejects there', async () => {
    const works: Promise<unknown>[] = []
    const failing = Promise.reject(new Error('away'))
    keepAlive((work) => void works.push(work), failing)
    await expect(works[0]).resolves.toBeUndefined()
    await expect(failing).rejects.toThrow('away')
  })

  it('runs on where waitUntil throws, or is not given', async () => {
    const noRequest = () => {
      throw new Error('no request here')
    }
    expect(() => keepAlive(noRequest, Promise.resolve())).not.toThrow()
    expect(() => keepAlive(undefined, Promise.resolve())).not.toThrow()
  })
})
