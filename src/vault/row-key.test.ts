import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { platformPrimitives } from './platform-primitives.js'
import type { Primitives, RowMac } from './primitives.js'
import {
  indexRowId,
  isIndexRowId,
  type RowKey,
  type RowKind,
  rowAddress,
  vaultTag,
} from './row-key.js'
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

const bytes = (first: number) => Uint8Array.from({ length: 32 }, (_, at) => first + at)
async function address(
  vault: string,
  key: RowKey,
  primitives: Primitives = platformPrimitives(),
  indexKey = bytes(1),
): Promise<string> {
  const mac: RowMac = await primitives.mac(indexKey)
  return rowAddress(await vaultTag(vault, primitives), vault, key, mac)
}

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
          const one = await address(v, { kind: k, owner: o })
          const two = await address(w, { kind: l, owner: p })
          const same =
            v === w && k === l && o.length === p.length && o.every((part, at) => part === p[at])
          expect(one === two).toBe(same)
          expect(await address(v, { kind: k, owner: o }, webPrimitives)).toBe(one)
          expect(one).toMatch(/^[0-9a-f]{64}$/)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('V13 refuses a lone surrogate', async () => {
    await expect(address('v', { kind: 'grant', owner: ['\ud800'] })).rejects.toThrow(TypeError)
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
      'ec25963bdd4808625bf163deb6514046e20d56d7bfdb866f5d75168fcaaab2aa',
    ],
    [
      { kind: 'signing-keys', owner: [undefined, 'agent'] },
      'ec25963bdd4808624ef576dabb5bf24cde9afdaa77c6edd0e7a6bde887f7a209',
    ],
  ])('V13 keeps the address of a row for ever: %j', async (key, id) => {
    expect(await address('default', key)).toBe(id)
    expect(await address('default', key, webPrimitives)).toBe(id)
  })

  it('V13 cannot be made, nor a guess be checked, without the index key', async () => {
    const key: RowKey = { kind: 'grant', owner: ['agent', 'ada'] }
    const one = await address('default', key)
    const two = await address('default', key, platformPrimitives(), bytes(2))
    expect(two.slice(0, 16)).toBe(one.slice(0, 16)) // says which vault
    expect(two.slice(16)).not.toBe(one.slice(16))
  })

  it('gives the index row an id of its own', async () => {
    const id = indexRowId(await vaultTag('default', platformPrimitives()))
    expect(id).toMatch(/^[0-9a-f]{16}0{48}$/)
    expect(isIndexRowId(id)).toBe(true)
    expect(isIndexRowId(await address('default', { kind: 'grant', owner: [] }))).toBe(false)
  })
})
