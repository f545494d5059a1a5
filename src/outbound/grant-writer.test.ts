import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type FailingStore, failingStore } from '../../test/support/faults.js'
import { fakeClock } from '../../test/support/issuer.js'
import { AuthorizationServer } from '../oauth/server.js'
import { localKeys } from '../vault/key-ring.js'
import { tokenVault } from '../vault/token-vault.js'
import { emptyGrant, type Grant } from './grant.js'
import { type AtRisk, type Claim, GrantWriter } from './grant-writer.js'
import { leaseTiming, RowLeases } from './row-lease.js'

const row = { kind: 'grant', owner: ['x'] } as const
const clock = fakeClock()
const server = new AuthorizationServer({
  name: 'api',
  issuer: 'https://a.example',
  clientId: 'c',
  clientAuth: 'none',
  clock,
})
const target = { name: 'api', row, server }

let store: FailingStore
beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  })
  store = failingStore()
})
afterEach(() => void vi.useRealTimers())

/** A process over the store that all share. */
function machine(options: { readonly waitUntil?: (work: Promise<unknown>) => void } = {}) {
  const vault = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(1)) })
  const monotonic = () => performance.now()
  const leases = new RowLeases(vault, { ...leaseTiming, monotonic, pollMs: 10 }, () => clock())
  const atRisk: AtRisk[] = []
  let settled = 0
  const writer = new GrantWriter(vault, {
    onSettled: () => settled++,
    onAtRisk: (_, why) => atRisk.push(why),
    ...options,
  })
  const read = async () => (await vault.read<Grant>(row))?.value
  return {
    vault,
    writer,
    atRisk,
    read,
    settled: () => settled,
    async reset(grant: Partial<Grant> = {}) {
      const held = await vault.read<Grant>(row)
      await vault.write(row, { ...emptyGrant, ...grant }, { replaces: held?.version ?? 0 })
    },
    async claim(): Promise<Claim> {
      const lease = leases.of(row)
      while (!(await lease.take())) if (await lease.outwait()) break
      lease.maySend(1_000)
      return { lease, held: (await vault.read<Grant>(row))! }
    },
  }
}

const change = (claim: Claim, refreshToken: string) => ({
  claim,
  spent: 'rt-0',
  apply: (now: Grant) => ({ ...now, refreshToken }),
})
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('a write after the server has acted', () => {
  it('does not bring a deleted or a disconnected grant back (V08)', async () => {
    const a = machine()
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    await a.reset({ state: 'needs_consent', reason: 'disconnected' })
    expect(await a.writer.write(target, change(claim, 'rt-1'))).toMatchObject({
      superseded: true,
      now: { reason: 'disconnected' },
    })
    expect(await a.read()).not.toHaveProperty('refreshToken')
    expect(a.atRisk).toEqual([])
  })

  it('goes over a consent that kept the refresh token, and gives way to one that brought another', async () => {
    const a = machine()
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    await a.reset({ refreshToken: 'rt-0', order: 5 })
    expect(await a.writer.write(target, change(claim, 'rt-1'))).toMatchObject({ superseded: false })
    expect(await a.read()).toMatchObject({ refreshToken: 'rt-1', order: 5 })
    const next = {
      ...change(await { ...claim, held: (await a.vault.read<Grant>(row))! }, 'rt-2'),
      spent: 'rt-1',
    }
    await a.reset({ refreshToken: 'rt-new', order: 9 })
    expect(await a.writer.write(target, next)).toMatchObject({ superseded: true })
    expect(a.atRisk).toEqual([])
  })

  it('of a process that was stopped waits for who took the row over, and gives way to what that one wrote (O30)', async () => {
    const [a, b] = [machine(), machine()]
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    vi.clearAllTimers()
    await pass(60_000)
    const taking = b.claim()
    await pass(10_000)
    const theirs = await taking
    const late = a.writer.write(target, change(claim, 'rt-1'))
    await pass(3_000)
    expect(await b.writer.write(target, change(theirs, 'rt-2'))).toMatchObject({
      superseded: false,
    })
    await theirs.lease.release()
    await pass(10_000)
    expect(await late).toMatchObject({ superseded: true })
    expect((await a.read())?.refreshToken).toBe('rt-2')
    expect(a.atRisk).toEqual(['superseded'])
  })

  it('of a process that was stopped is made when the one that took the row over got nothing', async () => {
    const [a, b] = [machine(), machine()]
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    vi.clearAllTimers()
    await pass(60_000)
    const taking = b.claim()
    await pass(10_000)
    const theirs = await taking
    const late = a.writer.write(target, change(claim, 'rt-1'))
    await pass(3_000)
    await theirs.lease.release()
    await pass(10_000)
    expect(await late).toMatchObject({ superseded: false })
    expect((await a.read())?.refreshToken).toBe('rt-1')
  })

  it('whose answer was lost counts as made', async () => {
    const a = machine()
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    const put = store.put
    store.put = async (...args) => {
      store.put = put
      await put(...args)
      throw new Error('the answer was lost')
    }
    const wrote = a.writer.write(target, change(claim, 'rt-1'))
    await pass(1_000)
    expect(await wrote).toMatchObject({ superseded: false, grant: { refreshToken: 'rt-1' } })
    expect(a.atRisk).toEqual([])
  })
})

describe('a change that the store would not take', () => {
  /** A refresh whose write failed. */
  async function failed(options: Parameters<typeof machine>[0] = {}) {
    const a = machine(options)
    await a.reset({ refreshToken: 'rt-0' })
    const claim = await a.claim()
    store.failPut = () => true
    const wrote = a.writer.write(target, change(claim, 'rt-1')).catch((error: unknown) => error)
    await pass(3_000)
    expect(await wrote).toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' })
    return { ...a, claim }
  }

  it('is written by itself soon after the store is back, and the row is free then', async () => {
    const a = await failed()
    expect(a.writer.keeps(target, a.claim.lease)).toBe(true)
    store.failPut = undefined
    await pass(3_500) // the longest pause between two tries is 3 seconds
    expect((await a.read())?.refreshToken).toBe('rt-1')
    expect([a.settled(), a.writer.keeps(target, a.claim.lease)]).toEqual([1, false])
    const next = machine().claim()
    await pass(500)
    expect((await next).held.value.refreshToken).toBe('rt-1')
  })

  it('keeps the row from others, also when the store was away for longer than the lease', async () => {
    const a = await failed()
    await pass(20_000)
    store.failPut = undefined
    const next = machine().claim()
    await pass(10_000)
    expect((await next).held.value.refreshToken).toBe('rt-1')
    expect(a.atRisk).toEqual([])
  })

  it('is tried less and less often, and by one run at a time', async () => {
    const works: Promise<unknown>[] = []
    const a = await failed({ waitUntil: (work) => void works.push(work) })
    const from = store.puts
    await pass(30_000)
    const again = a.writer.catchUp(target).catch((error: unknown) => error)
    await pass(30_000)
    expect(await again).toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' })
    expect(store.puts - from).toBeLessThan(100)
    expect(works).toHaveLength(1)
    store.failPut = undefined
    await pass(5_000)
    expect(await works[0]).toBeUndefined()
  })

  it('is written by another request where the one that was writing it has ended', async () => {
    const a = await failed()
    store.failPut = undefined
    let held!: () => void
    const put = store.put.bind(store)
    store.put = (...args) =>
      new Promise((resolve) => {
        held = () => resolve(put(...args))
      })
    void a.writer.catchUp(target)
    await pass(0)
    expect(held).toBeTypeOf('function')
    vi.clearAllTimers() // the request has ended
    store.put = put
    const next = a.writer.catchUp(target)
    await pass(30_000)
    await next
    expect((await a.read())?.refreshToken).toBe('rt-1')
    expect(a.atRisk).toEqual([])
  })

  it('is written by close()', async () => {
    const a = await failed()
    store.failPut = undefined
    expect(await a.writer.close()).toEqual([])
    expect((await a.read())?.refreshToken).toBe('rt-1')
  })

  it('is named by close() where it cannot be written, and told', async () => {
    const a = await failed()
    const closed = a.writer.close()
    await pass(15_000)
    expect(await closed).toEqual([target])
    expect(a.atRisk).toEqual(['not_written'])
    const from = store.puts
    await pass(60_000)
    expect(store.puts - from).toBeLessThan(15)
  })
})
