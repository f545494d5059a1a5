import { describe, expect, it } from 'vitest'
import { VaultCorruptError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { localKeys } from './key-ring.js'
import { type NodeCrypto, nodePrimitives } from './node-primitives.js'
import { type RowKey, rowAddress } from './row-key.js'
import { tokenVault } from './token-vault.js'
import { webPrimitives } from './web-primitives.js'

/** Sealed once and kept: one row of each kind. They must open for as long as format 1 is known. */
const golden: readonly {
  readonly vault: string
  readonly key: RowKey
  readonly version: number
  readonly id: string
  readonly sealed: string
  readonly value: unknown
}[] = [
  {
    vault: 'default',
    key: {
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
    version: 2,
    id: 'a5974dfd457b08ca562095a670ec9e7a61fa802f40fc3a68f8fb2a7b21c2e553',
    sealed:
      'AQAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qerarGdkDCksh8SG4gxTn+CKOywZQpI9aKGwQljfPOJrNc/sBmm33d3qowI1a2Zvb4EcGtQTUYO/IQj1YpesnRVXNTP+tv/3qD+vmLbtS1sBG9I3zTo1s8p1nor9ngvkRK29M9ZmwNiaco01yMzDotVDu2gHIntQtpX4KFRVOhyTyGjyL43a8fpBiQ14ZmbI/qFTeHo0WL320oKJ2PxeH',
    value: {
      status: 'active',
      refreshToken: 'rt-2 Zoë 世界',
      scopes: ['a', 'b'],
      tokens: { '': { value: 'at-2', expiresAtMs: 1800000000000 } },
    },
  },
  {
    vault: 'default',
    key: {
      kind: 'lease',
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
    version: 2,
    id: 'd12913dde44d3eb1a8247827e6655b6edd2cbfc59f08b86b856a6bea637f8895',
    sealed:
      'AQAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qtj1FfgjqzrbyswmgnA9hz5O6lH89UZJ7dmbZgmrPFg9C+UOgov2kbJxXWiCIcBuaaGRrkma4rUxiNS2mQv0rEytJbz+qqKGtSpWr7w==',
    value: { holder: 'bGVhc2UtMQ', beat: 2, unchangedMs: 0 },
  },
  {
    vault: 'default',
    key: { kind: 'consent-session', owner: ['c2Vzc2lvbi0x'] },
    version: 1,
    id: '011bcb86655319c2d55513d77eb4b41cf483160ce2617a6b4052e91d31155a4e',
    sealed:
      'AQAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qUpIDfD6mVUSB4mLB1q3xna0uBNdDIW7L7E277So3qbLiC43SoLHz0t38fDCqaiV1erg4noKc3NazLCAFCMnC0ACwVVavq2C0LTxVuHleyloH3vEvDIpG',
    value: { state: 'pending', codeVerifier: 'verifier-1', nonce: 'n' },
  },
  {
    vault: 'default',
    key: {
      kind: 'connections',
      owner: ['https://agents.example', 'agent', 'https://idp.example', 'u1'],
    },
    version: 1,
    id: 'b6f47718802cc053ae1b8d929a8d0d341f1d63d8ab769e37e9de00ecf08c0e3d',
    sealed:
      'AQAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qA5ODzglt/v63QHPqTNZbEtJPIcmltn84sUTJ3mTbWqhqQ095Hy6XijIffqPs0/G9Te9zoDA+29nGKIoQFrIYMp0YaGPisxDRzxJvCkYMucShJiE6d5sWSJbR',
    value: { accounts: [{ provider: 'google', label: 'me' }], pending: [] },
  },
  {
    vault: 'prod',
    key: { kind: 'signing-keys', owner: [undefined, 'agent'] },
    version: 1,
    id: '4a9d17e1e5da27458c495362d56d9b6b8bd00eb9b33cba1fce3360839f02ea34',
    sealed:
      'AQAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9q7Kip0mA9BU+nX1G+amnFo3LSj+savZIUNusjEUZIkXBRHmRvMetdyES+KtbYYRI7LpzMogj9e3L8+C9j4BRe8HiA8WXzKkfH1CoKrOTbtN1zPEUH',
    value: { kty: 'EC', crv: 'P-256', d: 'private', x: 'x', y: 'y' },
  },
]
const key = Uint8Array.from({ length: 32 }, (_, at) => at + 1)
const nodeCrypto = process.getBuiltinModule('node:crypto') as unknown as NodeCrypto

describe.each(golden)('P16 the golden row of format 1, kind $key.kind', (row) => {
  const sealed = new Uint8Array(Buffer.from(row.sealed, 'base64'))
  const vaultOver = (bytes: Uint8Array) =>
    tokenVault({
      name: row.vault,
      keys: localKeys(key),
      store: {
        get: async (id) => (id === row.id ? { sealed: bytes, version: row.version } : undefined),
        put: async () => false,
        delete: async () => {},
        scan: async () => ({ ids: [] }),
      },
    })

  it('lies where it lay, and opens to what it was', async () => {
    expect(await rowAddress(row.vault, row.key)).toBe(row.id)
    expect(await vaultOver(sealed).read(row.key)).toEqual({
      value: row.value,
      version: row.version,
    })
  })

  it.each([
    ['node:crypto', nodePrimitives(nodeCrypto)],
    ['Web Crypto', webPrimitives],
  ])('opens by %s', async (_, primitives) => {
    const envelope = new Envelope(localKeys(key), { vault: row.vault, primitives })
    const opened = await envelope.open(sealed, row.id, row.version)
    expect(JSON.parse(Buffer.from(opened).toString())).toEqual(row.value)
  })

  it.each([0, 2, 255])('is refused when it says that it is of format %d', async (format) => {
    const newer = sealed.slice()
    newer[0] = format
    const error = await vaultOver(newer)
      .read(row.key)
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(VaultCorruptError)
    expect(error).toMatchObject({ reason: 'its format is not known to this version' })
  })
})

it('has a golden row of each kind', () => {
  // Not compiled when a kind is missing.
  const kinds: Record<RowKey['kind'], true> = {
    grant: true,
    lease: true,
    'consent-session': true,
    connections: true,
    'signing-keys': true,
  }
  expect(golden.map((row) => row.key.kind).sort()).toEqual(Object.keys(kinds).sort())
})
