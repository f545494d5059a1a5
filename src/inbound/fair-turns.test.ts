import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { FairTurns } from './fair-turns.js'

/** Work that takes as long as it says, on a clock of its own. */
function stage() {
  let now = 0
  const turns: (() => void)[] = []
  const fair = new FairTurns({ setImmediate: (task) => turns.push(task) }, () => now)
  const done: string[] = []
  return {
    done,
    turns,
    work: (name: string, ms: number) =>
      fair.run(() => {
        now += ms
        done.push(name)
        return name
      }),
    /** The event loop turns once. */
    async turn() {
      for (const task of turns.splice(0)) task()
      await nextTurn()
    },
  }
}

describe('fair turns', () => {
  it('run work at once until a turn has had its millisecond', async () => {
    const { work, done, turn } = stage()
    expect(work('a', 0.6)).toBe('a')
    expect(work('b', 0.6)).toBe('b')
    const late = [work('c', 0.6), work('d', 0.6), work('e', 0.6)]
    for (const one of late) expect(one).toBeInstanceOf(Promise)
    expect(done).toEqual(['a', 'b'])
    await turn()
    expect(done).toEqual(['a', 'b', 'c', 'd'])
    await turn()
    expect(done).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await Promise.all(late)).toEqual(['c', 'd', 'e'])
  })

  it('let nobody pass those who wait', async () => {
    const { work, done, turn } = stage()
    work('a', 5)
    const names = Array.from({ length: 50 }, (_, n) => `w${n}`)
    const waiting = names.map((name) => work(name, 0.4))
    await turn()
    expect(work('new', 0)).toBeInstanceOf(Promise)
    for (let n = 0; n < 30; n++) await turn()
    await Promise.all(waiting)
    expect(done).toEqual(['a', ...names, 'new'])
  })

  it('start afresh with each turn, and ask for one only when there is a reason', async () => {
    const { work, turns, turn } = stage()
    for (let n = 0; n < 4; n++) expect(work('a', 0.1)).toBe('a')
    expect(turns.length).toBe(0)
    for (let n = 0; n < 2; n++) expect(work('a', 0.1)).toBe('a')
    expect(turns.length).toBe(1)
    await turn()
    for (let n = 0; n < 6; n++) expect(work('a', 0.15)).toBe('a')
  })

  it('hand on what work throws, now and later, and go on', async () => {
    let now = 0
    const fair = new FairTurns(undefined, () => now++)
    const fail = () => {
      throw new Error('no')
    }
    expect(() => fair.run(fail)).toThrow('no')
    fair.run(() => 1)
    await expect(fair.run(fail)).rejects.toThrow('no')
    expect(await fair.run(() => 2)).toBe(2)
    expect(await fair.run(async () => 3)).toBe(3)
  })

  it('wait for nothing where there is no setImmediate', () => {
    const fair = new FairTurns({} as never, () => 0)
    for (let n = 0; n < 9; n++) expect(fair.run(() => n)).toBe(n)
  })
})
