import { describe, expect, it } from 'vitest'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { localKeys } from '../vault/key-ring.js'
import { memoryStore } from '../vault/memory-store.js'
import { tokenVault } from '../vault/token-vault.js'
import type { Connections } from './connections.js'
import { ConnectionsIndex } from './connections.js'

const owner = (subject: string) => ({
  workload: { name: 'agent' },
  user: { issuer: 'https://people.example', subject },
})
const pending = (sessionId: string, expiresAtMs: number) => ({
  sessionId,
  fingerprint: sessionId,
  expiresAtMs,
})
const add = (sessionId: string, expiresAtMs: number) => (now: Connections) => ({
  ...now,
  pending: [...now.pending, pending(sessionId, expiresAtMs)],
})

describe('the index row of a user', () => {
  it('is empty at first, and one a user', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock)
    await index.change(owner('ada'), add('s1', clock() + 1))
    expect((await index.read(owner('ada'))).pending).toHaveLength(1)
    expect(await index.read(owner('bob'))).toEqual({ accounts: [], pending: [] })
  })

  it('forgets consents whose time is over', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock)
    await index.change(owner('ada'), add('s1', clock() + 10))
    clock.advance(9)
    expect((await index.read(owner('ada'))).pending).toHaveLength(1)
    clock.advance(1)
    expect((await index.read(owner('ada'))).pending).toEqual([])
  })

  it('loses no change of ten writers at once', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock)
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => index.change(owner('ada'), add(`s${i}`, clock() + 1))),
    )
    expect((await index.read(owner('ada'))).pending).toHaveLength(10)
  })

  it('gives up with a typed error when it never gets its turn', async () => {
    const store = { ...memoryStore(), put: async () => false }
    const index = new ConnectionsIndex(
      tokenVault({ store, keys: localKeys(Buffer.alloc(32, 1)) }),
      fakeClock(),
    )
    expect(await codeOf(index.change(owner('ada'), add('s', 1)))).toBe('ERR_VAULT_UNAVAILABLE')
  })

  it('lists the accounts of one client of one server', async () => {
    const index = new ConnectionsIndex(tokenVault(), fakeClock())
    const at = { issuer: 'https://a.example', clientId: 'c' }
    const accounts = [
      { ...at, provider: 'mail', account: 'one' },
      { ...at, provider: 'mail', account: 'two' },
      { ...at, provider: 'other', account: 'three' },
      { ...at, provider: 'mail', clientId: 'd', account: 'four' },
      { ...at, provider: 'mail', issuer: 'https://b.example', account: 'five' },
    ]
    await index.change(owner('ada'), (now) => ({ ...now, accounts }))
    expect(await index.labels(owner('ada'), 'mail', at)).toEqual(['one', 'two'])
  })
})
