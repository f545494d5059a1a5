import { expect, it } from 'vitest'
import { localKeys } from './key-ring.js'
import { memoryStore } from './memory-store.js'
import { tokenVault } from './token-vault.js'

const key = { kind: 'grant', owner: ['x'] } as const

function counted() {
  const inner = memoryStore()
  let gets = 0
  const store = {
    ...inner,
    async get(id: string) {
      gets++
      const row = await inner.get(id)
      await new Promise((resolve) => setImmediate(resolve))
      return row
    },
  }
  const vault = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(1)) })
  let from = 0
  return {
    vault,
    /** Since the last write: the first one also reads the key of the index. */
    gets: () => gets - from,
    async write(value: string, replaces: number) {
      const version = (await vault.write(key, value, { replaces }))!
      from = gets
      return version
    },
  }
}

it('reads a row once for all who ask in the same moment', async () => {
  const { vault, gets, write } = counted()
  await write('a', 0)
  const other = { kind: 'grant', owner: ['y'] } as const
  const all = await Promise.all([
    ...Array.from({ length: 50 }, () => vault.read<string>(key)),
    vault.read(other),
  ])
  expect(all.filter((held) => held?.value === 'a')).toHaveLength(50)
  expect(gets()).toBe(2)
})

it('begins a new read for who asks later, though another is under way', async () => {
  const { vault, gets, write } = counted()
  const version = await write('old', 0)
  const early = vault.read<string>(key)
  await Promise.resolve()
  await Promise.resolve()
  await vault.write(key, 'new', { replaces: version })
  expect((await vault.read<string>(key))?.value).toBe('new')
  expect((await early)?.value).toBe('old')
  expect(gets()).toBe(2)
})

it('fails for all who shared a read, and for nobody after them', async () => {
  const inner = memoryStore()
  let fail = true
  const store = {
    ...inner,
    get: (id: string) => (fail ? Promise.reject(new Error('away')) : inner.get(id)),
  }
  const vault = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(1)) })
  const both = await Promise.allSettled([vault.read(key), vault.read(key)])
  expect(both.map((one) => one.status)).toEqual(['rejected', 'rejected'])
  fail = false
  expect(await vault.read(key)).toBeUndefined()
})
