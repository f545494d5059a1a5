import { inspect } from 'node:util'
import { KMS } from '@aws-sdk/client-kms'
import { kmsKeys } from 'deputize/aws'
import { KeyUnavailableError, VaultCorruptError } from 'deputize/errors'
import { type KeyRing, localKeys, memoryStore, tokenVault, type VaultRow } from 'deputize/vault'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type KmsDouble, type KmsMood, kmsArn, kmsKeyIds, startKms } from '../support/kms-double.js'

const [keyId, secondId] = kmsKeyIds
const row = { kind: 'grant', owner: ['u1'] } as const
const value = { refreshToken: 'canary-refresh' }
let kms: KmsDouble
let client: KMS
let nowMs = 1_000_000

beforeAll(async () => {
  kms = await startKms()
  client = new KMS({
    region: 'eu-west-1',
    endpoint: kms.endpoint,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
    maxAttempts: 1,
  })
})
afterAll(async () => {
  client.destroy()
  await kms.close()
})
beforeEach(() => {
  kms.mood = 'well'
  kms.calls.length = 0
})
afterEach(() => {
  expect(kms.findings).toEqual([])
})

const clock = () => nowMs
const ringOf = (options: Partial<Parameters<typeof kmsKeys>[0]> = {}) =>
  kmsKeys({ client, keyId, clock, ...options })
const actions = () => kms.calls.map(({ action }) => action)

async function refusal(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('it worked'),
    (reason: unknown) => reason as Error,
  )
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary')
  return error
}

describe('kmsKeys, over HTTP with the SDK', () => {
  it('seals with a data key that the row carries wrapped, and another process opens it', async () => {
    const store = memoryStore()
    const one = tokenVault({
      store,
      keys: ringOf({ encryptionContext: { app: 'agents' } }),
      name: 'prod',
    })
    await one.write(row, value, { replaces: 0 })
    expect((await one.read(row))?.value).toEqual(value)
    expect(kms.calls).toEqual([
      {
        action: 'GenerateDataKey',
        body: {
          KeyId: keyId,
          NumberOfBytes: 32,
          EncryptionContext: { app: 'agents', 'deputize:vault': 'prod' },
        },
      },
    ])
    const two = tokenVault({
      store,
      keys: ringOf({ keyId: kmsArn(keyId), encryptionContext: { app: 'agents' } }),
      name: 'prod',
    })
    expect((await two.read(row))?.value).toEqual(value)
    expect(actions()).toEqual(['GenerateDataKey', 'Decrypt'])
    const { ids } = await store.scan()
    const { sealed } = (await store.get(ids[0]!))!
    for (const plain of [...kms.plaintexts, Buffer.from('canary')]) {
      expect(Buffer.from(sealed).includes(plain)).toBe(false)
    }
  })

  it('V11 asks KMS once for many rows at once, in both directions', async () => {
    const store = memoryStore()
    const owners = Array.from(
      { length: 50 },
      (_, n) => ({ kind: 'grant', owner: [`${n}`] }) as const,
    )
    const one = tokenVault({ store, keys: ringOf() })
    await Promise.all(owners.map((key) => one.write(key, value, { replaces: 0 })))
    const two = tokenVault({ store, keys: ringOf() })
    await Promise.all(owners.map((key) => two.read(key)))
    await Promise.all(owners.map((key) => two.read(key)))
    expect(actions()).toEqual(['GenerateDataKey', 'Decrypt'])
  })

  it('V11 takes a new data key when the old one has had its time or its rows', async () => {
    const ring = ringOf({ dataKeyMaxAgeMs: 60_000, dataKeyMaxRows: 3 })
    const use = { vault: 'default' }
    const first = await ring.newest(use)
    expect([await ring.newest(use), await ring.newest(use), await ring.newest(use)]).toEqual([
      first,
      first,
      first,
    ])
    expect((await ring.newest(use)).id).not.toBe(first.id)
    nowMs += 59_999
    const second = await ring.newest(use)
    nowMs += 1
    const third = await ring.newest(use)
    expect(third.id).not.toBe(second.id)
    expect(second.bytes).toEqual(new Uint8Array(32)) // wiped
    expect(third.bytes).not.toEqual(new Uint8Array(32))
  })

  it('V11 keeps so many data keys and no more, and wipes the others', async () => {
    const use = { vault: 'default' }
    const made = await Promise.all([1, 2, 3].map(() => ringOf().newest(use)))
    const ring = ringOf({ maxDataKeys: 2 })
    const found = []
    for (const { id } of made) found.push((await ring.find(id, use))!)
    expect(found.map(({ bytes }) => bytes.every((byte) => byte === 0))).toEqual([
      true,
      false,
      false,
    ])
    expect(found[2]!.bytes).toEqual(made[2]!.bytes)
    await ring.find(made[0]!.id, use)
    expect(actions().filter((action) => action === 'Decrypt')).toHaveLength(4)
  })

  it('V27 wipes the bytes that the client gave, and takes them as they were', async () => {
    const given = [new Uint8Array(32).fill(5), new Uint8Array(32).fill(5)]
    const answer = async () => ({
      Plaintext: given.at(-1)!,
      CiphertextBlob: new Uint8Array(8).fill(1),
    })
    const ring = kmsKeys({ client: { generateDataKey: answer, decrypt: answer }, keyId })
    const made = await ring.newest({ vault: 'one' })
    const taken = given.pop()!
    const found = await ring.find(made.id, { vault: 'two' })
    expect([made.bytes, found?.bytes]).toEqual([
      new Uint8Array(32).fill(5),
      new Uint8Array(32).fill(5),
    ])
    expect([taken, ...given]).toEqual([new Uint8Array(32), new Uint8Array(32)])
  })

  it('V11 wipes a data key when its time is up, though nobody asks', async () => {
    const key = await ringOf({ dataKeyMaxAgeMs: 1_000, clock: Date.now }).newest({ vault: 'v' })
    await expect.poll(() => key.bytes.every((byte) => byte === 0)).toBe(true)
  })

  it.each<[KmsMood, string, boolean]>([
    ['down', 'KMS: ', true],
    ['throttling', 'KMS: ThrottlingException', true],
    ['hanging-up', 'KMS: ', true],
    ['denying', 'KMS: AccessDeniedException', false],
    ['short', 'KMS gave a data key that is not 32 bytes', false],
    ['another-key', 'KMS answered with another key', false],
  ])(
    'V10 V11 fails closed while KMS is %s: what is kept serves until its time',
    async (mood, reason, retryable) => {
      const store = memoryStore()
      const vault = tokenVault({ store, keys: ringOf() })
      const version = (await vault.write(row, value, { replaces: 0 }))!
      kms.mood = mood
      expect((await vault.read(row))?.value).toEqual(value)
      expect(await vault.write(row, value, { replaces: version })).toBe(version + 1)
      nowMs += 300_000
      for (const attempt of [
        () => vault.read(row),
        () => vault.write(row, value, { replaces: version + 1 }),
      ]) {
        const error = await refusal(attempt())
        expect(error).toBeInstanceOf(KeyUnavailableError)
        expect(error).toMatchObject({ retryable, reason: expect.stringContaining(reason) })
      }
      kms.mood = 'well'
      expect((await vault.read(row))?.value).toEqual(value)
    },
  )

  it('V11 does not wait for a KMS that is silent', async () => {
    kms.mood = 'silent'
    const error = await refusal(
      tokenVault({ store: memoryStore(), keys: ringOf() }).write(row, value, { replaces: 0 }),
    )
    expect(error).toMatchObject({
      code: 'ERR_KEY_UNAVAILABLE',
      retryable: true,
      reason: 'KMS gave no answer in 5000 ms',
    })
  })

  it('V03 V31 a wrapped key serves neither another vault, nor another context', async () => {
    const { id } = await ringOf().newest({ vault: 'prod' })
    const strangers: [KeyRing, string][] = [
      [ringOf(), 'test'],
      [ringOf({ encryptionContext: { app: 'x' } }), 'prod'],
    ]
    for (const [ring, vault] of strangers) {
      expect(await refusal((async () => ring.find(id, { vault }))())).toBeInstanceOf(
        VaultCorruptError,
      )
    }
    const ring = ringOf()
    await ring.find(id, { vault: 'prod' })
    await expect(ring.find(id, { vault: 'test' })).rejects.toThrow(VaultCorruptError) // though it is kept
  })

  it('V03 refuses a wrapped key with any one byte changed, and one moved under another KMS key', async () => {
    const use = { vault: 'default' }
    const { id } = await ringOf().newest(use)
    const [, , wrapped = ''] = id.split(':')
    const bytes = Buffer.from(wrapped, 'base64url')
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      const error = await refusal(
        (async () => ringOf().find(`aws-kms:${keyId}:${changed.toString('base64url')}`, use))(),
      )
      expect([at, error]).toEqual([at, expect.any(VaultCorruptError)])
    }
    const moved = ringOf({ olderKeyIds: [secondId] }).find(`aws-kms:${secondId}:${wrapped}`, use)
    await expect(moved).rejects.toThrow(VaultCorruptError)
  })

  it('V10 asks KMS nothing about ids that are none of its own', async () => {
    const ring = ringOf()
    const foreign = [
      '',
      'aws-kms',
      'aws-kms::',
      `aws-kms:${keyId}`,
      `aws-kms:${keyId}:`,
      `aws-kms:${keyId}:!!`,
      `aws-kms:${keyId}:AAAA:x`,
      `aws-kms:${secondId}:AAAA`,
      `aws-kms:${keyId}:${'A'.repeat(1_000)}`,
      '0123456789abcdef',
    ]
    for (const id of foreign) expect(await ring.find(id, { vault: 'v' })).toBeUndefined()
    expect(kms.calls).toEqual([])
  })

  it('V09 brings rows under the newest KMS key, and leaves those that are there', async () => {
    const store = memoryStore()
    const before = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(7)) })
    await before.write({ kind: 'grant', owner: ['local'] }, value, { replaces: 0 })
    const local = localKeys(new Uint8Array(32).fill(7))
    const withLocal = (ring: KeyRing): KeyRing => ({
      ...ring,
      find: async (id, use) => (await local.find(id, use)) ?? ring.find(id, use),
    })
    await tokenVault({ store, keys: withLocal(ringOf()) }).write(row, value, { replaces: 0 })
    const vault = tokenVault({
      store,
      keys: withLocal(ringOf({ keyId: secondId, olderKeyIds: [keyId] })),
    })
    expect(await vault.rewrap()).toEqual({ seen: 3, rewrapped: 3, skipped: 0, failed: 0 }) // and the index row
    nowMs += 300_000 // another data key by now, under the same KMS key
    expect(await vault.rewrap()).toEqual({ seen: 3, rewrapped: 0, skipped: 3, failed: 0 })
    const after = tokenVault({ store, keys: ringOf({ keyId: secondId }) })
    expect((await after.read(row))?.value).toEqual(value)
    expect((await after.read({ kind: 'grant', owner: ['local'] }))?.value).toEqual(value)
  })

  it('refuses rows whose wrapped key was changed, typed', async () => {
    let kept: VaultRow | undefined
    const store = {
      ...memoryStore(),
      put: async (_: string, row: VaultRow) => {
        kept = row
        return true
      },
      get: async () => kept,
    }
    const vault = tokenVault({ store, keys: ringOf() })
    await vault.write(row, value, { replaces: 0 })
    for (let at = 0; at < 120; at++) {
      const sealed = kept!.sealed.slice()
      sealed[at]! ^= 1
      const changed = tokenVault({
        store: { ...store, get: async () => ({ sealed, version: 1 }) },
        keys: ringOf(),
      })
      const error = await refusal(changed.read(row))
      expect([
        at,
        error instanceof VaultCorruptError || error instanceof KeyUnavailableError,
      ]).toEqual([at, true])
    }
  })
})

describe('kmsKeys, its options', () => {
  it.each<[string, object, RegExp]>([
    ['no client', { client: undefined }, /^client /],
    ['a client of another kind', { client: { send() {} } }, /^client /],
    ['no key', { keyId: undefined }, /^keyId /],
    ['an alias', { keyId: 'alias/agents' }, /^keyId /],
    [
      'the ARN of an alias',
      { keyId: 'arn:aws:kms:eu-west-1:111122223333:alias/agents' },
      /^keyId /,
    ],
    ['an alias among the older', { olderKeyIds: ['alias/agents'] }, /^olderKeyIds /],
    ['a context without text', { encryptionContext: { a: 1 } }, /^encryptionContext /],
    [
      'a context that names the vault',
      { encryptionContext: { 'deputize:vault': 'x' } },
      /^encryptionContext /,
    ],
    ['no time', { dataKeyMaxAgeMs: 0 }, /^dataKeyMaxAgeMs /],
    ['two days', { dataKeyMaxAgeMs: 172_800_000 }, /^dataKeyMaxAgeMs /],
    ['too many rows', { dataKeyMaxRows: 2 ** 33 }, /^dataKeyMaxRows /],
    ['no keys', { maxDataKeys: 0 }, /^maxDataKeys /],
  ])('names the option: %s', (_, wrong, message) => {
    expect(() => ringOf(wrong)).toThrow(TypeError)
    expect(() => ringOf(wrong)).toThrow(message)
  })

  it('W05 prints no key', async () => {
    const ring = ringOf()
    const { bytes } = await ring.newest({ vault: 'v' })
    const shown = inspect(ring, { depth: null, showHidden: true, getters: true })
    expect(shown).not.toContain(Buffer.from(bytes).toString('hex'))
    expect(JSON.stringify(ring)).toBe('{}')
  })
})
