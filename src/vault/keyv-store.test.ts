import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import Keyv from 'keyv'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultCorruptError, VaultUnavailableError } from '../errors/vault.js'
import { describeVaultStore } from '../testing/store-contract.js'
import type { KeyvLike } from './keyv-like.js'
import { keyvStore } from './keyv-store.js'

describeVaultStore({ describe, it }, () => keyvStore(new Keyv(), { processes: 'one' }), {
  name: 'keyvStore over a Map',
})
describeVaultStore(
  { describe, it },
  () => keyvStore(new Keyv({ namespace: 'a:b', ttl: 1 }), { processes: 'one' }),
  { name: 'V17 keyvStore over a Keyv with a default time to live and an awkward namespace' },
)
describeVaultStore(
  { describe, it },
  () => keyvStore(new Keyv({ namespace: '', useKeyPrefix: false }), { processes: 'one' }),
  { name: 'V13 keyvStore over a Keyv without namespace and prefix' },
)

const id = 'a'.repeat(64)
const otherId = 'b'.repeat(64)
const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }

type Method = 'get' | 'set' | 'delete'

/** An adapter of Keyv 5 whose methods a test can break one by one. */
class Adapter extends EventEmitter {
  namespace: string | undefined
  readonly rows = new Map<string, unknown>()
  readonly broken = new Map<Method, () => unknown>()

  async get(key: string) {
    return this.broken.has('get') ? this.broken.get('get')?.() : this.rows.get(key)
  }
  async set(key: string, value: unknown) {
    if (this.broken.has('set')) return this.broken.get('set')?.()
    this.rows.set(key, value)
    return true
  }
  async delete(key: string) {
    return this.broken.has('delete') ? this.broken.get('delete')?.() : this.rows.delete(key)
  }
  async clear() {}
}

const reject = () => Promise.reject(new Error('s3cr3t is down'))
const hang = () => new Promise(() => {})

// Its type asks for options that nothing reads.
const keyvOver = (adapter: Adapter, options: Record<string, unknown> = {}) =>
  new Keyv(adapter as unknown as Map<string, unknown>, options)

function over(adapter: Adapter, timeoutMs = 1_000, options: Record<string, unknown> = {}) {
  return keyvStore(keyvOver(adapter, options), { processes: 'one', timeoutMs })
}

const calls = {
  get: (store: ReturnType<typeof over>) => store.get(id),
  set: (store: ReturnType<typeof over>) => store.put(id, row),
  delete: (store: ReturnType<typeof over>) => store.delete(id),
}

describe('keyvStore, when the store fails', () => {
  it.each(['get', 'set', 'delete'] as const)('V16 rejects when %s rejects', async (method) => {
    const adapter = new Adapter()
    const store = over(adapter)
    adapter.broken.set(method, reject)
    await expect(calls[method](store)).rejects.toBeInstanceOf(VaultUnavailableError)
    await expect(calls[method](store)).rejects.toMatchObject({
      code: 'ERR_VAULT_UNAVAILABLE',
      reason: 'store_error',
      retryable: true,
    })
  })

  it('V16 keeps nothing of what the store said', async () => {
    const adapter = new Adapter()
    adapter.broken.set('get', reject)
    const error = await over(adapter)
      .get(id)
      .catch((e: unknown) => e)
    expect(inspect(error, { depth: 9 })).not.toContain('s3cr3t')
  })

  it('V16 rejects also after somebody switched throwOnErrors off again', async () => {
    const adapter = new Adapter()
    const keyv = keyvOver(adapter)
    const store = keyvStore(keyv, { processes: 'one' })
    keyv.throwOnErrors = false
    adapter.broken.set('get', reject)
    await expect(store.get(id)).rejects.toBeInstanceOf(VaultUnavailableError)
  })

  it.each([{}, { emitErrors: false }])(
    'V16 takes no miss for one when the adapter told of an error by event alone (%o)',
    async (options) => {
      const adapter = new Adapter()
      const store = over(adapter, 1_000, options)
      await store.put(id, row)
      adapter.broken.set('get', () => void adapter.emit('error', new Error('gone')))
      await expect(store.get(id)).rejects.toBeInstanceOf(VaultUnavailableError)
      await expect(store.put(id, row, { replaces: 0 })).rejects.toBeInstanceOf(
        VaultUnavailableError,
      )
    },
  )

  it('V16 goes on serving rows while another one fails', async () => {
    const adapter = new Adapter()
    const store = over(adapter)
    await store.put(id, row)
    const [kept, lost] = [adapter.rows.get(`keyv:${id}`), adapter.rows]
    expect(lost.size).toBe(1)
    adapter.broken.set('get', () => {
      adapter.emit('error', new Error('of another'))
      return kept
    })
    expect(await store.get(id)).toEqual(row)
  })

  it('V16 rejects when set resolves to false', async () => {
    const adapter = new Adapter()
    const store = over(adapter)
    adapter.broken.set('set', () => false)
    await expect(store.put(id, row)).rejects.toMatchObject({ reason: 'not_written' })
  })

  it('V16 rejects when set says that it wrote, and did not', async () => {
    const adapter = new Adapter()
    const store = over(adapter)
    adapter.broken.set('set', () => true)
    await expect(store.put(id, row)).rejects.toMatchObject({ reason: 'not_kept' })
  })

  it('V16 rejects when delete did not delete', async () => {
    const adapter = new Adapter()
    const store = over(adapter)
    await store.put(id, row)
    adapter.broken.set('delete', () => true)
    await expect(store.delete(id)).rejects.toMatchObject({ reason: 'not_deleted' })
  })

  it.each(['get', 'set', 'delete'] as const)('V16 gives up when %s hangs', async (method) => {
    const adapter = new Adapter()
    const store = over(adapter, 40)
    adapter.broken.set(method, hang)
    await expect(calls[method](store)).rejects.toMatchObject({
      name: 'VaultUnavailableError',
      reason: 'timeout',
    })
  })

  it('does not let a write that was given up overtake the next one', async () => {
    const adapter = new Adapter()
    const store = over(adapter, 60)
    let finish = () => {}
    adapter.broken.set(
      'set',
      () =>
        new Promise((resolve) => {
          finish = () => resolve(true)
        }),
    )
    await expect(store.put(id, row)).rejects.toMatchObject({ reason: 'timeout' })
    adapter.broken.clear()
    await expect(store.put(id, { ...row, version: 2 })).rejects.toMatchObject({ reason: 'timeout' })
    expect(adapter.rows.size).toBe(0)
    finish()
    expect(await store.put(id, { ...row, version: 3 })).toBe(true)
    expect(await store.get(id)).toMatchObject({ version: 3 })
  })

  it('gives up after the read of a compare-and-set hung, and does not write later', async () => {
    const adapter = new Adapter()
    const store = over(adapter, 40)
    let answer = () => {}
    adapter.broken.set(
      'get',
      () =>
        new Promise((resolve) => {
          answer = () => resolve(undefined)
        }),
    )
    await expect(store.put(id, row, { replaces: 0 })).rejects.toMatchObject({ reason: 'timeout' })
    answer()
    adapter.broken.clear()
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(adapter.rows.size).toBe(0)
  })

  it('V16 fails a listing that broke off', async () => {
    const keyv = new EventEmitter() as EventEmitter & Record<string, unknown>
    Object.assign(keyv, new Map(), {
      get: async () => undefined,
      set: async () => true,
      delete: async () => true,
      // As Keyv 6 does: tells by event, and ends as if that were all.
      async *iterator() {
        yield [id, `1.${id}.1..AQID`]
        keyv.emit('error', new Error('gone'))
      },
    })
    const store = keyvStore(keyv as unknown as KeyvLike, { processes: 'one' })
    await expect(store.scan()).rejects.toBeInstanceOf(VaultUnavailableError)
  })
})

describe('keyvStore', () => {
  it('V18 keeps each row as one string under the id itself', async () => {
    const adapter = new Adapter()
    const store = keyvStore(keyvOver(adapter, { useKeyPrefix: false }), { processes: 'one' })
    await store.put(id, { ...row, keepUntilMs: 9_999_999_999_999 })
    expect([...adapter.rows.keys()]).toEqual([id])
    const { value } = JSON.parse(String(adapter.rows.get(id)))
    expect(value).toBe(`1.${id}.1.9999999999999.AQID`)
  })

  it('V17 gives no time to live to rows without keepUntilMs, and the right one to others', async () => {
    const ttls: unknown[] = []
    const keyv = new Keyv({ ttl: 5 })
    const set = keyv.set.bind(keyv)
    keyv.set = async (key: string, value: unknown, ttl?: number) => {
      ttls.push(ttl)
      return set(key, value, ttl)
    }
    const store = keyvStore(keyv, { processes: 'one', clock: () => 1_000 })
    await store.put(id, row)
    await store.put(otherId, { ...row, keepUntilMs: 61_000 })
    expect(ttls).toEqual([0, 60_000])
  })

  it.each([
    ['something else', 'something else'],
    ['an object', { version: 1 }],
    ['a version of 0', `1.${id}.0..AQID`],
    ['sloppy base64url', `1.${id}.1..AQJ`],
  ])('calls %s in a row’s place corrupt, not missing', async (_what, value) => {
    const keyv = new Keyv()
    const store = keyvStore(keyv, { processes: 'one' })
    await keyv.set(id, value)
    await expect(store.get(id)).rejects.toBeInstanceOf(VaultCorruptError)
    await store.put(id, row)
    expect(await store.get(id)).toEqual(row)
  })

  it('V13 calls a row that turns up under another id corrupt', async () => {
    const keyv = new Keyv()
    const store = keyvStore(keyv, { processes: 'one' })
    await store.put(id, row)
    await keyv.set(otherId, await keyv.get(id))
    await expect(store.get(otherId)).rejects.toMatchObject({ reason: 'row_of_another_id' })
  })

  it('V15 says so when another Keyv takes the adapter over', async () => {
    const adapter = new Adapter()
    const store = keyvStore(keyvOver(adapter, { namespace: 'vault' }), { processes: 'one' })
    await store.put(id, row)
    keyvOver(adapter, { namespace: 'cache' })
    await expect(store.get(id)).rejects.toBeInstanceOf(ConfigurationError)
    await expect(store.scan()).rejects.toThrow(/adapter of its own/)
  })

  it('V20 takes turns with another keyvStore over the same Keyv, and over the same adapter', async () => {
    const map = new Map()
    const keyv = new Keyv({ store: map })
    const stores = [keyv, keyv, new Keyv({ store: map })].map((each) =>
      keyvStore(each, { processes: 'one' }),
    )
    const wrote = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        stores[n % 3]!.put(id, { ...row, version: n + 1 }, { replaces: 0 }),
      ),
    )
    expect(wrote.filter(Boolean)).toHaveLength(1)
  })

  it('lists more than one page, each row once, and nothing that is not a row', async () => {
    const keyv = new Keyv()
    const store = keyvStore(keyv, { processes: 'one' })
    const ids = Array.from({ length: 25_000 }, (_, n) => n.toString(16).padStart(64, '0')).reverse()
    await Promise.all(ids.map((each) => keyv.set(each, `1.${each}.1..AQID`)))
    await keyv.set('note', 'not a row')
    const listed: string[] = []
    const sizes: number[] = []
    let cursor: string | undefined
    do {
      const page = await store.scan(cursor)
      listed.push(...page.ids)
      sizes.push(page.ids.length)
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(sizes).toEqual([10_000, 10_000, 5_000])
    expect(listed.sort()).toEqual(ids.sort())
  })

  it('takes no silent end for the whole listing: Keyv 6 iterates over adapters that cannot', async () => {
    const keyv = {
      get: async () => undefined,
      set: async () => true,
      delete: async () => true,
      on: () => {},
      async *iterator() {},
      store: { iterator: () => {}, store: { get: () => {} } },
    }
    await expect(keyvStore(keyv, { processes: 'one' }).scan()).rejects.toThrow(ConfigurationError)
  })

  it('says what to use when the adapter cannot list its rows', async () => {
    await expect(over(new Adapter()).scan()).rejects.toThrow(ConfigurationError)
    await expect(over(new Adapter()).scan()).rejects.toThrow(/@keyv\/redis/)
  })
})

describe('keyvStore options', () => {
  const make = (options: unknown, keyv: unknown = new Keyv()) => {
    return () => keyvStore(keyv as KeyvLike, options as { processes: 'one' })
  }

  it('V20 refuses several processes, and says what to use', () => {
    expect(make({ processes: 'many' })).toThrow(TypeError)
    expect(make({ processes: 'many' })).toThrow(
      /redisStore, .* implement VaultStore .* describeVaultStore\(\)/,
    )
  })

  it.each([
    [undefined, /keyvStore\(\) takes a Keyv and options such as/],
    [{}, /processes must be/],
    [{ processes: 'ten' }, /got "ten"/],
    [{ processes: 'one', timeoutMs: 0 }, /timeoutMs must be/],
    [{ processes: 'one', timeoutMs: 60_001 }, /timeoutMs must be/],
    [{ processes: 'one', timeoutMs: Number.NaN }, /timeoutMs must be/],
  ])('refuses %o', (options, message) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(message)
  })

  it.each([undefined, null, {}, 'redis://'])('refuses %o for a Keyv', (keyv) => {
    expect(make({ processes: 'one' }, keyv ?? null)).toThrow(/keyv must be a Keyv/)
  })
})
