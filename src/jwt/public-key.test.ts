import { describe, expect, it } from 'vitest'
import { codeOf, makeKey, signToken } from '../../test/support/issuer.js'
import { KeyList } from './key-list.js'
import { PublicKey } from './public-key.js'
import { parseJws } from './strict-parse.js'

const ec = makeKey('ES256', 'ec').jwk
const rsa = makeKey('RS256', 'rsa').jwk
const ed = makeKey('EdDSA', 'ed').jwk
const b64 = (bytes: number[]) => Buffer.from(bytes).toString('base64url')
const modulus = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64url')

describe('public keys', () => {
  it.each([
    ['J13', 'a private EC key', { ...ec, d: 'AAAA' }, 'private or symmetric'],
    ['J13', 'a private RSA prime', { ...rsa, p: 'AAAA' }, 'private or symmetric'],
    ['J13', 'a symmetric key', { kty: 'oct', k: 'AAAA', kid: 'x' }, 'private or symmetric'],
    ['J14', 'a key for encryption', { ...ec, use: 'enc' }, 'use'],
    ['J14', 'key_ops without verify', { ...ec, key_ops: ['encrypt'] }, 'key_ops'],
    ['J14', 'key_ops that is no list', { ...ec, key_ops: 'verify' }, 'key_ops'],
    ['J14', 'an encryption algorithm', { ...rsa, alg: 'RSA-OAEP' }, 'algorithm'],
    ['J03', 'an HMAC algorithm', { ...rsa, alg: 'HS256' }, 'algorithm'],
    ['J15', 'RSA of 1024 bits', { ...rsa, n: modulus(128) }, 'modulus outside'],
    [
      'J15',
      'RSA of 2047 bits',
      { ...rsa, n: b64([0x7f, ...Buffer.alloc(255, 0xff)]) },
      'modulus outside',
    ],
    ['J15', 'RSA of 8200 bits', { ...rsa, n: modulus(1025) }, 'modulus outside'],
    [
      'J15',
      'an even modulus',
      { ...rsa, n: b64([...Buffer.alloc(255, 0xff), 0xfe]) },
      'even modulus',
    ],
    ['J15', 'exponent 1', { ...rsa, e: b64([1]) }, 'exponent'],
    ['J15', 'exponent 1 in two bytes', { ...rsa, e: b64([0, 1]) }, 'exponent'],
    ['J15', 'exponent 0', { ...rsa, e: b64([0]) }, 'exponent'],
    ['J15', 'an even exponent', { ...rsa, e: b64([1, 0, 2]) }, 'exponent'],
    ['J15', 'a long exponent', { ...rsa, e: b64(Array(9).fill(0xff)) }, 'exponent'],
    ['J15', 'no modulus', { kty: 'RSA', e: 'AQAB' }, 'modulus'],
    ['J15', 'a modulus with padding', { ...rsa, n: `${rsa.n}==` }, 'modulus'],
    ['J16', 'an unknown curve', { ...ec, crv: 'secp256k1' }, 'curve'],
    ['J16', 'a curve named like a property', { ...ec, crv: '__proto__' }, 'curve'],
    ['J16', 'P-384 with coordinates of P-256', { ...ec, crv: 'P-384' }, 'coordinate'],
    ['J16', 'OKP on P-256', { ...ec, kty: 'OKP' }, 'curve'],
    ['J16', 'EC on Ed25519', { ...ed, kty: 'EC' }, 'curve'],
    ['J16', 'X25519', { ...ed, crv: 'X25519' }, 'curve'],
    ['J16', 'no y', { ...ec, y: undefined }, 'coordinate'],
    ['J50', 'an unknown type', { kty: 'AKP', kid: 'x' }, 'type'],
    ['J50', 'a string', 'key', 'object'],
    ['J50', 'null', null, 'object'],
    ['J09', 'a kid that is no string', { ...ec, kid: 7 }, 'kid'],
  ])('%s does not read %s', (_, __, jwk, why) => {
    expect(PublicKey.read(jwk)).toEqual(expect.stringContaining(why))
  })

  it.each([
    ['EC', ec, 'ES256'],
    ['RSA', rsa, 'RS256'],
    ['RSA', rsa, 'PS384'],
    ['Ed25519', ed, 'EdDSA'],
    ['Ed25519', ed, 'Ed25519'],
    ['Ed25519', { ...ed, alg: 'EdDSA' }, 'Ed25519'],
    ['Ed25519', { ...ed, alg: 'Ed25519' }, 'EdDSA'],
  ] as const)('reads %s for %s', (_, jwk, alg) => {
    const key = PublicKey.read({
      ...jwk,
      use: 'sig',
      key_ops: ['verify'],
      ext: true,
      x5t: 'ignored',
    })
    expect(key).toBeInstanceOf(PublicKey)
    expect((key as PublicKey).fits(alg)).toBe(true)
  })

  it('J16 refuses a point off its curve when it is imported', async () => {
    const key = PublicKey.read({ ...ec, y: ec.x }) as PublicKey
    expect(await codeOf((async () => key.verifier('ES256'))())).toBe('ERR_UNKNOWN_KEY')
    const elsewhere = PublicKey.read({ ...ec, y: ec.x }) as PublicKey
    expect(await codeOf((async () => elsewhere.verifier('ES256', () => undefined))())).toBe(
      'ERR_UNKNOWN_KEY',
    )
  })

  it.each(['EdDSA', 'Ed25519'] as const)('verifies %s on Node and elsewhere', async (alg) => {
    const pair = makeKey(alg, 'k')
    const jws = parseJws(signToken(pair, {}))
    const other = parseJws(signToken(makeKey(alg, 'k'), {}))
    for (const platform of [undefined, () => undefined]) {
      const key = PublicKey.read(pair.jwk) as PublicKey
      const check = await key.verifier(alg, platform)
      expect([await check(jws), await check(other)]).toEqual([true, false])
    }
  })

  it('makes a verifier once per algorithm', async () => {
    const key = PublicKey.read(rsa) as PublicKey
    expect(await key.verifier('RS256')).toBe(await key.verifier('RS256'))
    expect(await key.verifier('RS512')).not.toBe(await key.verifier('RS256'))
  })
})

describe('key lists', () => {
  it('are equal when every key is, with its name and its purpose', () => {
    const listOf = (...keys: object[]) => KeyList.read({ keys }) as KeyList
    expect(listOf(ec, rsa).equals(listOf({ ...ec, x5t: 'x' }, rsa))).toBe(true)
    for (const other of [
      [rsa, ec],
      [ec],
      [ec, rsa, ed],
      [{ ...ec, kid: 'other' }, rsa],
      [{ ...ec, alg: 'ES256' }, rsa],
      [makeKey('ES256', 'ec').jwk, rsa],
      [ec, makeKey('RS256', 'rsa').jwk],
    ]) {
      expect(listOf(ec, rsa).equals(listOf(...other))).toBe(false)
    }
  })

  it('J10 take one key that is there twice, and no two keys of one name', () => {
    const listOf = (...keys: object[]) => KeyList.read({ keys }) as KeyList
    const wanted = { alg: 'ES256', kid: 'ec' } as const
    const first = listOf(ec).select(wanted)!
    for (const again of [
      ec,
      { ...ec, use: 'sig' },
      { ...ec, alg: 'ES256' },
      { ...ec, x5c: ['x'] },
    ]) {
      expect(listOf(ec, rsa, again).select(wanted)?.isSameKey(first)).toBe(true)
    }
    expect(listOf(ec, { ...ec, kid: 'other' }).select({ alg: 'ES256' })).toBeDefined()
    const other = makeKey('ES256', 'ec').jwk
    for (const keys of [
      [ec, other],
      [ec, ec, other],
      [other, ec, ec],
    ]) {
      expect(() => listOf(...keys).select(wanted)).toThrow(
        expect.objectContaining({ code: 'ERR_UNKNOWN_KEY' }),
      )
    }
    expect(() => listOf(ec, { ...other, kid: 'x' }).select({ alg: 'ES256' })).toThrow()
  })

  it('J13 J14 J50 leave out what must not verify, and say which', () => {
    const list = KeyList.read({ keys: [ec, { ...rsa, d: 'AAAA' }, 7, { kty: 'AKP' }, ed] })
    if (typeof list === 'string') throw new Error(list)
    expect(list.size).toBe(2)
    expect(list.leftOut.map((text) => text.slice(0, 7))).toEqual(['keys[1]', 'keys[2]', 'keys[3]'])
  })

  it.each([null, [], {}, { keys: null }, { keys: {} }, { keys: 'x' }])(
    'J50 refuse %j as a set',
    (set) => {
      expect(KeyList.read(set)).toEqual(expect.stringContaining('no list of keys'))
    },
  )

  it('J49 refuse a set of more than 100 keys', () => {
    expect(KeyList.read({ keys: Array(101).fill(ec) })).toEqual(expect.stringContaining('100'))
  })

  it('throw for a literal with anything but public signature keys', () => {
    expect(() => KeyList.fromOptions({ keys: [{ ...ec, d: 'AAAA' }] }, 'jwks')).toThrow(
      /jwks\.keys\[0\].*private/,
    )
    expect(() => KeyList.fromOptions({ keys: [] }, 'jwks')).toThrow(TypeError)
    expect(() => KeyList.fromOptions(undefined as never, 'jwks')).toThrow(TypeError)
  })
})
