import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { type LineLimits, WaitingLine } from './waiting-line.js'

const limits = { running: 2, waiting: 3, waitMs: 60_000, lostMs: 10_000 }
function lineOf(changes: Partial<LineLimits> = {}) {
  const line = new WaitingLine({ ...limits, ...changes })
  const clock = fakeClock()
  const started: string[] = []
  const ends = new Map<string, (failure?: Error) => void>()
  const run = (name: string) => {
    const task = () => {
      started.push(name)
      return new Promise<string>((resolve, reject) => {
        ends.set(name, (failure) => (failure ? reject(failure) : resolve(name)))
      })
    }
    return line.run(task, clock)
  }
  return { run, started, clock, end: (name: string, failure?: Error) => ends.get(name)!(failure) }
}
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('a waiting line', () => {
  it('runs so many at once, and the others in their order', async () => {
    const { run, started, end } = lineOf()
    const all = ['a', 'b', 'c', 'd', 'e'].map(run)
    await settle()
    expect(started).toEqual(['a', 'b'])
    end('b')
    await settle()
    expect(started).toEqual(['a', 'b', 'c'])
    end('a', new Error('failed'))
    await expect(all[0]).rejects.toThrow('failed')
    await settle()
    expect(started).toEqual(['a', 'b', 'c', 'd'])
    for (const name of ['c', 'd']) end(name)
    await settle()
    end('e')
    expect(await Promise.all(all.slice(1))).toEqual(['b', 'c', 'd', 'e'])
  })

  it('takes no more than may wait', async () => {
    const { run, started } = lineOf()
    for (const name of ['a', 'b', 'c', 'd', 'e']) run(name)
    await settle()
    expect(await run('f')).toBeUndefined()
    expect(started).toEqual(['a', 'b'])
  })

  it('lets nobody wait longer than the limit, and nobody start afterwards', async () => {
    const { run, started, end } = lineOf({ waitMs: 5 })
    const first = [run('a'), run('b')]
    expect(await run('c')).toBeUndefined()
    end('a')
    end('b')
    await Promise.all(first)
    await settle()
    expect(started).toEqual(['a', 'b'])
  })

  it('does not count what never ended, nor who waits no more', async () => {
    const { run, started, clock } = lineOf()
    for (const name of ['a', 'b', 'c', 'd', 'e']) run(name)
    await settle()
    clock.advance(limits.lostMs)
    expect(await run('f')).toBeUndefined()
    expect(started).toEqual(['a', 'b'])
    clock.advance(1)
    run('g')
    await settle()
    expect(started).toEqual(['a', 'b', 'c', 'd'])
    clock.advance(limits.waitMs + 1)
    run('h')
    await settle()
    expect(started).toEqual(['a', 'b', 'c', 'd', 'h']) // e and g are past their wait
  })
})
