import { inspect } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { utf8 } from '../bytes.js'
import { KeyUnavailableError, VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import { Envelope } from './envelope.js'
import { localKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import type { RowKey, RowKind } from './row-key.js'
import type { VaultRow, VaultStore } from './store.js'
import { type TokenVault, type TokenVaultOptions, tokenVault } from './token-vault.js'

const canary = 'canary-2b1e'
const keys = localKeys(Uint8Array.from({ length: 32 }, (_, at) => at + 1))
const key: RowKey = {
  kind: 'grant',
  owner: ['iss', 'agent', 'USER_FEDERATION', 'idp', 'u1', 'google', 'g', 'client', 'me'],
}
const value = { refreshToken: canary, scopes: ['a'] }

const over = (store: Partial<VaultStore>, name?: string) =>
  tokenVault({
    store: { ...memoryStore(), ...store },
    keys,
    ...(name === undefined ? {} : { name }),
  })

async function refusal(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    (result) => ({ result }),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(canary)
  return error as Error
}

describe('tokenVault', () => {
  it('reads what was written, with the version that the next write must name', async () => {
    const vault = tokenVault()
    expect(await vault.read(key)).toBeUndefined()
    const version = (await vault.write(key, value, { replaces: 0 }))!
    expect(await vault.read(key)).toEqual({ value, version })
    expect(await vault.write(key, { x: 2 }, { replaces: version })).toBe(version + 1)
    expect(await vault.read(key)).toEqual({ value: { x: 2 }, version: version + 1 })
  })

  it('does not take what was read of a row for the row that was made after it had gone', async () => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    const versions = new Set<number>()
    for (let times = 0; times < 50; times++) {
      const version = (await vault.write(key, { times }, { replaces: 0 }))!
      expect(version).toBeGreaterThan(0)
      expect(version).toBeLessThanOrEqual(2 ** 48)
      versions.add(version)
      await store.delete(await vault.address(key))
    }
    expect(versions.size).toBe(50)
    expect(Math.max(...versions)).toBeGreaterThan(2 ** 32)
    await vault.write(key, value, { replaces: 0 })
    for (const replaces of versions) {
      expect(await vault.write(key, { late: true }, { replaces })).toBeUndefined()
    }
  })

  it('V20 tells a writer that another was first, and leaves the other’s row', async () => {
    const vault = tokenVault()
    const version = (await vault.write(key, value, { replaces: 0 }))!
    for (const replaces of [0, version - 1, version + 1]) {
      expect(await vault.write(key, { late: true }, { replaces })).toBeUndefined()
    }
    expect(await vault.read(key)).toEqual({ value, version })
  })

  it('V20 lets one of many writers win', async () => {
    const vault = tokenVault()
    const wrote = await Promise.all(
      Array.from({ length: 20 }, (_, n) => vault.write(key, { n }, { replaces: 0 })),
    )
    const [version, ...more] = wrote.filter((each) => each !== undefined)
    expect(more).toEqual([])
    expect((await vault.read<{ n: number }>(key))?.value.n).toBe(wrote.indexOf(version))
  })

  it('V07 V08 refuses an old row that was put back under the newer version', async () => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    const id = await vault.address(key)
    const version = (await vault.write(key, value, { replaces: 0 }))!
    const old = await store.get(id)
    await vault.write(key, {}, { replaces: version })
    await store.put(id, { ...old!, version: version + 1 })
    expect(await refusal(vault.read(key))).toBeInstanceOf(VaultCorruptError)
  })

  it('V26 V32 V19 gives the store nothing but ciphertext, a hash and a version', async () => {
    const put = vi.fn(async () => true)
    await over({ put }).write(key, value, { replaces: 0, keepUntilMs: 5 })
    const [id, row, options] = put.mock.calls.at(-1) as unknown as [string, VaultRow, unknown]
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(options).toEqual({ replaces: 0 })
    const { version } = row
    expect({ ...row, sealed: 0 }).toEqual({ sealed: 0, version, keepUntilMs: 5 })
    for (const text of [canary, 'google', 'agent', 'refreshToken', 'u1']) {
      expect(Buffer.from(row.sealed).includes(text)).toBe(false)
    }
  })

  const owner = key.owner
  const others: [string, RowKey][] = [
    ...[
      'workload issuer',
      'workload',
      'flow',
      'user issuer',
      'user',
      'provider',
      'its issuer',
      'client',
      'account',
    ].map((field, at): [string, RowKey] => [
      field,
      { kind: 'grant', owner: owner.map((part, n) => (n === at ? `${part}x` : part)) },
    ]),
    [
      'account, absent',
      { kind: 'grant', owner: owner.map((part, n) => (n === 8 ? undefined : part)) },
    ],
    ['account, empty', { kind: 'grant', owner: owner.map((part, n) => (n === 8 ? '' : part)) }],
    ['number of fields', { kind: 'grant', owner: owner.slice(0, 8) }],
    ...(['lease', 'consent-session', 'connections', 'signing-keys'] as RowKind[]).map(
      (kind): [string, RowKey] => [`kind (${kind})`, { kind, owner }],
    ),
  ]
  it.each(others)('V02 a row moved to another %s does not open there', async (_, other) => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    await vault.write(key, value, { replaces: 0 })
    const [from, to] = await Promise.all([vault.address(key), vault.address(other)])
    expect(to).not.toBe(from)
    expect(await vault.read(other)).toBeUndefined()
    await store.put(to, (await store.get(from))!)
    expect(await refusal(vault.read(other))).toBeInstanceOf(VaultCorruptError)
  })

  it('V15 V30 V31 two vaults over one store do not see each other, and a row moved between them does not open', async () => {
    const store = memoryStore()
    const [one, two] = [
      tokenVault({ store, keys, name: 'prod' }),
      tokenVault({ store, keys, name: 'test' }),
    ]
    await one.write(key, value, { replaces: 0 })
    expect(await two.read(key)).toBeUndefined()
    const [from, to] = await Promise.all([one.address(key), two.address(key)])
    await store.put(to, (await store.get(from))!)
    expect(await refusal(two.read(key))).toBeInstanceOf(VaultCorruptError)
    const stranger = tokenVault({
      store,
      keys: localKeys(new Uint8Array(32).fill(9)),
      name: 'prod',
    })
    expect(await refusal(stranger.read(key))).toBeInstanceOf(KeyUnavailableError)
  })

  it('V14 keeps awkward names apart', async () => {
    const vault = tokenVault()
    const names = [
      '__proto__',
      'constructor',
      'hasOwnProperty',
      'toString',
      '',
      ' ',
      'a',
      'A',
      'é',
      'e\u0301',
      'a:b',
      '\0',
      '💥',
    ]
    for (const name of names) {
      await vault.write({ kind: 'grant', owner: [name, '__proto__'] }, { name }, { replaces: 0 })
    }
    for (const name of names) {
      const held = await vault.read<{ name: string }>({ kind: 'grant', owner: [name, '__proto__'] })
      expect(held?.value.name).toBe(name)
    }
    expect(({} as { name?: unknown }).name).toBeUndefined()
  })

  it('V18 gives back every JSON value', async () => {
    const vault = tokenVault()
    const values = [
      null,
      0,
      '',
      'x',
      [],
      {},
      [1, { a: '\u{1F600}\0' }],
      true,
      'x'.repeat(200_000),
      '\ud800',
    ]
    for (const [at, each] of values.entries()) {
      await vault.write({ kind: 'grant', owner: [String(at)] }, each, { replaces: 0 })
      expect((await vault.read({ kind: 'grant', owner: [String(at)] }))?.value).toEqual(each)
    }
  })
})

describe('tokenVault, when the store fails', () => {
  const error = Object.assign(new Error(`row ${canary} is locked`), {
    detail: canary,
    code: 'ECONNREFUSED',
  })
  const failures: [string, () => never | Promise<never>][] = [
    ['rejects', () => Promise.reject(error)],
    [
      'throws',
      () => {
        throw error
      },
    ],
    ['rejects with text', () => Promise.reject(canary)],
    ['rejects with nothing', () => Promise.reject(undefined)],
    [
      'rejects with what throws when it is looked at',
      () =>
        Promise.reject(
          new Proxy(
            {},
            {
              get: () => {
                throw new Error(canary)
              },
            },
          ),
        ),
    ],
  ]
  it.each(failures)('V16 a store that %s is never a miss', async (_, fail) => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    await vault.read(key)
    Object.assign(store, { get: fail, put: fail })
    for (const [operation, vaults, attempt] of [
      ['get', vault, (one: typeof vault) => one.read(key)],
      ['put', vault, (one: typeof vault) => one.write(key, value, { replaces: 0 })],
      ['get', tokenVault({ store, keys }), (one: typeof vault) => one.read(key)],
    ] as const) {
      const thrown = await refusal(attempt(vaults))
      expect(thrown).toBeInstanceOf(VaultUnavailableError)
      expect(thrown).toMatchObject({ retryable: true, reason: 'the store rejected' })
      expect(thrown.message).toContain(`"${operation}"`)
    }
  })

  it('keeps of the store’s error the system’s code alone', async () => {
    const thrown = await refusal(over({ get: () => Promise.reject(error) }).read(key))
    expect(thrown.cause).toEqual({ name: 'SystemError', code: 'ECONNREFUSED' })
  })

  it('passes on an error that is ours already', async () => {
    const ours = new VaultCorruptError({ reason: 'not_a_vault_row' })
    expect(await refusal(over({ get: () => Promise.reject(ours) }).read(key))).toBe(ours)
  })

  describe('in silence', () => {
    afterEach(() => {
      vi.useRealTimers()
    })

    it.each(['get', 'put'] as const)(
      'V16 a store that never answers at %s has failed after ten seconds',
      async (method) => {
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
        let called = () => {}
        const asked = new Promise<void>((resolve) => {
          called = resolve
        })
        const hang = () => {
          called()
          return new Promise<never>(() => {})
        }
        const vault = over({ [method]: hang })
        let settled = false
        const attempt = refusal(
          method === 'get' ? vault.read(key) : vault.write(key, value, { replaces: 0 }),
        )
        void attempt.then(() => {
          settled = true
        })
        await asked
        await vi.advanceTimersByTimeAsync(9_999)
        expect(settled).toBe(false)
        await vi.advanceTimersByTimeAsync(1)
        const thrown = await attempt
        expect(thrown).toBeInstanceOf(VaultUnavailableError)
        expect(thrown).toMatchObject({ retryable: true })
        expect(vi.getTimerCount()).toBe(0)
      },
    )

    it('leaves no timer behind when the store answers, and no rejection when it fails too late', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      await over({}).read(key)
      expect(vi.getTimerCount()).toBe(0)
      let fail: (error: Error) => void = () => {}
      let called = () => {}
      const asked = new Promise<void>((resolve) => {
        called = resolve
      })
      const vault = over({
        get: () =>
          new Promise<never>((_, reject) => {
            fail = reject
            called()
          }),
      })
      const attempt = refusal(vault.read(key))
      await asked
      await vi.advanceTimersByTimeAsync(10_000)
      await attempt
      fail(new Error('late'))
    })
  })

  it.each<[string, unknown]>([
    ['no sealed bytes', { version: 1 }],
    ['text for bytes', { sealed: canary, version: 1 }],
    ['an array for bytes', { sealed: [1, 2], version: 1 }],
    ['JSON of a Buffer', { sealed: { type: 'Buffer', data: [1] }, version: 1 }],
    ['no version', { sealed: new Uint8Array(99) }],
    ['version 0', { sealed: new Uint8Array(99), version: 0 }],
    ['a negative version', { sealed: new Uint8Array(99), version: -1 }],
    ['a version in text', { sealed: new Uint8Array(99), version: '1' }],
    ['half a version', { sealed: new Uint8Array(99), version: 1.5 }],
    ['NaN', { sealed: new Uint8Array(99), version: Number.NaN }],
    ['a version beyond what numbers hold', { sealed: new Uint8Array(99), version: 2 ** 53 }],
    ['bytes of something else', { sealed: utf8(`{"refresh_token":"${canary}"}`), version: 1 }],
    ['empty bytes', { sealed: new Uint8Array(), version: 1 }],
    ['false', false],
    ['0', 0],
    ['an empty string', ''],
    ['a string', canary],
    ['an array', []],
  ])('V04 V16 a store that returns %s is corrupt, not empty', async (_, row) => {
    const vault = over({ get: async () => row as VaultRow })
    expect(await refusal(vault.read(key))).toBeInstanceOf(VaultCorruptError)
  })

  it('takes null for a miss, as many stores mean it', async () => {
    expect(await over({ get: async () => null as unknown as undefined }).read(key)).toBeUndefined()
  })

  it.each([undefined, null, 'OK', 1])(
    'V16 a store whose put() resolves to %j has not said that it wrote',
    async (answer) => {
      const vault = over({ put: async () => answer as unknown as boolean })
      expect(await refusal(vault.write(key, value, { replaces: 0 }))).toBeInstanceOf(
        VaultUnavailableError,
      )
    },
  )

  it.each<[string, Uint8Array]>([
    ['what is no JSON', utf8(`{"a": ${canary}}`)],
    ['nothing', new Uint8Array()],
    ['what is no UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
  ])('V04 a row that opens to %s is corrupt, and is not quoted', async (_, plain) => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys })
    const id = await vault.address(key)
    await store.put(id, { sealed: await new Envelope(keys).seal(plain, id, 1), version: 1 })
    const thrown = await refusal(vault.read(key))
    expect(thrown).toBeInstanceOf(VaultCorruptError)
    expect(thrown.cause).toBeUndefined()
  })
})

describe('tokenVault, its options', () => {
  const store = memoryStore()
  it.each<[string, unknown, RegExp]>([
    ['an empty name', { name: '' }, /^name /],
    ['a name that is no string', { name: 5 }, /^name /],
    ['a long name', { name: 'x'.repeat(256) }, /^name /],
    ['a name with a lone surrogate', { name: '\ud800' }, /^name /],
    ['a store without keys', { store }, /^keys is required/],
    [
      'a store without a method',
      { store: { ...store, scan: undefined }, keys },
      /^store .*scan\(\)/,
    ],
    ['a store that is none', { store: {}, keys }, /^store .*get\(\)/],
    ['keys that are text', { store, keys: canary }, /^keys /],
    ['keys that are bytes', { store, keys: new Uint8Array(32) }, /^keys /],
    ['keys without find', { keys: { newest: keys.newest } }, /^keys /],
  ])('names the option: %s', (_, options, message) => {
    expect(() => tokenVault(options as TokenVaultOptions)).toThrow(TypeError)
    expect(() => tokenVault(options as TokenVaultOptions)).toThrow(message)
  })

  it('W05 prints nothing but its name', async () => {
    const vault: TokenVault = tokenVault({ store, keys, name: 'prod' })
    await vault.write(key, value, { replaces: 0 })
    expect(JSON.stringify(vault)).toBe('{"name":"prod"}')
    expect(Object.keys(vault)).toEqual(['name'])
    expect(inspect(vault, { depth: null, showHidden: true, getters: true })).not.toMatch(
      /Uint8Array|canary/,
    )
  })
})
