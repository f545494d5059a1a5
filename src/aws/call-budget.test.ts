import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { CallBudget } from './call-budget.js'

/** Calls whose answers are given later. */
function rig() {
  const budget = new CallBudget()
  const clock = fakeClock()
  const answers: ((confirmed: boolean) => void)[] = []
  /** `refused` when there is no allowance. */
  const ask = async (caller: string): Promise<boolean | 'refused'> =>
    (await budget.run(
      caller,
      clock,
      () => new Promise<boolean>((resolve) => answers.push(resolve)),
      (answer) => answer,
    )) ?? 'refused'
  const answerAll = (confirmed: boolean) => {
    for (const answer of answers.splice(0)) answer(confirmed)
  }
  const now = async (caller: string, confirmed: boolean) => {
    const asked = ask(caller)
    answerAll(confirmed)
    return asked
  }
  return { clock, answers, ask, answerAll, now }
}

describe('CallBudget', () => {
  it('charges a caller for nothing that was made up in its name, one after another', async () => {
    for (const made of [25, 150]) {
      const { now } = rig()
      await now('victim', true)
      for (let n = 0; n < made; n++) expect(await now('victim', false)).toBe(false)
      for (let n = 0; n < 19; n++) expect(await now('victim', true)).toBe(true)
      expect(await now('victim', true)).toBe('refused')
      expect(await now('victim', false)).toBe('refused')
    }
  })

  it('nor while nothing of it is answered yet', async () => {
    const { now, ask, answers, answerAll } = rig()
    await now('victim', true)
    const made = Array.from({ length: 60 }, () => ask('victim'))
    expect(answers).toHaveLength(60)
    const own = ask('victim')
    expect(answers).toHaveLength(61)
    answers.pop()!(true)
    expect(await own).toBe(true)
    answerAll(false)
    expect(new Set(await Promise.all(made))).toEqual(new Set([false]))
    expect(await now('victim', true)).toBe(true)
  })

  it('charges a caller for what was confirmed, and nobody else', async () => {
    const { now, clock } = rig()
    for (const caller of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) {
      for (let n = 0; n < 20; n++) expect(await now(caller, true)).toBe(true)
      expect(await now(caller, true)).toBe('refused')
    }
    clock.advance(1_000)
    expect([await now('a', true), await now('a', true), await now('a', true)]).toEqual([
      true,
      true,
      'refused',
    ])
  })

  it('lets those go on whom it knows while strangers use up their share', async () => {
    const { now, clock } = rig()
    await now('known', true)
    let asked = 0
    for (let n = 0; n < 1_000; n++) if ((await now(`made-up ${n}`, false)) !== 'refused') asked++
    expect(asked).toBe(100)
    expect(await now('known', true)).toBe(true)
    expect(await now('new', true)).toBe('refused')
    clock.advance(1_000)
    expect(await now('new', true)).toBe(true)
  })

  it('keeps strangers, and each caller, to half of what runs at once', async () => {
    const { now, ask, answers, answerAll } = rig()
    await now('one', true)
    await now('two', true)
    const waiting = Array.from({ length: 200 }, (_, n) => ask(`made-up ${n}`))
    expect(answers).toHaveLength(64)
    waiting.push(...Array.from({ length: 200 }, () => ask('one')))
    expect(answers).toHaveLength(128)
    answers.splice(127)[0]!(false)
    waiting.push(ask('two'))
    await Promise.race(waiting)
    waiting.push(ask('two'))
    expect(answers).toHaveLength(128)
    answerAll(false)
    await Promise.all(waiting)
    expect(await now('two', true)).toBe(true)
  })

  it('bounds what is asked in the name of a caller, and earns it again', async () => {
    const { now, clock } = rig()
    await now('victim', true)
    let asked = 0
    for (let n = 0; n < 1_000; n++) if ((await now('victim', false)) !== 'refused') asked++
    expect(asked).toBe(200)
    clock.advance(1_000)
    expect(await now('victim', true)).toBe(true)
  })

  it('charges for a call that fails', async () => {
    const budget = new CallBudget()
    const clock = fakeClock()
    const fail = () =>
      budget
        .run(
          'a',
          clock,
          () => Promise.reject(new Error('away')),
          () => true,
        )
        .then(
          () => 'refused',
          () => 'failed',
        )
    for (let n = 0; n < 100; n++) expect(await fail()).toBe('failed')
    expect(await fail()).toBe('refused')
  })
})
