import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { textOf, utf8 } from '../bytes.js'
import { Envelope } from './envelope.js'
import { type LocalKey, localKeys, randomKeys } from './key-ring.js'

const key = (seed: number) => Uint8Array.from({ length: 32 }, (_, at) => (seed + at * 5) & 255)
const use = { vault: 'default' }
const owner = '0f'.repeat(32)
const [a, b, c] = [key(1), key(2), key(3)]

describe('localKeys', () => {
  it('takes bytes, base64 and base64url, and finds the same key in each', async () => {
    const ids = await Promise.all(
      [
        a,
        Buffer.from(a),
        Buffer.from(a).toString('base64'),
        Buffer.from(a).toString('base64url'),
      ].map(async (form) => (await localKeys(form).newest(use)).id),
    )
    expect(new Set(ids).size).toBe(1)
    expect(ids[0]).toMatch(/^[0-9a-f]{16}$/)
    expect((await localKeys(b).newest(use)).id).not.toBe(ids[0])
  })

  it('V09 seals with the first and opens with any', async () => {
    const row = await new Envelope(localKeys(a)).seal(utf8('x'), owner, 1)
    const rotated = new Envelope(localKeys(b, c, a))
    expect(textOf(await rotated.open(row, owner, 1))).toBe('x')
    const next = await rotated.seal(utf8('y'), owner, 2)
    expect(textOf(await new Envelope(localKeys(b)).open(next, owner, 2))).toBe('y')
    await expect(new Envelope(localKeys(a)).open(next, owner, 2)).rejects.toMatchObject({
      code: 'ERR_KEY_UNAVAILABLE',
    })
  })

  it('does not change when the bytes that it was given do', async () => {
    const given = a.slice()
    const ring = localKeys(given)
    given.fill(0)
    expect((await ring.newest(use)).bytes).toEqual(a)
  })

  it.each<[string, unknown]>([
    ['16 bytes', new Uint8Array(16).fill(1)],
    ['31 bytes', a.subarray(1)],
    ['33 bytes', new Uint8Array(33).fill(1)],
    ['no bytes', new Uint8Array()],
    ['32 zero bytes', new Uint8Array(32)],
    ['32 zero bytes as base64', Buffer.alloc(32).toString('base64')],
    ['an empty string', ''],
    ['a passphrase', 'correct horse battery staple'],
    ['a passphrase of 32 letters', 'abcdefghijklmnopqrstuvwxyzabcdef'],
    ['32 bytes as hexadecimal', Buffer.from(a).toString('hex')],
    ['31 bytes as base64', Buffer.from(a.subarray(1)).toString('base64')],
    ['base64 with a line break', `${Buffer.from(a).toString('base64')}\n`],
    ['base64 with unused bits set', `${Buffer.from(a).toString('base64url').slice(0, -1)}B`],
    ['a number array', [...a]],
    ['an ArrayBuffer', a.buffer],
    ['a Uint16Array', new Uint16Array(32).fill(1)],
    ['undefined', undefined],
    ['null', null],
    ['a number', 32],
  ])('V12 refuses %s, without showing it', (_, wrong) => {
    for (const make of [
      () => localKeys(wrong as LocalKey),
      () => localKeys(a, wrong as LocalKey),
    ]) {
      let error: unknown
      try {
        make()
      } catch (reason) {
        error = reason
      }
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(/^A vault key must be/)
      if (typeof wrong === 'string' && wrong.length > 3)
        expect((error as Error).message).not.toContain(wrong.trim())
    }
  })

  it('W05 prints no key', () => {
    const text = Buffer.from(a).toString('base64')
    const shown = inspect(localKeys(text), { depth: null, showHidden: true, getters: true })
    expect(shown + JSON.stringify(localKeys(text))).not.toContain(text)
  })

  it('V10 knows no other ids, whatever they are called', async () => {
    const ring = localKeys(a)
    for (const id of ['', '__proto__', 'constructor', 'toString'])
      expect(await ring.find(id, use)).toBeUndefined()
  })
})

it('randomKeys makes another key each time', async () => {
  expect((await randomKeys().newest(use)).id).not.toBe((await randomKeys().newest(use)).id)
})
