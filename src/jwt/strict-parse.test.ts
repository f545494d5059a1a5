import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode } from '../../test/support/issuer.js'
import { InboundAuthError } from '../errors/inbound.js'
import { parseJws } from './strict-parse.js'

const header = encode({ alg: 'ES256' })
const payload = encode({ sub: 'u1' })
const good = `${header}.${payload}.AAAA`
const withHeader = (fields: unknown) => `${encode(fields)}.${payload}.AAAA`
const withPayload = (text: string | Buffer) =>
  `${header}.${Buffer.from(text as string).toString('base64url')}.AAAA`

function codeOf(token: unknown, maxBytes?: number): string | undefined {
  try {
    parseJws(token as string, maxBytes)
    return undefined
  } catch (error) {
    if (!(error instanceof InboundAuthError)) throw error
    return error.code
  }
}

describe('strict JWS parser', () => {
  it('takes a token apart', () => {
    const jws = parseJws(good)
    expect(jws.header).toEqual({ alg: 'ES256' })
    expect(jws.payload).toEqual({ sub: 'u1' })
    expect(jws.signingInput).toBe(`${header}.${payload}`)
    expect([...jws.signature]).toEqual([0, 0, 0])
    expect(Object.isFrozen(jws.payload)).toBe(true)
  })

  it.each([
    ['J27', 'empty', ''],
    ['J27', 'one part', 'abcd'],
    ['J27', 'two parts', `${header}.${payload}`],
    ['J27', 'four parts', `${good}.AAAA`],
    ['J27', 'five parts (JWE)', `${header}..AAAA.AAAA.AAAA`],
    ['J27', 'a trailing dot', `${good}.`],
    ['J27', 'no header', `.${payload}.AAAA`],
    ['J27', 'no payload', `${header}..AAAA`],
    ['J27', 'no signature', `${header}.${payload}.`],
    [
      'J27',
      'JSON serialization',
      JSON.stringify({ protected: header, payload, signature: 'AAAA' }),
    ],
    ['J27', 'a leading space', ` ${good}`],
    ['J27', 'a trailing newline', `${good}\n`],
    ['J27', 'a scheme', `Bearer ${good}`],
    ['J28', 'padding', `${good}=`],
    ['J28', 'standard alphabet', `${header}.${payload}.AA+/`],
    ['J28', 'unused bits', `${header}.${payload}.AB`],
    ['J28', 'a newline inside', `${header}.${payload}.AA\nAA`],
    ['J28', 'a padded payload', `${header}.${payload}=.AAAA`],
    ['J28', 'length 1 modulo 4', `${header}.${payload}.AAAAA`],
    ['J29', 'duplicate header keys', withHeader('{"alg":"none","alg":"ES256"}')],
    ['J29', 'duplicate payload keys', withPayload('{"sub":"a","sub":"b"}')],
    ['J30', 'deep nesting', withPayload(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`)],
    ['J31', 'a byte order mark', withPayload('\ufeff{}')],
    ['J31', 'invalid UTF-8', withPayload(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
    ['J32', 'an array', withPayload('[]')],
    ['J32', 'null', withPayload('null')],
    ['J32', 'a string', withPayload('"x"')],
    ['J32', 'a number', withPayload('1')],
    ['J32', 'a header that is an array', withHeader([])],
    ['J22', 'unknown crit', withHeader({ alg: 'ES256', crit: ['x'], x: 1 })],
    ['J22', 'empty crit', withHeader({ alg: 'ES256', crit: [] })],
    ['J22', 'crit that is a string', withHeader({ alg: 'ES256', crit: 'exp' })],
    ['J22', 'crit null', withHeader({ alg: 'ES256', crit: null })],
    ['J22', 'crit naming alg', withHeader({ alg: 'ES256', crit: ['alg'] })],
    ['J22', 'crit twice', withHeader('{"alg":"ES256","crit":["b64"],"crit":["b64"]}')],
    ['J23', 'b64 false without crit', withHeader({ alg: 'ES256', b64: false })],
    ['J23', 'b64 false with crit', withHeader({ alg: 'ES256', b64: false, crit: ['b64'] })],
    ['J23', 'b64 true', withHeader({ alg: 'ES256', b64: true })],
    ['J24', 'zip', withHeader({ alg: 'ES256', zip: 'DEF' })],
    ['J01', 'no alg', withHeader({})],
    ['J01', 'an alg that is no string', withHeader({ alg: ['ES256'] })],
    ['J01', 'an empty alg', withHeader({ alg: '' })],
    ['J09', 'a kid that is a number', withHeader({ alg: 'ES256', kid: 1 })],
    ['J09', 'a kid that is an object', withHeader({ alg: 'ES256', kid: {} })],
    ['J09', 'a kid that is null', withHeader({ alg: 'ES256', kid: null })],
    ['J09', 'an empty kid', withHeader({ alg: 'ES256', kid: '' })],
    ['J09', 'a long kid', withHeader({ alg: 'ES256', kid: 'k'.repeat(257) })],
    ['J43', 'a typ that is no string', withHeader({ alg: 'ES256', typ: 1 })],
    ['J27', 'undefined', undefined],
    ['J27', 'an object', { length: 3, split: () => [header, payload, 'AAAA'] }],
  ])('%s refuses %s', (_, __, token) => {
    expect(codeOf(token)).toBe('ERR_MALFORMED_TOKEN')
  })

  it.each(['none', 'None', 'NONE', 'nOnE'])(
    'J01 refuses alg %s with and without signature',
    (alg) => {
      expect(codeOf(withHeader({ alg }))).toBe('ERR_ALG_NOT_ALLOWED')
      expect(codeOf(`${encode({ alg })}.${payload}.`)).toBe('ERR_ALG_NOT_ALLOWED')
    },
  )

  it('J30 looks at the length first', () => {
    expect(codeOf(good, good.length)).toBeUndefined()
    expect(codeOf(good, good.length - 1)).toBe('ERR_TOKEN_TOO_LARGE')
    // No part of it is of the right form, and still it is the length that is told.
    expect(codeOf('.'.repeat(10_000_000))).toBe('ERR_TOKEN_TOO_LARGE')
  })

  it('J06 J07 J08 gives nobody the keys that a header offers', () => {
    const offers = {
      jwk: { kty: 'EC' },
      jku: 'https://evil.example',
      x5u: 'https://evil.example',
      x5c: ['AA'],
    }
    expect(parseJws(withHeader({ alg: 'ES256', kid: 'k', ...offers })).header).toEqual({
      alg: 'ES256',
      kid: 'k',
    })
  })

  it('has no token text in its errors', () => {
    for (const token of [withHeader({ alg: 'ES256', kid: 7, canary: 'c4nary' }), 'c4nary.c4nary']) {
      try {
        parseJws(token)
        expect.unreachable()
      } catch (error) {
        expect(`${error} ${JSON.stringify(error)}`).not.toContain('c4nary')
      }
    }
  })

  it('throws typed errors only, whatever comes', () => {
    const segment = fc.oneof(
      fc.json().map(encode),
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b).toString('base64url')),
      fc.constant(header),
      fc.record({ alg: fc.jsonValue(), kid: fc.jsonValue(), typ: fc.jsonValue() }).map(encode),
    )
    const token = fc.array(segment, { minLength: 1, maxLength: 4 }).map((s) => s.join('.'))
    fc.assert(
      fc.property(fc.oneof(token, fc.string({ unit: 'binary' }), fc.anything()), (input) => {
        codeOf(input)
      }),
      { numRuns: 3_000 },
    )
  })

  it('J28 lets no second spelling of a token through', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 70 }),
        fc.nat(),
        fc.nat(),
        (bytes, at, to) => {
          const tail = Buffer.from(bytes).toString('base64url')
          const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n'
          const place = at % (tail.length + 1)
          const changed =
            tail.slice(0, place) + alphabet[to % alphabet.length] + tail.slice(place + 1)
          if (changed === tail || codeOf(`${header}.${payload}.${changed}`) !== undefined) return
          expect([...parseJws(`${header}.${payload}.${changed}`).signature]).not.toEqual([...bytes])
        },
      ),
    )
  })
})
