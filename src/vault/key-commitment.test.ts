import { createCipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concat, uint32, utf8 } from '../bytes.js'
import { VaultCorruptError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import type { KeyRing, VaultKey } from './key-ring.js'
import { webPrimitives } from './web-primitives.js'

const bytes = (seed: number) =>
  Uint8Array.from({ length: 32 }, (_, at) => (seed * 31 + at * 7 + 1) & 255)
const ringOf = (key: VaultKey): KeyRing => ({ newest: () => key, find: () => key })
const bound = '5a'.repeat(32)
const plain = utf8('{}')
const HEAD = 3 + 2 + 32

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
    const additional = concat(utf8(bound), count, head)
    const nonce = new Uint8Array(12).fill(9)
    const derived = await Promise.all(
      [one, two].map(({ bytes }) => webPrimitives.derive(bytes, 'deputize vault v1 seal', 32)),
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
      const imported = await crypto.subtle.importKey('raw', key.slice(), 'AES-GCM', false, [
        'decrypt',
      ])
      const parameters = { name: 'AES-GCM', iv: nonce, additionalData: additional, tagLength: 128 }
      expect((await crypto.subtle.decrypt(parameters, imported, body)).byteLength).toBe(32)
    }
    const row = concat(head, nonce, body)
    expect((await new Envelope(ringOf(one)).open(row, bound, 1)).length).toBe(32)
    await expect(new Envelope(ringOf(two)).open(row, bound, 1)).rejects.toThrow(VaultCorruptError)
  })
})
