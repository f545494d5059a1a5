import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode } from '../../test/support/issuer.js'
import { base64url, fromBase64url, textOf } from '../bytes.js'
import { SegmentCodec } from './segment-codec.js'
import { JwsParser } from './strict-parse.js'

/** As on a runtime without Buffer. */
function portable(): SegmentCodec {
  return Object.assign(Object.create(SegmentCodec.prototype) as SegmentCodec, {
    reads: () => false,
    bytes: () => undefined,
    text: () => undefined,
    copy: (text: string) => text,
  })
}

const segment = fc.oneof(
  fc.uint8Array({ maxLength: 90 }).map((bytes) => base64url(new Uint8Array(bytes))),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => encode(text || 'x')),
  fc.string({
    // Of the last two Buffer would take the lower eight bits, which are A and B.
    unit: fc.constantFrom(...'AQgw19-_+/=. \n\0\u007f\u00e9\u4e2d\u0141\u0242'),
    maxLength: 12,
  }),
  fc
    .tuple(fc.uint8Array({ maxLength: 30 }), fc.string({ maxLength: 1 }), fc.nat(40))
    .map(([bytes, more, at]) => {
      const text = base64url(new Uint8Array(bytes))
      return text.slice(0, at) + more + text.slice(at)
    }),
)

describe('a segment codec', () => {
  it('J28 J31 accepts nothing that the portable functions refuse', () => {
    const codec = new SegmentCodec()
    fc.assert(
      fc.property(segment, (text) => {
        const expected = fromBase64url(text)
        if (expected) expect(codec.reads(text)).toBe(true)
        if (!codec.reads(text)) return
        const bytes = codec.bytes(text)
        const decoded = codec.text(text)
        expect(bytes && [...bytes]).toEqual(expected && [...expected])
        if (decoded !== undefined) expect(decoded).toBe(expected && textOf(expected))
      }),
      { numRuns: 6000 },
    )
  })

  it('J28 agrees with the portable functions on every end of a segment', () => {
    const codec = new SegmentCodec()
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const start of ['', 'A', '_w', 'AbC', 'AAAA']) {
      for (const last of alphabet) {
        const expected = fromBase64url(start + last)
        expect(codec.bytes(start + last)?.join(), start + last).toBe(expected?.join())
      }
    }
  })

  it('J28 reads no token with a character of which Buffer would take a part, however long', () => {
    const codec = new SegmentCodec()
    for (const other of ['\u0141', '\u00c1', '\ud83d\ude00', '+', '/']) {
      for (const length of [0, 1, 500, 16_382, 16_383]) {
        expect(codec.reads('A'.repeat(length) + other), `${length} and ${other}`).toBe(false)
        expect(codec.reads(other + 'A'.repeat(length)), `${other} and ${length}`).toBe(false)
      }
    }
    expect(codec.reads('A'.repeat(16_384))).toBe(true)
    expect(codec.reads('\u0141'.repeat(16_384))).toBe(false)
    expect(codec.reads('A'.repeat(16_385))).toBe(false)
  })

  it('keeps a byte order mark, and leaves a true U+FFFD to the portable functions', () => {
    const codec = new SegmentCodec()
    expect(codec.text(encode('\ufeff{}'))).toBe('\ufeff{}')
    expect(codec.text(encode('"\ufffd"'))).toBeUndefined()
    expect(
      new JwsParser().parse(`${encode({ alg: 'x' })}.${encode({ a: '\ufffd' })}.AAAA`).payload,
    ).toEqual({
      a: '\ufffd',
    })
  })

  it('copies text', () => {
    const text = `${'x'.repeat(40)}.a-_`
    expect(new SegmentCodec().copy(text)).toBe(text)
  })
})

describe('the two ways to parse', () => {
  const object = fc.oneof(
    fc.json({ maxDepth: 4 }),
    fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify({ value, 'k:"': value })),
    fc.constantFrom(
      '{"a":1,"a":2}',
      '{"a":{"b":1,"b":1}}',
      '{"__proto__":{"x":1},"a":"__proto__"}',
      '{"\\u0061":1,"a":2}',
      '{"a":"\\\\","b":":"}',
      '{"a":"\\\\\\"","b":"\\":{"}',
      '{"a":"\\ud800"}',
      '{"a":1e999}',
      '\ufeff{}',
      `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`,
      `${'{"a":'.repeat(32)}1${'}'.repeat(32)}`,
    ),
  )

  it('J28 J29 J30 J31 say the same of every token', () => {
    const parsers = [new JwsParser(), new JwsParser(portable())]
    const header = fc.oneof(
      fc.constantFrom(
        '{"alg":"ES256"}',
        '{"alg":"ES256","kid":"k","typ":"at+jwt"}',
        '{"alg":"none"}',
      ),
      object,
    )
    const token = fc
      .tuple(
        header,
        object,
        fc.uint8Array({ maxLength: 6 }),
        fc.nat(600),
        fc.constantFrom('', '=', ' ', '.', 'B'),
      )
      .map(([head, body, tail, at, more]) => {
        const text = `${encode(head)}.${encode(body)}.${base64url(new Uint8Array(tail))}`
        return text.slice(0, at) + more + text.slice(at)
      })
    fc.assert(
      fc.property(token, (text) => {
        const [one, other] = parsers.map((parser) => {
          try {
            const { header, payload, signingInput, signature } = parser.parse(text)
            return { header, payload, signingInput, signature: [...signature] }
          } catch (error) {
            const { code, reason } = error as { code: string; reason: string }
            return { code, reason }
          }
        })
        expect(one).toEqual(other)
      }),
      { numRuns: 4000 },
    )
  })

  it('remembers headers by their exact text, and a bounded number of them', () => {
    const parser = new JwsParser()
    const body = `${encode({})}.AAAA`
    const first = parser.parse(`${encode({ alg: 'ES256', kid: '0' })}.${body}`).header
    expect(parser.parse(`${encode({ alg: 'ES256', kid: '0' })}.${body}`).header).toBe(first)
    expect(parser.parse(`${encode({ kid: '0', alg: 'ES256' })}.${body}`).header).not.toBe(first)
    for (let kid = 1; kid < 100; kid++) {
      expect(parser.parse(`${encode({ alg: 'ES256', kid: `${kid}` })}.${body}`).header.kid).toBe(
        `${kid}`,
      )
    }
    const again = parser.parse(`${encode({ alg: 'ES256', kid: '0' })}.${body}`).header
    expect(again).not.toBe(first)
    expect(again).toEqual(first)
  })
})
