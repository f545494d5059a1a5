import { createCipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concat, textOf, uint32, utf8 } from '../bytes.js'
import { KeyUnavailableError, VaultCorruptError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { derive, type KeyRing, localKeys, type VaultKey } from './key-ring.js'

const bytes = (seed: number) =>
  Uint8Array.from({ length: 32 }, (_, at) => (seed * 31 + at * 7 + 1) & 255)
const ringOf = (...keys: readonly VaultKey[]): KeyRing => ({
  newest: async () => keys[0]!,
  find: async (id) => keys.find((key) => key.id === id),
})
const envelope = new Envelope(ringOf({ id: 'k1', bytes: bytes(1) }))
const bound = utf8('owner')
const plain = utf8('{"refreshToken":"canary"}')
const HEAD = 2 + 2 + 32

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

describe('Envelope', () => {
  it('opens what it sealed, an empty row included', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    expect(textOf(await envelope.open(sealed, bound, 1))).toBe('{"refreshToken":"canary"}')
    const empty = await envelope.seal(new Uint8Array(), bound, 1)
    expect(await envelope.open(empty, bound, 1)).toEqual(new Uint8Array())
    expect(Buffer.from(sealed).includes('canary')).toBe(false)
  })

  it('opens a row that lies inside a larger buffer', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    const inside = concat(new Uint8Array(9), sealed, new Uint8Array(9)).subarray(
      9,
      9 + sealed.length,
    )
    expect(await envelope.open(inside, bound, 1)).toEqual(plain)
    expect(await envelope.open(Buffer.from(sealed), bound, 1)).toEqual(plain)
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
          at >= 1 && at <= 3 ? [VaultCorruptError, KeyUnavailableError] : [VaultCorruptError]
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
    expect(await envelope.open(high, bound, Number.MAX_SAFE_INTEGER)).toEqual(plain)
    await corrupt(envelope.open(high, bound, Number.MAX_SAFE_INTEGER - 1))
  })

  it('V02 refuses a row as another owner’s', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    for (const other of ['', 'Owner', 'owner\0', 'owne', 'r', 'owner ']) {
      await corrupt(envelope.open(sealed, utf8(other), 1))
    }
  })

  it.each([0, 2, 3, 127, 128, 255])(
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
      '\u0001\u0002k1',
      '\u0001\u00ffk1',
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
    const other = new Envelope(ringOf({ id: 'k2', bytes: bytes(1) }))
    const error = await refusal(other.open(sealed, bound, 1))
    expect(error).toBeInstanceOf(KeyUnavailableError)
    expect(error).toMatchObject({ retryable: false })
  })

  it('V06 refuses another key under the same id', async () => {
    const sealed = await envelope.seal(plain, bound, 1)
    await corrupt(new Envelope(ringOf({ id: 'k1', bytes: bytes(2) })).open(sealed, bound, 1))
  })

  it('V02 V06 refuses a row whose key id was swapped for that of another key of the ring', async () => {
    const [a, b] = [
      { id: 'k1', bytes: bytes(1) },
      { id: 'k2', bytes: bytes(2) },
    ]
    const sealed = await envelope.seal(plain, bound, 1)
    const theirs = await new Envelope(ringOf(b)).seal(plain, bound, 1)
    const both = new Envelope(ringOf(a, b))
    await corrupt(both.open(concat(theirs.subarray(0, 4), sealed.subarray(4)), bound, 1))
    await corrupt(both.open(concat(theirs.subarray(0, HEAD), sealed.subarray(HEAD)), bound, 1))
    // Even the same bytes under two ids are two keys: the id is bound.
    const twins = new Envelope(ringOf(a, { id: 'k2', bytes: bytes(1) }))
    await corrupt(twins.open(concat(theirs.subarray(0, 4), sealed.subarray(4)), bound, 1))
    expect(await both.open(theirs, bound, 1)).toEqual(plain)
  })

  it('V01 V28 never uses a nonce twice, in 100,000 rows', async () => {
    const seen = new Set<string>()
    for (let at = 0; at < 100; at++) {
      const rows = await Promise.all(
        Array.from({ length: 1_000 }, () => envelope.seal(new Uint8Array(), bound, 1)),
      )
      for (const row of rows) {
        expect(row.length).toBe(HEAD + 12 + 16)
        seen.add(Buffer.from(row.subarray(HEAD, HEAD + 12)).toString('hex'))
      }
    }
    expect(seen.size).toBe(100_000)
  })

  it('leaves the bytes that it was given as they were', async () => {
    const [text, owner] = [plain.slice(), bound.slice()]
    const sealed = await envelope.seal(text, owner, 1)
    const before = sealed.slice()
    await envelope.open(sealed, owner, 1)
    expect([text, owner, sealed]).toEqual([plain, bound, before])
  })
})

describe('Envelope, with a key ring that misbehaves', () => {
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
    ['an id of 256 bytes', { id: 'x'.repeat(256), bytes: bytes(1) }],
  ])('V12 seals nothing with %s', async (_, key) => {
    const error = await refusal(
      broken({ newest: async () => key as VaultKey }).seal(plain, bound, 1),
    )
    expect(error).toBeInstanceOf(KeyUnavailableError)
  })

  it('takes an id of 255 bytes, in any alphabet', async () => {
    for (const id of ['x'.repeat(255), `${'é'.repeat(127)}x`]) {
      const it = new Envelope(ringOf({ id, bytes: bytes(1) }))
      expect(await it.open(await it.seal(plain, bound, 1), bound, 1)).toEqual(plain)
    }
  })
})

describe('golden rows of format 1', () => {
  // Sealed once and kept: they must open for as long as format 1 is known.
  const rows = [
    [
      'short',
      'ARBlNWEwZmI1MDQzZGY1YThmzv9nKVX1lxGnzM5oM/NfdryvWL3xv0LJgoD06OhQ72qn2XhG3ON8pI8tjO9hewNK29AH18oIdmKNhy17wyTHWJbiAQ==',
      1,
      '{"a":1}',
    ],
    [
      'with letters beyond ASCII',
      'ARBlNWEwZmI1MDQzZGY1YThmzv9nKVX1lxGnzM5oM/NfdryvWL3xv0LJgoD06OhQ72rkgax1sOy9c3Cq8uSSSbfSSKY5vhzY8Sq2IbvePYmkOPjxx9+Z//yxuSCntXHn11zfxg==',
      7,
      '{"name":"Zoë 世界"}',
    ],
  ] as const
  const key = Uint8Array.from({ length: 32 }, (_, at) => at + 1)

  it.each(rows)('opens the one %s', async (_, sealed, version, text) => {
    const keys = localKeys(key)
    const opened = await new Envelope(keys).open(
      Buffer.from(sealed, 'base64'),
      utf8('golden'),
      version,
    )
    expect(textOf(opened)).toBe(text)
  })
})

/** Arithmetic of GHASH (NIST SP 800-38D §6.3), on blocks as 128-bit numbers, first bit highest. */
const R = 0xe1n << 120n
function times(x: bigint, y: bigint): bigint {
  let [z, v] = [0n, y]
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((x >> bit) & 1n) z ^= v
    v = v & 1n ? (v >> 1n) ^ R : v >> 1n
  }
  return z
}
/** By Fermat: x^(2^128 - 2). */
function inverse(x: bigint): bigint {
  let [out, power] = [1n << 127n, x]
  for (let bit = 1; bit < 128; bit++) {
    power = times(power, power)
    out = times(out, power)
  }
  return out
}
const number = (block: Uint8Array) => BigInt(`0x${Buffer.from(block).toString('hex')}`)
const block = (value: bigint) =>
  Uint8Array.from(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'))
const aes = (key: Uint8Array, input: Uint8Array) =>
  new Uint8Array(createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(input))
function ghash(h: bigint, blocks: readonly bigint[]): bigint {
  return blocks.reduce((y, x) => times(y ^ x, h), 0n)
}
function blocksOf(data: Uint8Array): bigint[] {
  const padded = concat(data, new Uint8Array((16 - (data.length % 16)) % 16))
  return Array.from({ length: padded.length / 16 }, (_, at) =>
    number(padded.subarray(at * 16, at * 16 + 16)),
  )
}

describe('V06 a ciphertext made to open under two keys', () => {
  it('opens under both in AES-GCM itself, and in the vault under the one it commits to', async () => {
    const [one, two] = [
      { id: 'k1', bytes: bytes(1) },
      { id: 'k1', bytes: bytes(2) },
    ]
    const head = (await new Envelope(ringOf(one)).seal(plain, bound, 1)).slice(0, HEAD)
    const count = new Uint8Array(8)
    count[7] = 1
    const additional = concat(uint32(bound.length), bound, count, head)
    const nonce = new Uint8Array(12).fill(9)
    const derived = await Promise.all(
      [one, two].map(({ bytes }) => derive(bytes, 'deputize vault v1 seal', 32)),
    )

    // The last block is free: chosen so that both keys compute one tag.
    const first = 0x1234n
    const lengths = (BigInt(additional.length * 8) << 64n) | 256n
    const sides = derived.map((key) => {
      const h = number(aes(key, new Uint8Array(16)))
      const mask = number(aes(key, concat(nonce, uint32(1))))
      return { h, mask, rest: ghash(h, [...blocksOf(additional), first, 0n, lengths]) ^ mask }
    })
    const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]]
    const last = times(a.rest ^ b.rest, inverse(times(a.h, a.h) ^ times(b.h, b.h)))
    const tag = a.rest ^ times(last, times(a.h, a.h))
    const body = concat(block(first), block(last), block(tag))

    for (const key of derived) {
      const imported = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt'])
      const parameters = { name: 'AES-GCM', iv: nonce, additionalData: additional, tagLength: 128 }
      expect((await crypto.subtle.decrypt(parameters, imported, body)).byteLength).toBe(32)
    }
    const row = concat(head, nonce, body)
    expect((await new Envelope(ringOf(one)).open(row, bound, 1)).length).toBe(32)
    await corrupt(new Envelope(ringOf(two)).open(row, bound, 1))
  })
})
