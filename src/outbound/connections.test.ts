import { describe, expect, it } from 'vitest'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { Audit, type AuditEvent } from '../audit.js'
import { localKeys } from '../vault/key-ring.js'
import { memoryStore } from '../vault/memory-store.js'
import { isIndexRowId } from '../vault/row-key.js'
import { tokenVault } from '../vault/token-vault.js'
import { accountNamed, type Connections, ConnectionsIndex, hasEnded } from './connections.js'

const owner = (subject: string) => ({
  workload: { name: 'agent' },
  user: { issuer: 'https://people.example', subject },
})
const client = { provider: 'mail', issuer: 'https://a.example', clientId: 'c' }
const silent = new Audit(undefined, () => 0)
const pending = (sessionId: string, expiresAtMs: number) => ({
  ...client,
  sessionId,
  group: sessionId,
  scopes: [],
  expiresAtMs,
})
const add = (sessionId: string, expiresAtMs: number) => (now: Connections) => ({
  ...now,
  pending: [...now.pending, pending(sessionId, expiresAtMs)],
})

describe('the index row of a user', () => {
  it('is empty at first, and one a user', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock, silent)
    await index.change(owner('ada'), add('s1', clock() + 1))
    expect((await index.read(owner('ada'))).pending).toHaveLength(1)
    expect(await index.read(owner('bob'))).toEqual({
      order: 0,
      accounts: [],
      pending: [],
      ended: [],
    })
  })

  it('forgets consents whose time is over', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock, silent)
    await index.change(owner('ada'), add('s1', clock() + 10))
    clock.advance(9)
    expect((await index.read(owner('ada'))).pending).toHaveLength(1)
    clock.advance(1)
    expect((await index.read(owner('ada'))).pending).toEqual([])
  })

  it('loses no change of ten writers at once', async () => {
    const clock = fakeClock()
    const index = new ConnectionsIndex(tokenVault(), clock, silent)
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => index.change(owner('ada'), add(`s${i}`, clock() + 1))),
    )
    expect((await index.read(owner('ada'))).pending).toHaveLength(10)
  })

  it('lists the accounts of one client of one server', async () => {
    const index = new ConnectionsIndex(tokenVault(), fakeClock(), silent)
    const accounts = [
      { ...client, order: 1, account: 'one' },
      { ...client, order: 1, account: 'two', names: ['work'] },
      { ...client, order: 1, provider: 'other', account: 'three' },
      { ...client, order: 1, clientId: 'd', account: 'four' },
      { ...client, order: 1, issuer: 'https://b.example', account: 'five' },
    ]
    await index.change(owner('ada'), (now) => ({ ...now, accounts }))
    const mine = await index.accounts(owner('ada'), client)
    expect(mine.map((one) => one.account)).toEqual(['one', 'two'])
    expect(accountNamed(mine, 'work')?.account).toBe('two')
    expect(accountNamed(mine, 'two')?.account).toBe('two')
    expect(accountNamed(mine, 'four')).toBeUndefined()
  })

  it('is replaced where it is corrupt, by a change alone, and the audit is told', async () => {
    const store = memoryStore()
    const vault = tokenVault({ store, keys: localKeys(Buffer.alloc(32, 1)) })
    const told: AuditEvent[] = []
    const index = new ConnectionsIndex(
      vault,
      fakeClock(),
      new Audit(
        (e) => told.push(e),
        () => 0,
      ),
    )
    await index.change(owner('ada'), (now) => ({ ...now, order: 7 }))
    const [id] = (await store.scan()).ids.filter((one) => !isIndexRowId(one))
    const row = (await store.get(id!))!
    await store.put(id!, { ...row, sealed: row.sealed.fill(0, 70) })
    expect(await codeOf(index.read(owner('ada')))).toBe('ERR_VAULT_CORRUPT')
    expect(await index.readOrEmpty(owner('ada'))).toMatchObject({ order: 0, accounts: [] })
    await index.change(owner('ada'), () => undefined)
    expect(told).toEqual([])
    await index.change(owner('ada'), (now) => ({ ...now, order: now.order + 1 }))
    expect((await index.read(owner('ada'))).order).toBe(1)
    expect(told).toMatchObject([
      { type: 'corrupt_row_replaced', row: 'connections', user: { subject: 'ada' } },
    ])
  })

  it('tells which consents come too late for the end of a connection', () => {
    const now = { ended: [{ ...client, account: 'one', order: 5, untilMs: 1 }] }
    expect(hasEnded(now, { ...client, order: 4 }, ['one'])).toBe(true)
    expect(hasEnded(now, { ...client, order: 4 }, ['other', 'one'])).toBe(true)
    expect(hasEnded(now, { ...client, order: 6 }, ['one'])).toBe(false)
    expect(hasEnded(now, { ...client, order: 4 }, ['two'])).toBe(false)
    expect(hasEnded(now, { ...client, clientId: 'd', order: 4 }, ['one'])).toBe(false)
    const all = { ended: [{ ...client, order: 5, untilMs: 1 }] }
    expect(hasEnded(all, { ...client, order: 4 }, ['whichever'])).toBe(true)
    expect(hasEnded(all, { ...client, order: 6 }, ['whichever'])).toBe(false)
  })
})
