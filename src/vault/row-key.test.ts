import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type RowKey, type RowKind, rowAddress } from './row-key.js'
import { webPrimitives } from './web-primitives.js'

const kinds: RowKind[] = ['grant', 'lease', 'consent-session', 'connections', 'signing-keys']
const text = fc.constantFrom(
  '',
  'a',
  ':',
  'a:',
  'b',
  '__proto__',
  'constructor',
  '\0',
  'x'.repeat(10_240),
)
const owner = fc.array(fc.option(text, { nil: undefined }), { maxLength: 4 })

describe('rowAddress', () => {
  it('V13 V15 V19 gives every owner a place of its own: 64 hexadecimal characters', async () => {
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.constantFrom(...kinds),
        owner,
        text,
        fc.constantFrom(...kinds),
        owner,
        async (v, k, o, w, l, p) => {
          const one = await rowAddress(v, { kind: k, owner: o })
          const two = await rowAddress(w, { kind: l, owner: p })
          const same =
            v === w && k === l && o.length === p.length && o.every((part, at) => part === p[at])
          expect(one === two).toBe(same)
          expect(await rowAddress(v, { kind: k, owner: o }, webPrimitives)).toBe(one)
          expect(one).toMatch(/^[0-9a-f]{64}$/)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('V13 refuses a lone surrogate', async () => {
    await expect(
      (async () => rowAddress('v', { kind: 'grant', owner: ['\ud800'] }))(),
    ).rejects.toThrow(TypeError)
  })

  // Computed by another program. An address that changes makes every stored row unreachable.
  it.each<[RowKey, string]>([
    [
      {
        kind: 'grant',
        owner: [
          'https://agents.example',
          'agent',
          'USER_FEDERATION',
          'https://idp.example',
          'u1',
          'google',
          'https://accounts.example',
          'client',
          undefined,
        ],
      },
      'a5974dfd457b08ca562095a670ec9e7a61fa802f40fc3a68f8fb2a7b21c2e553',
    ],
    [
      { kind: 'signing-keys', owner: [undefined, 'agent'] },
      'd7f977b2e9534063924c12caac16f0f926f5a24bc805faff45f0edbd655b9ed5',
    ],
  ])('V13 keeps the address of a row for ever: %j', async (key, id) => {
    expect(await rowAddress('default', key)).toBe(id)
  })
})
