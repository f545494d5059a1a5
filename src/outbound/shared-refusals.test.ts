import { describe, expect, it } from 'vitest'
import { SharedRefusals } from './shared-refusals.js'

const HOUR = 3_600_000

describe('a refusal that two rows met', () => {
  it('is the client’s, also for the row that met it first', () => {
    const seen = new SharedRefusals()
    expect(seen.note('p', 'x', 'a', 0)).toBe(false)
    expect(seen.note('p', 'x', 'a', 1)).toBe(false)
    expect(seen.note('p', 'x', 'b', 2)).toBe(true)
    expect(seen.note('p', 'x', 'a', 3)).toBe(true)
  })

  it('is of one provider, in one word, within an hour, and with no success between', () => {
    const seen = new SharedRefusals()
    seen.note('p', 'x', 'a', 0)
    expect(seen.note('q', 'x', 'b', 0)).toBe(false)
    expect(seen.note('p', 'y', 'b', 0)).toBe(false)
    expect(seen.note('p', 'x', 'b', HOUR)).toBe(false)
    expect(seen.note('p', 'x', 'c', HOUR)).toBe(true)
    seen.clear('p')
    expect(seen.note('p', 'x', 'a', HOUR)).toBe(false)
  })

  it('is remembered of the last rows and codes only', () => {
    const seen = new SharedRefusals()
    seen.note('p', 'x', 'a', 0)
    for (let n = 0; n < 16; n++) seen.note('p', `code-${n}`, 'a', 0)
    expect(seen.note('p', 'x', 'b', 0)).toBe(false)
  })
})
