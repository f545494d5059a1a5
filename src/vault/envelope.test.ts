import * as nodeCrypto from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concat, textOf, utf8 } from '../bytes.js'
import { KeyUnavailableError, VaultCorruptError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import type { KeyRing, VaultKey } from './key-ring.js'
import { type NodeCrypto, nodePrimitives } from './node-primitives.js'
import { platformPrimitives } from './platform-primitives.js'
import { webPrimitives } from './web-primitives.js'

const bytes = (seed: number) =>
  Uint8Array.from({ length: 32 }, (_, at) => (seed * 31 + at * 7 + 1) & 255)
/** `node:crypto` gives a Buffer. */
const asBytes = async (opened: Promise<Uint8Array>) => new Uint8Array(await opened)
const ringOf = (...keys: readonly VaultKey[]): KeyRing => ({
  newest: async () => keys[0]!,
  find: async (id) => keys.find((key) => key.id === id),
})
const idOf = (owner: string) => nodeCrypto.createHash('sha256').update(owner).digest('hex')
const bound = idOf('owner')
const plain = utf8('{"refreshToken":"canary"}')
const HEAD = 3 + 2 + 32
const onNode = nodePrimitives(nodeCrypto as unknown as NodeCrypto)
const platforms = [
  ['node:crypto', onNode],
  ['Web Crypto', webPrimitives],
] as const

async function refusal(promise: Promise<unknown>): Promise<unknown> {
  const error = await promise.then(
    () => 'it opened',
    (reason: unknown) => reason,
  )
  expect(String(error)).not.toContain('canary')
  return error
}
const corrupt = async (promise: Promise<unknown>) =>
  expect(await refusal(promise)).toBeInstanceOf(VaultCorruptError)

describe.each(platforms)('Envelope, by %s', (_, primitives) => {
  const envelopeOf = (...keys: readonly VaultKey[]) => new Envelope(ringOf(...keys), { primitives })
  const envelope = envelopeOf({ id: 'k1', bytes: bytes(1) })

  it('opens what it sealed, an empty row included', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    expect(textOf(await envelope.open(sealed, bound, 1))).toBe('{"refreshToken":"canary"}')
    const empty = await envelope.seal(new Uint8Array(), bound, 1)
    expect(await asBytes(envelope.open(empty, bound, 1))).toEqual(new Uint8Array())
    expect(Buffer.from(sealed).includes('canary')).toBe(false)
  })

  it('opens a row that lies inside a larger buffer', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    const inside = concat(new Uint8Array(9), sealed, new Uint8Array(9)).subarray(
      9,
      9 + sealed.length,
    )
    expect(await asBytes(envelope.open(inside, bound, 1))).toEqual(plain)
    expect(await asBytes(envelope.open(Buffer.from(sealed), bound, 1))).toEqual(plain)
  })

  it('V04 refuses a row with any one byte changed', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    for (let at = 0; at < sealed.length; at++) {
      for (const mask of [1, 0x80, 0xff]) {
        const changed = sealed.slice()
        changed[at]! ^= mask
        const error = await refusal(envelope.open(changed, bound, 1))
        // A changed id of the key names a key that is not there.
        const expected =
          at >= 1 && at <= 4 ? [VaultCorruptError, KeyUnavailableError] : [VaultCorruptError]
        expect([at, expected.some((type) => error instanceof type)]).toEqual([at, true])
      }
    }
  })

  it('V04 V05 refuses a row cut at any byte, at either end, or with bytes added', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    for (let length = 0; length < sealed.length; length++) {
      await corrupt(envelope.open(sealed.subarray(0, length), bound, 1))
    }
    for (let from = 1; from < sealed.length; from++) {
      const error = await refusal(envelope.open(sealed.subarray(from), bound, 1))
      expect([
        from,
        error instanceof VaultCorruptError || error instanceof KeyUnavailableError,
      ]).toEqual([from, true])
    }
    await corrupt(envelope.open(concat(sealed, new Uint8Array(1)), bound, 1))
  })

  it.each(Array.from({ length: 15 }, (_, at) => at + 1))(
    'V05 refuses a tag of %d bytes',
    async (length) => {
      for (const size of [0, plain.length]) {
        const sealed = await envelope.seal(plain.subarray(0, size), bound, 1)
        await corrupt(envelope.open(sealed.subarray(0, sealed.length - 16 + length), bound, 1))
      }
    },
  )

  it('V07 refuses a row as another version than it was written as', async () => {
    const sealed = await envelope.seal(plain, bound, 5)
    for (const version of [1, 4, 6, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
      await corrupt(envelope.open(sealed, bound, version))
    }
    const high = await envelope.seal(plain, bound, Number.MAX_SAFE_INTEGER)
    expect(await asBytes(envelope.open(high, bound, Number.MAX_SAFE_INTEGER))).toEqual(plain)
    await corrupt(envelope.open(high, bound, Number.MAX_SAFE_INTEGER - 1))
  })

  it('V02 refuses a row as another owner’s', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    for (const other of ['', 'Owner', 'owner\0', 'owne', 'r', 'owner ']) {
      await corrupt(envelope.open(sealed, idOf(other), 1))
    }
    for (let at = 0; at < 64; at++) {
      const digit = bound[at] === '0' ? '1' : '0'
      await corrupt(envelope.open(sealed, bound.slice(0, at) + digit + bound.slice(at + 1), 1))
    }
  })

  it.each([0, 1, 3, 127, 128, 255])(
    'V04 refuses format %d, whatever stands behind it',
    async (format) => {
      const sealed = await envelope.seal(plain, bound, 1)
      sealed[0] = format
      const error = await refusal(envelope.open(sealed, bound, 1))
      expect(error).toMatchObject({ reason: 'its format is not known to this version' })
    },
  )

  it('V04 refuses rubbish, and nothing', async () => {
    const rubbish = [
      '',
      '{}',
      '{"a":1}',
      'null',
      '\u0001',
      '\u0001\0',
      '\u0001\0\u0002k1',
      '\u0001\u0004\u0001k1',
    ]
    for (const text of rubbish) await corrupt(envelope.open(utf8(text), bound, 1))
    for (const length of [29, 64, 300]) {
      const noise = new Uint8Array(length).fill(0xee)
      noise[0] = 1
      await corrupt(envelope.open(noise, bound, 1))
    }
  })

  it('V10 says so when the key is not there', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    const other = envelopeOf({ id: 'k2', bytes: bytes(1) })
    const error = await refusal(other.open(sealed, bound, 1))
    expect(error).toBeInstanceOf(KeyUnavailableError)
    expect(error).toMatchObject({ retryable: false })
  })

  it('V06 refuses another key under the same id', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    await corrupt(envelopeOf({ id: 'k1', bytes: bytes(2) }).open(sealed, bound, 1))
  })

  it('V02 V06 refuses a row whose key id was swapped for that of another key of the ring', async () => {
    const [a, b] = [
      { id: 'k1', bytes: bytes(1) },
      { id: 'k2', bytes: bytes(2) },
    ]
    const sealed = await envelope.seal(plain, bound, 1)
    const theirs = await envelopeOf(b).seal(plain, bound, 1)
    const both = envelopeOf(a, b)
    await corrupt(both.open(concat(theirs.subarray(0, 5), sealed.subarray(5)), bound, 1))
    await corrupt(both.open(concat(theirs.subarray(0, HEAD), sealed.subarray(HEAD)), bound, 1))
    // Even the same bytes under two ids are two keys: the id is bound.
    const twins = envelopeOf(a, { id: 'k2', bytes: bytes(1) })
    await corrupt(twins.open(concat(theirs.subarray(0, 5), sealed.subarray(5)), bound, 1))
    expect(await asBytes(both.open(theirs, bound, 1))).toEqual(plain)
  })

  it('V01 V28 never uses a nonce twice, in 20,000 rows', async () => {
    const seen = new Set<string>()
    for (let at = 0; at < 20; at++) {
      const rows = await Promise.all(
        Array.from({ length: 1_000 }, () => envelope.seal(new Uint8Array(), bound, 1)),
      )
      for (const row of rows) {
        expect(row.length).toBe(HEAD + 12 + 16)
        seen.add(Buffer.from(row.subarray(HEAD, HEAD + 12)).toString('hex'))
      }
    }
    expect(seen.size).toBe(20_000)
  })

  it('leaves the bytes that it was given as they were', async () => {
    const text = plain.slice()
    const sealed = await envelope.seal(text, bound, 1)
    const before = sealed.slice()
    await envelope.open(sealed, bound, 1)
    expect([text, sealed]).toEqual([plain, before])
  })
})

describe('Envelope, with a key ring that misbehaves', () => {
  const envelope = new Envelope(ringOf({ id: 'k1', bytes: bytes(1) }))
  const broken = (ring: Partial<KeyRing>) =>
    new Envelope({
      newest: async () => ({ id: 'k1', bytes: bytes(1) }),
      find: async () => undefined,
      ...ring,
    })

  it.each<[string, Partial<KeyRing>]>([
    [
      'rejects',
      {
        newest: () => Promise.reject(new Error('canary')),
        find: () => Promise.reject(new Error('canary')),
      },
    ],
    [
      'throws',
      {
        newest: () => {
          throw new Error('canary')
        },
        find: () => {
          throw new Error('canary')
        },
      },
    ],
  ])('V11 is typed and can be tried again when it %s', async (_, ring) => {
    const sealed = await envelope.seal(plain, bound, 1)
    for (const attempt of [
      broken(ring).seal(plain, bound, 1),
      broken(ring).open(sealed, bound, 1),
    ]) {
      const error = await refusal(attempt)
      expect(error).toBeInstanceOf(KeyUnavailableError)
      expect(error).toMatchObject({ retryable: true })
    }
  })

  it.each<[string, unknown]>([
    ['no key', undefined],
    ['a short key', { id: 'k1', bytes: new Uint8Array(16) }],
    ['a long key', { id: 'k1', bytes: new Uint8Array(33) }],
    ['text for bytes', { id: 'k1', bytes: 'x'.repeat(32) }],
    ['an empty id', { id: '', bytes: bytes(1) }],
    ['an id of 1,025 bytes', { id: 'x'.repeat(1_025), bytes: bytes(1) }],
    ['an id of 513 letters of two bytes', { id: 'é'.repeat(513), bytes: bytes(1) }],
    ['an id with a lone surrogate', { id: 'k\ud800', bytes: bytes(1) }],
    ['an id that is no text', { id: 1, bytes: bytes(1) }],
    ['a key of zeros', { id: 'k1', bytes: new Uint8Array(32) }],
    ['text for a key', 'x'.repeat(32)],
  ])('V12 seals nothing with %s', async (_, key) => {
    const error = await refusal(
      broken({ newest: async () => key as VaultKey }).seal(plain, bound, 1),
    )
    expect(error).toBeInstanceOf(KeyUnavailableError)
  })

  it('takes an id of 1,024 bytes, in any alphabet', async () => {
    for (const id of ['x', 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(1_024), 'é'.repeat(512)]) {
      const it = new Envelope(ringOf({ id, bytes: bytes(1) }))
      expect(await asBytes(it.open(await it.seal(plain, bound, 1), bound, 1))).toEqual(plain)
    }
  })
})

describe('Envelope, the ring it asks', () => {
  const hang = () => new Promise<never>(() => {})

  it('V11 does not wait for ever for a ring that hangs', async () => {
    const sealed = await new Envelope(ringOf({ id: 'k1', bytes: bytes(1) })).seal(plain, bound, 1)
    const hanging = new Envelope({ newest: hang, find: hang, isCurrent: hang }, { deadlineMs: 20 })
    for (const attempt of [
      hanging.seal(plain, bound, 1),
      hanging.open(sealed, bound, 1),
      hanging.isCurrent('k1'),
    ]) {
      const error = await refusal(attempt)
      expect(error).toBeInstanceOf(KeyUnavailableError)
      expect(error).toMatchObject({
        retryable: true,
        reason: 'the key ring gave no answer in 20 ms',
      })
    }
  })

  it('passes on an error of the library', async () => {
    const ours = new KeyUnavailableError({ reason: 'denied' })
    const ring = { newest: () => Promise.reject(ours), find: () => Promise.reject(ours) }
    expect(await refusal(new Envelope(ring).seal(plain, bound, 1))).toBe(ours)
  })

  it('may answer at once, and learns which vault asks', async () => {
    const asked: unknown[] = []
    const key = { id: 'k1', bytes: bytes(1) }
    const ring: KeyRing = {
      newest: (use) => {
        asked.push(use)
        return key
      },
      find: (id, use) => {
        asked.push(id, use)
        return key
      },
    }
    const prod = new Envelope(ring, { vault: 'prod' })
    expect(await asBytes(prod.open(await prod.seal(plain, bound, 1), bound, 1))).toEqual(plain)
    expect(asked).toEqual([{ vault: 'prod' }, 'k1', { vault: 'prod' }])
  })

  it.each(platforms)('V06 notices other bytes under one id, by %s', async (_, primitives) => {
    let key: VaultKey = { id: 'k1', bytes: bytes(1) }
    const envelope = new Envelope({ newest: () => key, find: () => key }, { primitives })
    const old = await envelope.seal(plain, bound, 1)
    key = { id: 'k1', bytes: bytes(2) }
    expect(await refusal(envelope.open(old, bound, 1))).toMatchObject({
      reason: 'its key is another key of the same id',
    })
    const sealed = await envelope.seal(plain, bound, 1)
    expect(await asBytes(new Envelope(ringOf(key)).open(sealed, bound, 1))).toEqual(plain)
  })

  it('V11 asks again for a key that was wiped before it was used, once', async () => {
    const answers = [
      { id: 'k1', bytes: new Uint8Array(32) },
      { id: 'k1', bytes: bytes(1) },
    ]
    const envelope = new Envelope({ newest: async () => answers.shift()!, find: () => undefined })
    const sealed = await envelope.seal(plain, bound, 1)
    const whole = new Envelope(ringOf({ id: 'k1', bytes: bytes(1) }))
    expect(await asBytes(whole.open(sealed, bound, 1))).toEqual(plain)
    const wiped = { id: 'k1', bytes: new Uint8Array(32) }
    const error = await refusal(new Envelope(ringOf(wiped)).seal(plain, bound, 1))
    expect(error).toMatchObject({ code: 'ERR_KEY_UNAVAILABLE', retryable: true })
  })

  it('goes on with a key whose bytes were wiped after it had been met', async () => {
    const key = { id: 'k1', bytes: bytes(1) }
    const envelope = new Envelope(ringOf(key))
    const sealed = await envelope.seal(plain, bound, 1)
    key.bytes.fill(0)
    expect(await asBytes(envelope.open(sealed, bound, 1))).toEqual(plain)
  })

  it.each<[string, string]>([
    ['is short', 'ab'],
    ['is long', `${bound}0`],
    ['holds letters that are more than a byte', `Ā${bound.slice(1)}`],
  ])('takes no row id that %s', async (_, id) => {
    await expect(
      new Envelope(ringOf({ id: 'k1', bytes: bytes(1) })).seal(plain, id, 1),
    ).rejects.toThrow(TypeError)
  })
})

describe('the two platforms', () => {
  const ring = ringOf({ id: 'k1', bytes: bytes(1) })
  const [node, web] = [onNode, webPrimitives].map(
    (primitives) => new Envelope(ring, { primitives }),
  ) as [Envelope, Envelope]

  it('use node:crypto here, and Web Crypto where it is missing or a stub', () => {
    expect(platformPrimitives()).not.toBe(webPrimitives)
    const { process } = globalThis
    const stub = { createSecretKey: () => ({}), createCipheriv: () => ({}) }
    try {
      for (const broken of [undefined, {}, { getBuiltinModule: () => stub }]) {
        Object.defineProperty(globalThis, 'process', { value: broken, configurable: true })
        const chosen = platformPrimitives()
        Object.defineProperty(globalThis, 'process', { value: process, configurable: true })
        expect(chosen).toBe(webPrimitives)
      }
    } finally {
      Object.defineProperty(globalThis, 'process', {
        value: process,
        configurable: true,
        writable: true,
      })
    }
  })

  it('give the same bytes', async () => {
    for (const size of [0, 1, 15, 16, 17, 1_500, 100_000]) {
      const [key, nonce, additional] = [bytes(3), new Uint8Array(12).fill(size), bytes(size & 255)]
      const text = Uint8Array.from({ length: size }, (_, at) => (at * 37) & 255)
      const [one, two] = [await onNode.cipher(key), await webPrimitives.cipher(key)]
      const sealed = await one.seal(nonce, additional, text)
      expect(await two.seal(nonce, additional, text)).toEqual(sealed)
      expect(Buffer.compare((await one.open(concat(nonce, sealed), 0, additional))!, text)).toBe(0)
      expect(Buffer.compare((await two.open(concat(nonce, sealed), 0, additional))!, text)).toBe(0)
    }
    for (const purpose of ['', 'deputize vault v1 seal', 'é']) {
      const made = onNode.derive(bytes(4), purpose, 32)
      expect(await webPrimitives.derive(bytes(4), purpose, 32)).toEqual(made)
    }
    expect(await webPrimitives.sha256Hex(utf8('abc'))).toBe(onNode.sha256Hex(utf8('abc')))
  })

  it('open each other’s rows', async () => {
    expect(await asBytes(web.open(await node.seal(plain, bound, 3), bound, 3))).toEqual(plain)
    expect(Buffer.compare(await node.open(await web.seal(plain, bound, 3), bound, 3), plain)).toBe(
      0,
    )
  })

  it('V04 fail alike', async () => {
    const sealed = await node.seal(plain, bound, 1)
    const changed = Array.from(sealed, (_, at) => {
      const row = sealed.slice()
      row[at]! ^= 1
      return row
    })
    const cut = Array.from(sealed, (_, length) => sealed.slice(0, length))
    for (const row of [...changed, ...cut, concat(sealed, new Uint8Array(1))]) {
      const [one, two] = [
        await refusal(node.open(row, bound, 1)),
        await refusal(web.open(row, bound, 1)),
      ]
      expect([String(one)]).toEqual([String(two)])
      expect(one).toBeInstanceOf(Error)
    }
  })

  it.each(platforms)('V05 V28 take no other sizes, by %s', async (_, primitives) => {
    const cipher = await primitives.cipher(bytes(1))
    const sealed = await cipher.seal(new Uint8Array(12), new Uint8Array(), plain)
    const row = concat(new Uint8Array(12), sealed)
    const opened = await cipher.open(row, 0, new Uint8Array())
    expect(opened && new Uint8Array(opened)).toEqual(plain)
    for (let length = 0; length < row.length; length++) {
      expect(await cipher.open(row.subarray(0, length), 0, new Uint8Array())).toBeUndefined()
    }
  })
})
