import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hex } from '../bytes.js'
import { type RowKind, rowAddress } from './row-key.js'

const kinds: RowKind[] = ['grant', 'consent-session', 'connections', 'signing-keys']
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
          expect(one.id === two.id).toBe(same)
          expect(hex(one.bound) === hex(two.bound)).toBe(same)
          expect(one.id).toMatch(/^[0-9a-f]{64}$/)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('V13 refuses a lone surrogate', async () => {
    await expect(rowAddress('v', { kind: 'grant', owner: ['\ud800'] })).rejects.toThrow(TypeError)
  })
})
