import { describe, expect, it } from 'vitest'
import { VaultCorruptError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { localKeys } from './key-ring.js'
import { type NodeCrypto, nodePrimitives } from './node-primitives.js'
import type { RowKey } from './row-key.js'
import { tokenVault } from './token-vault.js'
import { webPrimitives } from './web-primitives.js'

/** Sealed once and kept: one row of each kind. They must open for as long as format 2 is known. */
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
    id: 'ec25963bdd4808620953e17ca853e674434097151aebd08ddfe14947fc6e0630',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qW9Xz7f2YrOy4LtvXmnw1YwjONCJpnd08asna8gyTTw7j7u6hhk1PdSfZiTResWDAYTgcxzwiswaVd5z3ghSKqEy2ZJYjkMPHH/Zt75kv1+MQQJNc9JwURExy8LZZM7aWjhw1KNcXmmk8Q4QRnVAdmd/JIETNnz/CGhJk5l9MovDAHODnR69ejkcISr1prfmPFnxNYWPYaASGLTi9qpcU',
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
    id: 'ec25963bdd480862328c4256b36569b57c0c23c9be72508808965404786c78df',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qqEVtZ+VQix/xVI6pqOCLEUNPmaNKKhXgC7GG2fhx4JXtIcofCfWNQjfXj34BKqfnebd6QlM/ZUxEKtWxVx9n+vccobDHGj6G9OsQyw==',
    value: { holder: 'bGVhc2UtMQ', beat: 2, unchangedMs: 0 },
  },
  {
    vault: 'default',
    key: { kind: 'consent-session', owner: ['c2Vzc2lvbi0x'] },
    version: 1,
    id: 'ec25963bdd4808629dee1436fcfb238ff93349b144c79d375d68c647f9d23a80',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9q9DRvuMBJyWdARRhvdJrG4rLo1UNGYOj3Pd/YRObqeKduQJHozAQd1DFm2+8F505MknAHShJUQuDlG0UdIOSi0wyabtZQEXVZm4+oTaNNRZUrcb1qvlci',
    value: { state: 'pending', codeVerifier: 'verifier-1', nonce: 'n' },
  },
  {
    vault: 'default',
    key: {
      kind: 'connections',
      owner: ['https://agents.example', 'agent', 'https://idp.example', 'u1'],
    },
    version: 1,
    id: 'ec25963bdd480862b8c76a5c2181fc1bee051175508282bedc3227e36cb224dc',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9q6oDiBgnKvfTwjcKk02vB6FWyg1n4pf+FegSr91pHkVZq6TLiHxNVvAITdxffQimzvnjPK6Ckaa4SdBOZQRbIiihH6G/BQCDxHvZ2u39/eUMhgwwrfUVL1Qvm',
    value: { accounts: [{ provider: 'google', label: 'me' }], pending: [] },
  },
  {
    vault: 'prod',
    key: { kind: 'signing-keys', owner: [undefined, 'agent'] },
    version: 1,
    id: '44ea832e0878f9c3944c3c68d43984b218bcda0e0b4dc1e901d1f3836f55f64c',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qCceUpWuVHkMNAg5JqOQArJzdDNRCMc9QQfuUx82aCPjHhJh1jQ5vLBfvhedbyXk6vxGWH3Z9e9exCP9T8rsi3Qzypbr7av5ClIZkW40/nzxIWXq7',
    value: { kty: 'EC', crv: 'P-256', d: 'private', x: 'x', y: 'y' },
  },
  {
    vault: 'default',
    key: { kind: 'rewrap-place', owner: [] },
    version: 3,
    id: 'ec25963bdd480862d3c3657a54b8dd7e75915f1a817c8a59ae25249f6deba1f0',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9q3t6C3tmu9yIIWrxpSBBHj0CDW7yHHpoHzcajnygQYi7sJGDXSy/hLf1zoDgWfrWh43JQu3EIXmKfY75KR4jZA1Uw3Qxg6BqiTRyS5W8jZVr8JkztsKVYfQTLV+WZPoMOSojR0qPK7tlH0su04DKHVZH9GDgZwA==',
    value: {
      cursor: '1 2 3',
      keyId: 'k1',
      progress: { seen: 3, rewrapped: 2, skipped: 1, failed: 0 },
    },
  },
]
/** The rows that hold the index keys of the two vaults, of version 1. */
const index: Readonly<Record<string, { readonly id: string; readonly sealed: string }>> = {
  default: {
    id: 'ec25963bdd480862000000000000000000000000000000000000000000000000',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qEy2Q1Kb/6rL9yP70atezL8IqtuBrlUUILwjV0WNZXTy8McRfTGGRJsI5nNbHutr0Z5te64CdXQRXY/9npSKQRTPr4xy/otY=',
  },
  prod: {
    id: '44ea832e0878f9c3000000000000000000000000000000000000000000000000',
    sealed:
      'AgAQZTVhMGZiNTA0M2RmNWE4Zs7/ZylV9ZcRp8zOaDPzX3a8r1i98b9CyYKA9OjoUO9qQWm7ue2sodreN6nsEBidFpW2YeUY4F32VnV/kZs5atoHm7jCN8YPi9viZ5NOSDsYRFG+8asd8NN7gqpuWXs3FKxQVn1Ibn8=',
  },
}
const key = Uint8Array.from({ length: 32 }, (_, at) => at + 1)
const nodeCrypto = process.getBuiltinModule('node:crypto') as unknown as NodeCrypto

const fromBase64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))

describe.each(golden)('P16 the golden row of format 2, kind $key.kind', (row) => {
  const sealed = fromBase64(row.sealed)
  const vaultOver = (bytes: Uint8Array) =>
    tokenVault({
      name: row.vault,
      keys: localKeys(key),
      store: {
        get: async (id) => {
          const { id: indexId, sealed } = index[row.vault]!
          if (id === indexId) return { sealed: fromBase64(sealed), version: 1 }
          return id === row.id ? { sealed: bytes, version: row.version } : undefined
        },
        put: async () => false,
        delete: async () => {},
        scan: async () => ({ ids: [] }),
      },
    })

  it('lies where it lay, and opens to what it was', async () => {
    expect(await vaultOver(sealed).address(row.key)).toBe(row.id)
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

  it.each([0, 1, 3, 255])('is refused when it says that it is of format %d', async (format) => {
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
    'rewrap-place': true,
  }
  expect(golden.map((row) => row.key.kind).sort()).toEqual(Object.keys(kinds).sort())
})
