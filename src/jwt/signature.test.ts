import nodeCrypto from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode, makeKey, signature } from '../../test/support/issuer.js'
import { type JwsAlgorithm, jwsAlgorithms } from './algorithm.js'
import { PublicKey } from './public-key.js'
import { ecdsaDer, type NodeCrypto, nodeCheck, webCheck } from './signature.js'

const curves = {
  ES256: { half: 32, order: 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551' },
  ES384: {
    half: 48,
    order: `${'f'.repeat(48)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`,
  },
  ES512: {
    half: 66,
    order: `01ff${'f'.repeat(62)}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`,
  },
} as const
const number = (value: bigint, bytes: number) =>
  Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex')

async function bothWays(alg: JwsAlgorithm) {
  const key = makeKey(alg, 'k')
  const node = nodeCheck(
    nodeCrypto as unknown as NodeCrypto,
    key.publicKey.export({ format: 'jwk' }),
    alg,
  )
  const web = await webCheck(key.publicKey.export({ format: 'jwk' }), alg)
  const sign = (input: string) => new Uint8Array(signature(input, key))
  /** The one verdict; fails when there are two. */
  const verdict = async (signingInput: string, bytes: Uint8Array) => {
    const jws = { signingInput, signature: new Uint8Array(bytes) }
    const [one, other] = [await node(jws), await web(jws)]
    expect(one, `node:crypto and Web Crypto on ${Buffer.from(bytes).toString('hex')}`).toBe(other)
    return one
  }
  return { key, input: inputFor(alg), sign, verdict }
}

/** jose looks at the header again: it has to name the algorithm. */
const inputFor = (alg: string) => `${encode({ alg })}.${encode({ sub: 'u1' })}`

describe('node:crypto and Web Crypto', () => {
  it.each(jwsAlgorithms)(
    'J17 J19 J20 agree on every %s signature, sound or changed',
    async (alg) => {
      const { input, sign, verdict } = await bothWays(alg)
      const real = sign(input)
      expect(await verdict(input, real)).toBe(true)
      expect(await verdict(`${inputFor(alg)}fQ`, real)).toBe(false)
      const slow = alg === 'ES384' || alg === 'ES512'
      const change = fc.oneof(
        // A bit, a byte, a run of bytes, the length.
        fc.tuple(fc.nat(real.length * 8 - 1)).map(([bit]) => {
          const bytes = real.slice()
          bytes[bit >> 3]! ^= 1 << (bit & 7)
          return bytes
        }),
        fc
          .tuple(fc.nat(real.length - 1), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff))
          .map(([at, byte]) => {
            return real.slice().fill(byte, at, at + 1 + (byte % 5))
          }),
        fc.nat(real.length - 1).map((length) => real.slice(0, length)),
        fc.nat(real.length - 1).map((from) => real.slice(from)),
        fc.uint8Array({ minLength: 1, maxLength: 4 }).map((more) => Buffer.concat([real, more])),
        fc.uint8Array({ minLength: 1, maxLength: 4 }).map((more) => Buffer.concat([more, real])),
        fc.uint8Array({ minLength: 0, maxLength: real.length + 8 }),
        fc.uint8Array({ minLength: real.length, maxLength: real.length }),
        fc.constant(new Uint8Array(real.length)),
        fc.constant(new Uint8Array(real.length).fill(0xff)),
      )
      await fc.assert(
        fc.asyncProperty(change, async (bytes) => {
          expect(await verdict(input, bytes)).toBe(Buffer.compare(bytes, real) === 0)
        }),
        { numRuns: slow ? 60 : 250 },
      )
    },
  )

  it.each(Object.keys(curves) as (keyof typeof curves)[])(
    'J17 agree on every edge of r and s in %s',
    async (alg) => {
      const { half, order } = curves[alg]
      const { input, sign, verdict } = await bothWays(alg)
      const n = BigInt(`0x${order}`)
      const real = sign(input)
      const [r, s] = [real.slice(0, half), real.slice(half)].map((b) =>
        BigInt(`0x${Buffer.from(b).toString('hex')}`),
      )
      const edges = [0n, 1n, 2n, 0x7fn, 0x80n, n - 1n, n, n + 1n, r!, s!, n - r!]
      const max = (1n << BigInt(8 * half)) - 1n
      for (const a of [...edges, max]) {
        for (const b of [...edges, max]) {
          const bytes = Buffer.concat([number(a, half), number(b, half)])
          expect(await verdict(input, bytes), `${a} ${b}`).toBe(a === r && b === s)
        }
      }
      // The same number plus the order, where it fits: it must not be reduced.
      if (r! + n <= max) {
        expect(await verdict(input, Buffer.concat([number(r! + n, half), number(s!, half)]))).toBe(
          false,
        )
      }
      const der = ecdsaDer(real, half)!
      for (const bytes of [
        der,
        der.subarray(0, 2 * half),
        Buffer.concat([der, Buffer.alloc(9)]).subarray(0, 2 * half),
      ]) {
        expect(await verdict(input, bytes)).toBe(false)
      }
      // Overlong: r and s one byte wider each.
      const wide = Buffer.concat([number(r!, half + 1), number(s!, half + 1)])
      expect(await verdict(input, wide)).toBe(false)
    },
  )

  it.each(Object.keys(curves) as (keyof typeof curves)[])(
    'J18 both take (r, n - s) for a signature in %s: a token is no unique id',
    async (alg) => {
      const { half, order } = curves[alg]
      const { input, sign, verdict } = await bothWays(alg)
      const real = sign(input)
      const s = BigInt(`0x${Buffer.from(real.slice(half)).toString('hex')}`)
      const other = number(BigInt(`0x${order}`) - s, half)
      expect(await verdict(input, Buffer.concat([real.slice(0, half), other]))).toBe(true)
    },
  )

  it('J19 agree on Ed25519 points of small order, and on s beyond the order', async () => {
    const small = [
      '00'.repeat(32),
      `01${'00'.repeat(31)}`,
      `ec${'ff'.repeat(30)}7f`,
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      `ed${'ff'.repeat(30)}7f`,
    ]
    const order = BigInt(
      '7237005577332262213973186563042994240857116359379907606001950938285454250989',
    )
    const { input, sign, verdict } = await bothWays('EdDSA')
    const real = sign(input)
    const s = BigInt(`0x${Buffer.from(real.slice(32)).reverse().toString('hex')}`)
    const beyond = number(s + order, 32).reverse()
    expect(await verdict(input, Buffer.concat([real.slice(0, 32), beyond]))).toBe(false)
    for (const point of small) {
      const bytes = Buffer.concat([Buffer.from(point, 'hex'), real.slice(32)])
      expect(await verdict(input, bytes)).toBe(false)
      // And as keys: the two read the key alike, and then say the same.
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(point, 'hex').toString('base64url') }
      const verdicts = await Promise.all(
        [
          () => nodeCheck(nodeCrypto as unknown as NodeCrypto, jwk, 'EdDSA'),
          () => webCheck(jwk, 'EdDSA'),
        ].map(async (make) => {
          try {
            return await (await make())({
              signingInput: inputFor('EdDSA'),
              signature: new Uint8Array(64),
            })
          } catch {
            return 'no key'
          }
        }),
      )
      expect(verdicts[0]).toBe(verdicts[1])
    }
  })

  it('J20 agree on PKCS#1 v1.5 padding of other lengths, hashes and forms', async () => {
    const { input, key, sign, verdict } = await bothWays('RS256')
    const hash = nodeCrypto.createHash('sha256').update(input).digest()
    const info = Buffer.from('3031300d060960864801650304020105000420', 'hex')
    const raw = (block: Buffer) =>
      nodeCrypto.privateEncrypt(
        { key: key.privateKey, padding: nodeCrypto.constants.RSA_NO_PADDING },
        block,
      )
    const padded = (tail: Buffer, type = 1, fill = 0xff) =>
      Buffer.concat([
        Buffer.from([0, type]),
        Buffer.alloc(253 - tail.length, fill),
        Buffer.from([0]),
        tail,
      ])
    expect(await verdict(input, raw(padded(Buffer.concat([info, hash]))))).toBe(true)
    const noParameters = Buffer.from('302f300b0609608648016503040201042000', 'hex').subarray(0, -1)
    const blocks = [
      padded(Buffer.concat([info, hash]), 2),
      padded(Buffer.concat([info, hash]), 1, 0xfe),
      padded(hash),
      padded(Buffer.concat([noParameters, hash])),
      // Short padding with the rest behind the hash (Bleichenbacher 2006).
      Buffer.concat([
        Buffer.from([0, 1]),
        Buffer.alloc(8, 0xff),
        Buffer.from([0]),
        info,
        hash,
        Buffer.alloc(194),
      ]),
    ]
    for (const block of blocks)
      expect(await verdict(input, raw(block)), block.toString('hex')).toBe(false)
    const real = sign(input)
    expect(await verdict(input, Buffer.concat([Buffer.alloc(1), real]))).toBe(false)
    const modulus = BigInt(`0x${Buffer.from(key.jwk.n!, 'base64url').toString('hex')}`)
    const beyond = BigInt(`0x${Buffer.from(real).toString('hex')}`) + modulus
    if (beyond < 1n << 2048n) expect(await verdict(input, number(beyond, 256))).toBe(false)
  })

  it.each(['RS256', 'PS256', 'PS384', 'PS512'] as const)(
    'J18 J20 refuse a signature of %s that came without its leading zero, or with one more',
    async (alg) => {
      const { sign, verdict } = await bothWays(alg)
      // One signature in 256 begins with a zero.
      for (let n = 0; ; n++) {
        const input = `${inputFor(alg)}${encode({ n })}`
        const real = sign(input)
        if (real[0] !== 0) continue
        expect(await verdict(input, real)).toBe(true)
        expect(await verdict(input, real.slice(1))).toBe(false)
        expect(await verdict(input, Buffer.concat([Buffer.alloc(1), real]))).toBe(false)
        return
      }
    },
  )

  it.each(['PS256', 'PS384', 'PS512'] as const)(
    'agree that the salt of %s has one length',
    async (alg) => {
      const { key, input, verdict } = await bothWays(alg)
      const size = Number(alg.slice(2)) / 8
      for (const saltLength of [0, size - 1, size, size + 1, 20]) {
        const bytes = nodeCrypto.sign(`sha${alg.slice(2)}`, Buffer.from(input), {
          key: key.privateKey,
          padding: nodeCrypto.constants.RSA_PKCS1_PSS_PADDING,
          saltLength,
        })
        expect(await verdict(input, bytes)).toBe(saltLength === size)
      }
    },
  )

  it.each([
    ['ES256', { y: 'x' }],
    ['EdDSA', { x: 'AAAA' }],
    ['ES256', { crv: 'P-384' }],
  ] as const)('J16 both refuse an unsound %s key', async (alg, change) => {
    const { jwk } = makeKey(alg, 'k')
    const bad = { ...jwk, ...change, ...('y' in change ? { y: jwk.x } : {}) }
    expect(() => nodeCheck(nodeCrypto as unknown as NodeCrypto, bad, alg)).toThrow('credential')
    await expect(webCheck(bad, alg)).rejects.toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
  })
})

describe('ecdsaDer', () => {
  it('writes what OpenSSL writes', () => {
    const { privateKey } = makeKey('ES512', 'k')
    for (let at = 0; at < 50; at++) {
      const der = nodeCrypto.sign('sha512', Buffer.from([at]), privateKey)
      // Taken apart here by hand: 30 81 len 02 len r 02 len s.
      const rLength = der[4]!
      const r = der.subarray(5, 5 + rLength)
      const s = der.subarray(7 + rLength)
      const flat = (n: Buffer) => Buffer.concat([Buffer.alloc(66), n]).subarray(-66)
      expect(Buffer.from(ecdsaDer(Buffer.concat([flat(r), flat(s)]), 66)!)).toEqual(der)
    }
  })

  it('says the same in room that was used before', () => {
    const room = new Uint8Array(32 * 2 + 9).fill(0xff)
    for (const r of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      for (const s of [0x00, 0x7f, 0x80, 0xff]) {
        const signature = new Uint8Array(64).fill(0x80)
        signature[0] = r
        signature[32] = s
        expect([...ecdsaDer(signature, 32, room)!]).toEqual([...ecdsaDer(signature, 32)!])
        signature.fill(0)
        expect([...ecdsaDer(signature, 32, room)!]).toEqual([0x30, 6, 2, 1, 0, 2, 1, 0])
      }
    }
  })

  it('is nothing for another length', () => {
    for (const length of [0, 1, 63, 65, 70, 72]) {
      expect(ecdsaDer(new Uint8Array(length), 32)).toBeUndefined()
    }
  })
})

describe('a public key', () => {
  it('is checked through node:crypto here, and with jose where there is none', async () => {
    const key = makeKey('ES256', 'k')
    const input = inputFor('ES256')
    const jws = { signingInput: input, signature: new Uint8Array(signature(input, key)) }
    const here = (PublicKey.read(key.jwk) as PublicKey).verifier('ES256')
    expect(here).not.toBeInstanceOf(Promise)
    const elsewhere = (PublicKey.read(key.jwk) as PublicKey).verifier('ES256', () => undefined)
    expect(elsewhere).toBeInstanceOf(Promise)
    expect(await (await here)(jws)).toBe(true)
    expect(await (await elsewhere)(jws)).toBe(true)
  })
})
