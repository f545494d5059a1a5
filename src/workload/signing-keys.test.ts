import { decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { generateSigningJwk, importSigningKey, type PrivateJwk } from '../jwt/sign.js'
import { localKeys } from '../vault/key-ring.js'
import { memoryStore } from '../vault/memory-store.js'
import { tokenVault } from '../vault/token-vault.js'
import { WorkloadIdentity } from './identity.js'
import { type SigningKeys, signingKeys } from './signing-keys.js'

const workload = { issuer: 'https://agents.example', name: 'agent' }
const ring = localKeys(Uint8Array.from({ length: 32 }, (_, at) => at + 1))
const kid = async (keys: SigningKeys, of = workload) => (await keys.load(of))[0].public.kid

describe('signingKeys', () => {
  it('generates one key, kept for the life of the process', async () => {
    const keys = signingKeys()
    const [a, b] = await Promise.all([kid(keys), kid(keys)])
    expect(a).toBe(b)
    expect(await kid(keys)).toBe(a)
    expect(await kid(signingKeys())).not.toBe(a)
  })

  it('J65 signs with the first of yours, verifies with all, and names each by its thumbprint', async () => {
    const [old, next] = await Promise.all([generateSigningJwk(), generateSigningJwk()])
    const of = (...keys: PrivateJwk[]) =>
      new WorkloadIdentity({ ...workload, keys: signingKeys({ keys }) })
    const token = await of(old).actAsSelf().workloadAccessToken({ audience: 'a' })
    const rotated = of(next, old)
    expect((await rotated.verifyWorkloadAccessToken(token.value, { audience: 'a' })).workload).toBe(
      'agent',
    )
    const newer = await rotated.actAsSelf().workloadAccessToken({ audience: 'a' })
    expect(decodeProtectedHeader(newer.value).kid).toBe(await kid(signingKeys({ keys: [next] })))
    await expect(
      of(next).verifyWorkloadAccessToken(token.value, { audience: 'a' }),
    ).rejects.toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
  })

  it('hands out no private key that could be exported', async () => {
    const [key] = await signingKeys().load(workload)
    expect(key.key.extractable).toBe(false)
    expect(Object.keys(key.public)).not.toContain('d')
  })

  it('V32 keeps one key in the vault, sealed, for every process of the workload', async () => {
    const store = memoryStore()
    const process = () => signingKeys({ vault: tokenVault({ store, keys: ring }) })
    const first = await kid(process())
    expect(await kid(process())).toBe(first)
    const { ids } = await store.scan()
    expect(ids).toHaveLength(2) // and the vault's index row
    const rows = await Promise.all(ids.map(async (id) => (await store.get(id))!.sealed))
    expect(Buffer.concat(rows).toString('latin1')).not.toMatch(/"d"|P-256/)
  })

  it('V20 J65 lets one of many processes make the key when all start at once', async () => {
    const store = memoryStore()
    const identities = Array.from(
      { length: 8 },
      () =>
        new WorkloadIdentity({
          ...workload,
          keys: signingKeys({ vault: tokenVault({ store, keys: ring }) }),
        }),
    )
    const tokens = await Promise.all(
      identities.map((one) => one.actAsSelf().workloadAccessToken({ audience: 'a' })),
    )
    expect(new Set(tokens.map(({ value }) => decodeProtectedHeader(value).kid)).size).toBe(1)
    expect((await store.scan()).ids).toHaveLength(2)
    for (const token of tokens) {
      for (const one of identities)
        await one.verifyWorkloadAccessToken(token.value, { audience: 'a' })
    }
  })

  it('J63 gives two workloads two keys, though they share the options and the vault', async () => {
    for (const keys of [
      signingKeys(),
      signingKeys({ vault: tokenVault({ store: memoryStore(), keys: ring }) }),
    ]) {
      const kids = await Promise.all([
        kid(keys),
        kid(keys, { ...workload, name: 'other' }),
        kid(keys, { ...workload, issuer: 'https://other.example' }),
      ])
      expect(new Set(kids).size).toBe(3)
      expect(await kid(keys)).toBe(kids[0])
    }
  })

  it('V16 asks again after the store was down, and makes no second key meanwhile', async () => {
    const store = memoryStore()
    let down = true
    const flaky = {
      ...store,
      get: (id: string) => (down ? Promise.reject(new Error('down')) : store.get(id)),
    }
    const keys = signingKeys({ vault: tokenVault({ store: flaky, keys: ring }) })
    await expect(keys.load(workload)).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' })
    expect((await store.scan()).ids).toEqual([])
    down = false
    expect(await kid(keys)).toBe(
      await kid(signingKeys({ vault: tokenVault({ store, keys: ring }) })),
    )
  })

  it('is typed when a row can neither be written nor read', async () => {
    const store = { ...memoryStore(), put: async () => false }
    const keys = signingKeys({ vault: tokenVault({ store, keys: ring }) })
    await expect(keys.load(workload)).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' })
  })

  it('refuses both options, and an empty list', () => {
    expect(() => signingKeys({ keys: [], vault: tokenVault() })).toThrow(TypeError)
    expect(() => signingKeys({ keys: [] })).toThrow(/^keys /)
  })

  it('refuses what is no private P-256 key, without showing it', async () => {
    const good = await generateSigningJwk()
    const other = await generateSigningJwk()
    const wrong: Record<string, unknown> = {
      'without d': { ...good, d: undefined },
      'another curve': { ...good, crv: 'P-384' },
      'another type': { ...good, kty: 'RSA' },
      'no point': { ...good, x: 'AAAA' },
      'the public half of another': { ...good, x: other.x, y: other.y },
    }
    for (const [what, jwk] of Object.entries(wrong)) {
      const error = await importSigningKey(jwk as PrivateJwk).catch((reason: unknown) => reason)
      expect([what, error instanceof TypeError]).toEqual([what, true])
      expect(String(error)).not.toContain(good.d)
    }
  })
})
