import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { codeOf, encode, makeKey, type SigningKey, signToken } from '../../test/support/issuer.js'
import { type JwsAlgorithm, jwsAlgorithms } from './algorithm.js'
import { KeyList } from './key-list.js'
import { parseJws } from './strict-parse.js'
import { verifyJws } from './verify.js'

const es256 = makeKey('ES256', 'es')
const rs256 = makeKey('RS256', 'rs')
const published = (...keys: SigningKey[]) =>
  KeyList.fromOptions({ keys: keys.map((k) => k.jwk) }, 'jwks')
const verify = (
  token: string,
  keys = published(es256, rs256),
  algs = jwsAlgorithms as readonly JwsAlgorithm[],
) => verifyJws(parseJws(token), keys, algs)

describe('verifyJws', () => {
  it.each(jwsAlgorithms)('verifies %s, and not a changed payload', async (alg) => {
    const key = makeKey(alg, 'k')
    const token = signToken(key, { sub: 'u1' })
    await verify(token, published(key))
    const [head, , tail] = token.split('.')
    expect(await codeOf(verify(`${head}.${encode({ sub: 'u2' })}.${tail}`, published(key)))).toBe(
      'ERR_BAD_SIGNATURE',
    )
    expect(await codeOf(verify(token, published(makeKey(alg, 'k'))))).toBe('ERR_BAD_SIGNATURE')
  })

  it('verifies the example of RFC 7515 appendix A.3', async () => {
    const token =
      'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ' +
      '.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
    const jwk = {
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    }
    await verifyJws(parseJws(token), jwk, ['ES256'])
    expect(await codeOf(verifyJws(parseJws(token), { ...jwk, use: 'enc' }, ['ES256']))).toBe(
      'ERR_UNKNOWN_KEY',
    )
  })

  it('J01 looks up no key for an algorithm that is not allowed', async () => {
    const keys = { find: () => Promise.reject(new Error('looked up')) }
    for (const alg of [
      'es256',
      'ES256 ',
      'ES256K',
      'HS256',
      'HS512',
      'RSA-OAEP',
      'dir',
      '__proto__',
    ]) {
      const token = signToken(es256, {}, { alg })
      expect(await codeOf(verifyJws(parseJws(token), keys, jwsAlgorithms))).toBe(
        'ERR_ALG_NOT_ALLOWED',
      )
    }
    expect(await codeOf(verifyJws(parseJws(signToken(es256, {})), keys, ['RS256']))).toBe(
      'ERR_ALG_NOT_ALLOWED',
    )
  })

  it('J02 takes no form of a public key for an HMAC secret', async () => {
    const pem = rs256.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const secrets = [
      pem,
      pem.trim(),
      `${pem}\n`,
      `x${pem}`,
      rs256.publicKey.export({ type: 'spki', format: 'der' }),
      JSON.stringify(rs256.jwk),
      Buffer.from(rs256.jwk.n!, 'base64url'),
    ]
    for (const secret of secrets) {
      const input = `${encode({ alg: 'HS256', kid: 'rs' })}.${encode({ sub: 'admin' })}`
      const mac = createHmac('sha256', secret).update(input).digest('base64url')
      expect(await codeOf(verify(`${input}.${mac}`))).toBe('ERR_ALG_NOT_ALLOWED')
    }
  })

  it('J03 lets a key without alg serve its own kind only', async () => {
    await verify(signToken({ ...rs256, alg: 'PS256' }, {}), published(rs256))
    for (const alg of ['ES256', 'EdDSA', 'ES384']) {
      expect(await codeOf(verify(signToken(rs256, {}, { alg }), published(rs256)))).toBe(
        'ERR_UNKNOWN_KEY',
      )
    }
  })

  it('J16 lets a key on another curve verify nothing', async () => {
    const p384 = makeKey('ES384', 'es')
    expect(await codeOf(verify(signToken(es256, {}), published(p384)))).toBe('ERR_UNKNOWN_KEY')
    await verify(signToken(es256, {}), published(es256, p384)) // two kinds may share a kid, RFC 7517 §4.5
  })

  it('J05 lets a key with alg serve that algorithm only', async () => {
    const key = { ...rs256, jwk: { ...rs256.jwk, alg: 'PS512' } }
    expect(await codeOf(verify(signToken(key, {}), published(key)))).toBe('ERR_UNKNOWN_KEY')
    await verify(signToken({ ...key, alg: 'PS512' }, {}), published(key))
  })

  it('J06 J08 ignores keys that the token brings along', async () => {
    const own = makeKey('ES256', 'es')
    const brought = { jwk: own.jwk, x5c: ['AAAA'], x5u: 'https://evil.example/x' }
    expect(await codeOf(verify(signToken(own, {}, brought)))).toBe('ERR_BAD_SIGNATURE')
    expect(await codeOf(verify(signToken(own, {}, { ...brought, kid: 'own' })))).toBe(
      'ERR_UNKNOWN_KEY',
    )
  })

  it('J09 matches kid exactly, whatever it is', async () => {
    const kids = [
      '../../etc/passwd',
      "' OR 1=1 --",
      '__proto__',
      'constructor',
      'toString',
      'ES',
      'es ',
      '0',
      'null',
    ]
    for (const kid of kids) {
      expect(await codeOf(verify(signToken(es256, {}, { kid })))).toBe('ERR_UNKNOWN_KEY')
      const named = { ...es256, kid, jwk: { ...es256.jwk, kid } }
      await verify(signToken(named, {}), published(named))
    }
  })

  it('J10 without kid takes the only key that fits, and guesses among none', async () => {
    await verify(signToken(es256, {}, { kid: undefined }))
    const both = published(es256, makeKey('ES256', 'other'))
    expect(await codeOf(verify(signToken(es256, {}, { kid: undefined }), both))).toBe(
      'ERR_UNKNOWN_KEY',
    )
  })

  it('J12 refuses a kid that two keys have', async () => {
    const both = published(es256, makeKey('ES256', 'es'))
    expect(await codeOf(verify(signToken(es256, {}), both))).toBe('ERR_UNKNOWN_KEY')
  })

  it('J17 refuses ECDSA signatures of zeros, of the group order, in DER and of the wrong length', async () => {
    const [head, body, tail] = signToken(es256, { sub: 'u1' }).split('.')
    const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
    const real = Buffer.from(tail!, 'base64url')
    const der = Buffer.concat([Buffer.from('3045022100', 'hex'), real])
    const bad = [
      Buffer.alloc(64),
      Buffer.from(order + order, 'hex'),
      Buffer.concat([real.subarray(0, 32), Buffer.alloc(32)]),
      der,
      real.subarray(0, 63),
      Buffer.concat([real, Buffer.alloc(1)]),
      Buffer.alloc(1),
    ]
    for (const bytes of bad) {
      const token = `${head}.${body}.${bytes.toString('base64url')}`
      expect(await codeOf(verify(token))).toBe('ERR_BAD_SIGNATURE')
    }
  })

  it('J72 keeps nothing of the foreign error', async () => {
    const [head, body] = signToken(es256, { sub: 'c4nary' }).split('.')
    const error = await verify(`${head}.${body}.AAAA`).catch((e: unknown) => e)
    expect(error).toMatchObject({ name: 'InboundAuthError', code: 'ERR_BAD_SIGNATURE' })
    expect((error as Error).cause).toBeUndefined()
    expect(`${error} ${JSON.stringify(error)}`).not.toContain('c4nary')
  })
})
