import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseStrictJson } from './strict-json.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const parse = (text: string, depth?: number) => parseStrictJson(bytes(text), depth)
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

describe('strict JSON', () => {
  it.each([
    ['J29', '{"a":1,"a":2}', 'duplicate_key'],
    ['J29', '{"a":1,"\\u0061":2}', 'duplicate_key'],
    ['J29', '{"b":[{"a":{},"a":0}]}', 'duplicate_key'],
    ['J29', '{"":1,"":1}', 'duplicate_key'],
    ['J29', '{"__proto__":1,"__proto__":2}', 'duplicate_key'],
    ['J29', '{"a\\"":1,"a\\u0022":2}', 'duplicate_key'],
    ['J31', '\ufeff{}', 'byte_order_mark'],
    ['J31', '{"a":"\\ud800"}', 'lone_surrogate'],
    ['J31', '{"\\udc00":1}', 'lone_surrogate'],
    ['J34', '{"exp":1e999}', 'number_out_of_range'],
    ['J34', '[-1e400]', 'number_out_of_range'],
    ['', '', 'not_json'],
    ['', '{"a":1,}', 'not_json'],
    ['', '{} {}', 'not_json'],
    ['', "{'a':1}", 'not_json'],
    ['', '[NaN]', 'not_json'],
    ['', '{"a":"unterminated', 'not_json'],
    ['', '"\\', 'not_json'],
  ])('%s refuses %j as %s', (_, text, reason) => {
    expect(parse(text)).toEqual({ ok: false, reason })
  })

  it('J31 refuses bytes that are not UTF-8', () => {
    for (const bad of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      expect(parseStrictJson(new Uint8Array(bad))).toEqual({ ok: false, reason: 'not_utf8' })
    }
  })

  it('J31 keeps NUL and composed characters as they are', () => {
    expect(parse('{"sub":"a\\u0000b","e":"e\\u0301"}')).toEqual({
      ok: true,
      value: { sub: 'a\0b', e: 'e\u0301' },
    })
  })

  it('J30 accepts the depth that is allowed and no more', () => {
    expect(parse(nested(32)).ok).toBe(true)
    expect(parse(nested(33))).toEqual({ ok: false, reason: 'too_deep' })
    expect(parse('{"a":'.repeat(33) + 1 + '}'.repeat(33))).toMatchObject({ reason: 'too_deep' })
    expect(parse(nested(3), 2)).toMatchObject({ reason: 'too_deep' })
    expect(parse(nested(129), 1e9)).toMatchObject({ reason: 'too_deep' })
    expect(parse(`[${'[],'.repeat(100)}[]]`).ok).toBe(true)
  })

  it('J30 answers a million levels with a refusal, not a RangeError', () => {
    expect(parse(nested(1_000_000)).ok).toBe(false)
    expect(parse('['.repeat(1_000_000))).toEqual({ ok: false, reason: 'not_json' })
  })

  it('the same key in two objects, and a key that is also a value, are no duplicates', () => {
    expect(parse('[{"a":"a"},{"a":["a","a"]}]').ok).toBe(true)
    expect(parse('{"a":{"a":{"b":1},"b":2},"b":3}').ok).toBe(true)
    expect(parse('{"x":"{\\"x\\":1,\\"x\\":2}"}').ok).toBe(true)
  })

  it('J73 keeps __proto__ and constructor as data', () => {
    const json = parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":1}}}')
    if (!json.ok) throw new Error(json.reason)
    const value = json.value as Record<string, unknown>
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(value.toString).toBeUndefined()
  })

  it('J73 takes nothing from a polluted prototype', () => {
    const everything = Object.prototype as { admin?: unknown }
    everything.admin = true
    try {
      const json = parse('{"a":{"b":1}}')
      if (!json.ok) throw new Error(json.reason)
      const value = json.value as { a: object; admin?: unknown }
      expect(value.admin).toBeUndefined()
      expect([Object.keys(value), Object.keys(value.a)]).toEqual([['a'], ['b']])
      // Nor takes it for something that was written.
      for (const twice of ['{"a":1,"a":2}', '[{"b":{"":0,"":0}}]']) {
        expect(parse(twice)).toEqual({ ok: false, reason: 'duplicate_key' })
      }
    } finally {
      delete everything.admin
    }
  })

  it.each([
    '{"a":1,"a":1}',
    '{"":0,"":0}',
    '{"n":100,"":0,"":0}',
    '{"n":1e9,"":0,"":0}',
    '{"n":18e8,"a":1,"a":2}',
    '{"n":1E15,"":0,"m":1E15,"":0}',
    '{"n":-1,"t":true,"f":false,"z":null,"f":false}',
    '{"n":0.5,"":0,"":0}',
    '{"n":9007199254740991,"":0,"":0}',
    '[{},[],{"":0,"":0}]',
    '{"a":"\\u0041\\n","":0,"":0}',
    '{"a":"\u00e9\u4e2d","":0,"":0}',
    '{ "a" : 1 , "a" : 2 }',
    `{"a":${nested(40)},"a":1}`,
  ])('J29 finds the second of two members of one name in %j', (text) => {
    expect(parse(text).ok).toBe(false)
  })

  it('J29 fc: finds a member that is written twice, wherever it stands', () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.integer().map(String),
      fc.constantFrom('0', '-0', '1e3', '1E9', '12e15', '1e-3', '100', '1000', '1.0', '5e-324'),
    )
    const scalar = fc.oneof(
      number,
      fc.string().map((s) => JSON.stringify(s)),
      fc.constant('null'),
    )
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof({ depthSize: 'small' }, scalar, tie('list'), tie('object')),
      list: fc.array(tie('json'), { maxLength: 3 }).map((items) => `[${items}]`),
      object: fc
        .array(tie('json'), { maxLength: 3 })
        .map((items) => `{${items.map((item, at) => `"${at % 2 ? at : `k${at}`}":${item}`)}}`),
    }))
    const twice = fc.tuple(json, json, json).map(([a, b, c]) => {
      const [first, second, third] = [a, b, c].map(String)
      return [`[${first},{"":${second},"x":${third}}]`, `[${first},{"":${second},"":${third}}]`]
    })
    fc.assert(
      fc.property(twice, ([once, again]) => {
        expect(parse(once!).ok).toBe(true)
        expect(parse(again!)).toEqual({ ok: false, reason: 'duplicate_key' })
      }),
      { numRuns: 2_000 },
    )
  })

  it('freezes at every level', () => {
    const json = parse('{"a":[{"b":1}]}')
    if (!json.ok) throw new Error(json.reason)
    const value = json.value as { a: { b: number }[] }
    expect(Object.isFrozen(value) && Object.isFrozen(value.a) && Object.isFrozen(value.a[0])).toBe(
      true,
    )
  })

  // Quadratic, each would take many minutes: the test's time-out would end it.
  it('takes time in proportion to the text', () => {
    const members = Array.from({ length: 400_000 }, (_, n) => `"k${n}":1`).join(',')
    expect(parse(`{${members}}`).ok).toBe(true)
    expect(parse(`"${'\\\\'.repeat(4_000_000)}"`).ok).toBe(true)
  })

  it('reads what JSON.parse reads, and accepts nothing else', () => {
    const fragments = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '\\u0061',
      '"a"',
      '"a":',
      '1',
      ' ',
      '-',
      'e9',
      'true',
      'é',
      '\ufeff',
    )
    const soup = fc.array(fragments, { maxLength: 24 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' }), soup), (text) => {
        const json = parse(text)
        if (json.ok) expect(JSON.stringify(json.value)).toBe(JSON.stringify(JSON.parse(text)))
      }),
      { numRuns: 2_000 },
    )
  })

  it('accepts whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const json = parse(JSON.stringify(value))
        expect(json.ok && JSON.stringify(json.value)).toBe(JSON.stringify(value))
      }),
    )
  })
})
