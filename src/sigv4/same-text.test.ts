import { describe, expect, it } from 'vitest'
import { TextComparison } from './same-text.js'

describe('TextComparison', () => {
  const { same } = TextComparison.prototype
  const comparison = new TextComparison()
  const compare = same.bind(comparison)

  it.each([0, 1, 3, 4, 5, 64, 341, 4_096, 4_097])(
    'tells texts of %d characters apart',
    (length) => {
      const text = 'y'.repeat(length)
      compare('z'.repeat(4_096), 'x'.repeat(4_096)) // what is left of earlier texts counts for nothing
      expect(compare(text, 'y'.repeat(length))).toBe(true)
      expect(compare(text, `${text}y`)).toBe(false)
      for (const at of new Set([0, 1, 2, 3, length >> 1, length - 2, length - 1])) {
        if (at < 0 || at >= length) continue
        expect(compare(text, `${text.slice(0, at)}x${text.slice(at + 1)}`)).toBe(false)
      }
    },
  )

  it('tells apart what the encoder does not', () => {
    expect(compare('a\ud800', 'a\ud801')).toBe(false)
    expect(compare('\ud800', '\ufffd')).toBe(false)
    expect(compare('\u00e9b', '\u00e9c')).toBe(false)
    expect(compare('ab', '\u00e9')).toBe(false)
    expect(compare('\u00e9\ud83d\ude00', '\u00e9\ud83d\ude00')).toBe(true)
    expect(compare('\u20ac'.repeat(4_096), `${'\u20ac'.repeat(4_095)}x`)).toBe(false)
  })
})
