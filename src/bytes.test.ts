import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  base64url,
  concat,
  equalBytes,
  fromBase64url,
  hex,
  isWellFormed,
  randomId,
  sha256,
  textOf,
  tuple,
  utf8,
} from './bytes.js'

/** Parts made of what delimiters, lengths and normalisation could be confused by. */
const awkward = fc.constantFrom(
  '',
  ':',
  'a',
  'a:b',
  ':b',
  '\0',
  '\0\0\0\u0001',
  '\0\0\0\0',
  '\0\0\0\0a',
  '\u{1F600}',
  'é',
  'e\u0301',
  'A',
  ' a',
  'a ',
  '__proto__',
  'undefined',
  'null',
  '\uFFFD',
  '\uFEFFa',
)
const part = fc.option(
  fc.oneof(
    awkward,
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.array(awkward, { maxLength: 4 }).map((parts) => parts.join('')),
  ),
  { nil: undefined },
)
const parts = fc.array(part, { maxLength: 6 })

describe('tuple', () => {
  it('V13 never gives two tuples the same bytes', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same = a.length === b.length && a.every((value, at) => value === b[at])
        expect(equalBytes(tuple(...a), tuple(...b))).toBe(same)
      }),
      { numRuns: 3_000 },
    )
  })

  it('V13 keeps apart what a moved boundary would join', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.nat(),
        (text, m, n) => {
          const characters = [...text]
          const cut = (at: number) => {
            const where = at % (characters.length + 1)
            return [characters.slice(0, where).join(''), characters.slice(where).join('')]
          }
          const [a, b] = [cut(m), cut(n)]
          expect(equalBytes(tuple(...a), tuple(...b))).toBe(a[0] === b[0])
        },
      ),
    )
  })

  it.each([
    ['a delimiter', ['a:b', 'c'], ['a', 'b:c']],
    ['nothing and an empty part', [undefined], ['']],
    ['no part and an absent one', [], [undefined]],
    ['a part that looks like a length', ['\0\0\0\u0001a'], ['', 'a']],
    ['a part that looks like an end', ['\0\0\0\0', ''], ['', '\0\0\0\0']],
    ['two forms of one letter', ['é'], ['e\u0301']],
    ['case', ['User'], ['user']],
    ['a trailing space', ['a '], ['a']],
    ['a trailing NUL', ['a\0'], ['a']],
    ['a byte order mark', ['\uFEFFa'], ['a']],
    ['10 KB but the last letter', [`${'x'.repeat(10_240)}a`], [`${'x'.repeat(10_240)}b`]],
  ] as [string, (string | undefined)[], (string | undefined)[]][])(
    'V13 tells apart: %s',
    (_, a, b) => {
      expect(hex(tuple(...a))).not.toBe(hex(tuple(...b)))
    },
  )

  it('V13 J31 refuses a lone surrogate, which UTF-8 would turn into another text', () => {
    for (const text of ['\ud800', 'a\udc00', '\udc00\ud800', '\ud83d\ud83d\ude00']) {
      expect(isWellFormed(text)).toBe(false)
      expect(() => tuple('a', text)).toThrow(TypeError)
      expect(() => utf8(text)).toThrow(/lone surrogate/)
    }
    expect(isWellFormed('\ud83d\ude00')).toBe(true)
    expect(hex(utf8('\u{1F600}'))).toBe('f09f9880')
  })
})

describe('textOf', () => {
  it.each([
    ['an overlong NUL', [0xc0, 0x80]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a cut sequence', [0xe2, 0x82]],
    ['a continuation alone', [0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('J31 refuses invalid UTF-8: %s', (_, bytes) => {
    expect(textOf(new Uint8Array(bytes))).toBeUndefined()
  })

  it('gives back every text, a byte order mark included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(textOf(utf8(text))).toBe(text)
      }),
    )
    expect(textOf(utf8('\uFEFFx'))).toBe('\uFEFFx')
  })
})

describe('base64url', () => {
  it('reads back what it wrote, and writes what Node writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = base64url(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64url'))
        expect(fromBase64url(text)).toEqual(new Uint8Array(bytes))
      }),
    )
  })

  it('writes more bytes than a call takes arguments', () => {
    const bytes = new Uint8Array(200_000).fill(7)
    expect(base64url(bytes)).toBe(Buffer.from(bytes).toString('base64url'))
  })

  it.each([
    ['padding', 'AAA='],
    ['standard alphabet', 'ab+/'],
    ['one character over', 'AAAAA'],
    ['unused bits set, one byte', 'AB'],
    ['unused bits set, two bytes', 'AAB'],
    ['white space', 'AA AA'],
    ['a line break at the end', 'AAAA\n'],
    ['a dot', 'AA.A'],
    ['not ASCII', 'AAAÄ'],
    ['fullwidth letters', 'ＡＡＡＡ'],
  ])('J28 refuses what it would not have written: %s', (_, text) => {
    expect(fromBase64url(text)).toBeUndefined()
  })

  it('J28 takes one text only for one value', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9_-]{0,6}$/), (text) => {
        const bytes = fromBase64url(text)
        if (bytes) expect(base64url(bytes)).toBe(text)
      }),
    )
  })
})

describe('the rest', () => {
  it('compares bytes', () => {
    const a = new Uint8Array([1, 2, 3])
    expect(equalBytes(a, new Uint8Array([1, 2, 3]))).toBe(true)
    expect(equalBytes(a, new Uint8Array([1, 2]))).toBe(false)
    expect(equalBytes(new Uint8Array(), new Uint8Array())).toBe(true)
    for (let at = 0; at < 3; at++) {
      const other = a.slice()
      other[at]! ^= 0x80
      expect(equalBytes(a, other)).toBe(false)
    }
  })

  it('joins, hashes and names', async () => {
    expect(concat(new Uint8Array([1]), new Uint8Array(), new Uint8Array([2, 3]))).toEqual(
      new Uint8Array([1, 2, 3]),
    )
    // FIPS 180-4, the hash of "abc"
    expect(hex(await sha256(utf8('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
    expect(randomId()).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(randomId()).not.toBe(randomId())
  })
})
