import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { localKeys } from '../vault/key-ring.js'
import { memoryStore } from '../vault/memory-store.js'
import type { RowKey } from '../vault/row-key.js'
import type { VaultStore } from '../vault/store.js'
import { tokenVault } from '../vault/token-vault.js'
import type { LeaseRow } from './lease-watch.js'
import { leaseTiming, type RowLease, RowLeases } from './row-lease.js'

const row: RowKey = { kind: 'grant', owner: ['x'] }
const { leaseMs, skewMs } = leaseTiming
const MINUTE_MS = 60_000

let store: VaultStore
let steps: string[]
/** Real time of the machines; timers of both follow it. */
let nowMs: number

/** A process with two clocks of its own: the wall clock differs, the monotonic one starts anywhere. */
function machine(options: { readonly aheadMs?: number; readonly store?: VaultStore } = {}) {
  const { aheadMs = 0 } = options
  const wall = fakeClock(1_800_000_000_000 + aheadMs)
  const monotonic = () => 77_000 + nowMs
  const clock = () => wall() + nowMs
  const vault = tokenVault({
    store: options.store ?? store,
    keys: localKeys(new Uint8Array(32).fill(1)),
  })
  const leases = new RowLeases(vault, { ...leaseTiming, monotonic }, clock)
  return { lease: () => leases.of(row), wall, vault }
}

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    nowMs += Math.min(50, left)
    await vi.advanceTimersByTimeAsync(Math.min(50, left))
  }
}

/** Starts `work` and lets time pass until it has settled. */
async function passing<T>(
  work: Promise<T>,
  mostMs = 60_000,
): Promise<{ value: T; tookMs: number }> {
  const fromMs = nowMs
  let done = false
  const end = work.finally(() => {
    done = true
  })
  end.catch(() => {})
  while (!done && nowMs - fromMs < mostMs) await pass(50)
  if (!done) throw new Error(`not settled in ${mostMs} ms`)
  return { value: await end, tookMs: nowMs - fromMs }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  nowMs = 0
  steps = []
  const inner = memoryStore()
  store = {
    ...inner,
    get(id) {
      steps.push('get')
      return inner.get(id)
    },
    put(id, value, options) {
      steps.push('put')
      return inner.put(id, value, options)
    },
  }
})
afterEach(() => void vi.useRealTimers())

/** A holder that is gone: its timers never run. */
async function dead(options: Parameters<typeof machine>[0] = {}) {
  const lease = machine(options).lease()
  expect(await lease.take()).toBe(true)
  vi.clearAllTimers()
  return lease
}

describe('a lease', () => {
  it('is taken by one, in one write, and by the next once it was given back (O28, O30)', async () => {
    const machines = [machine(), machine()]
    for (const { vault } of machines) await vault.address(row) // the index key of the vault
    steps = []
    const [a, b] = machines.map((one) => one.lease()) as [RowLease, RowLease]
    expect(await a.take()).toBe(true)
    expect(steps).toEqual(['put'])
    expect(await b.take()).toBe(false)
    expect([a.isLive(), b.isLive()]).toEqual([true, false])
    await a.release()
    expect(a.isLive()).toBe(false)
    expect(await b.take()).toBe(true)
    expect(steps).toEqual(['put', 'put', 'put', 'put'])
  })

  it('is renewed for as long as it is held, so nobody else gets it', async () => {
    const a = machine().lease()
    await a.take()
    a.maySend(1_000)
    const b = machine().lease()
    let took = false
    void b.outwait().then(() => {
      took = true
    })
    await pass(40_000)
    expect([took, a.isLive()]).toEqual([false, true])
    await a.release()
  })

  it('is not renewed for ever', async () => {
    const a = machine().lease()
    await a.take()
    const { tookMs } = await passing(machine().lease().outwait(), 3 * MINUTE_MS)
    expect(tookMs).toBeGreaterThan(MINUTE_MS)
    expect(a.isLive()).toBe(false)
  })

  it.each([0, MINUTE_MS, -MINUTE_MS, 24 * 60 * MINUTE_MS])(
    'of a holder that died is taken over after its length, whatever the wall clock says: %d ms',
    async (aheadMs) => {
      await dead()
      const b = machine({ aheadMs }).lease()
      const { value, tookMs } = await passing(b.outwait())
      expect([value, b.tookOver]).toEqual([true, true])
      expect(tookMs).toBeGreaterThanOrEqual(leaseMs + skewMs)
      expect(tookMs).toBeLessThan(8_000)
    },
  )

  it('is watched by one process as long as by another: what both saw at once counts once', async () => {
    await dead()
    const results = [machine().lease(), machine().lease(), machine().lease()].map((one) =>
      one.outwait().then(() => nowMs),
    )
    const first = await passing(Promise.race(results))
    expect(first.tookMs).toBeGreaterThanOrEqual(leaseMs + skewMs)
  })

  it('is taken over by processes that live for two seconds, one after the other', async () => {
    await dead()
    let lives = 0
    for (let took = false; !took; lives++) {
      expect(lives).toBeLessThan(15)
      void machine()
        .lease()
        .outwait()
        .then((is) => {
          took = is
        })
      await pass(2_000)
      if (!took) vi.clearAllTimers() // it was killed
    }
    expect(nowMs).toBeGreaterThanOrEqual(leaseMs + skewMs)
  })

  it('keeps one whole request before its end free for the request', async () => {
    const a = await dead()
    expect(a.maySend(1_000)).toBe(true)
    nowMs += leaseMs - 1_000
    expect([a.isLive(), a.maySend(1_000)]).toEqual([true, false])
  })

  it('of a machine that slept has ended: its monotonic clock stood still, the wall clock went on', async () => {
    const one = machine()
    const a = one.lease()
    await a.take()
    one.wall.advance(5 * MINUTE_MS)
    expect([a.isLive(), a.maySend(1_000)]).toEqual([false, false])
    // It is not renewed after that either: nobody has sent a request under it.
    await pass(10_000)
    expect([a.isLive(), a.maySend(1_000)]).toEqual([false, false])
  })

  it('has ended once the wall clock was set back: any time may have passed', async () => {
    const one = machine()
    const a = one.lease()
    await a.take()
    one.wall.advance(-2_000)
    expect(a.isLive()).toBe(false)
  })

  it('is held on to while a request is under way, however late the renewal is', async () => {
    const one = machine()
    const a = one.lease()
    await a.take()
    expect(a.maySend(1_000)).toBe(true)
    one.wall.advance(MINUTE_MS)
    expect(a.isLive()).toBe(false)
    await pass(2_000)
    expect(a.isLive()).toBe(true)
  })

  it('that another took over is neither renewed nor given back', async () => {
    const one = machine()
    const a = one.lease()
    await a.take()
    vi.clearAllTimers()
    const b = machine().lease()
    await passing(b.outwait())
    await a.release()
    expect(b.isLive()).toBe(true)
    expect(await machine().lease().take()).toBe(false)
  })

  it('knows itself where a process that waits has noted what it saw', async () => {
    const one = machine()
    const a = one.lease()
    await a.take()
    const key: RowKey = { kind: 'lease', owner: row.owner }
    const held = (await one.vault.read<LeaseRow>(key))!
    await one.vault.write(key, { ...held.value, unchangedMs: 900 }, { replaces: held.version })
    await pass(2_000)
    expect((await one.vault.read<LeaseRow>(key))?.value).toMatchObject({ unchangedMs: 0 })
    await a.release()
    expect(await machine().lease().take()).toBe(true)
  })

  it('is regained by its holder to write, and from another only once that one is done', async () => {
    const a = await dead()
    nowMs += MINUTE_MS
    await passing(a.regain())
    expect(a.isLive()).toBe(true)
    vi.clearAllTimers()
    const b = machine().lease()
    await passing(b.outwait())
    const regained = passing(a.regain(), 10 * MINUTE_MS)
    await pass(3_000)
    expect(a.isLive()).toBe(false)
    await b.release()
    await regained
    expect(a.isLive()).toBe(true)
  })

  it('is taken at once where the store keeps the rows that it may drop', async () => {
    const rows = new Map<string, Awaited<ReturnType<VaultStore['get']>>>()
    const keeping: VaultStore = {
      ...memoryStore(),
      get: async (id) => rows.get(id),
      put: async (id, value, { replaces } = {}) => {
        if (replaces !== undefined && (rows.get(id)?.version ?? 0) !== replaces) return false
        rows.set(id, value)
        return true
      },
    }
    const one = machine({ store: keeping })
    const first = one.lease()
    await first.take()
    await first.release()
    const second = one.lease()
    if (!(await second.take())) expect((await passing(second.outwait())).value).toBe(true)
    await second.release()
    expect(await one.lease().take()).toBe(true)
  })

  it('whose taking got no answer is given back all the same', async () => {
    let fail = true
    const lossy: VaultStore = {
      ...store,
      async put(id, value, options) {
        const wrote = await store.put(id, value, options)
        if (!fail) return wrote
        fail = false
        throw new Error('the answer was lost')
      },
    }
    const a = machine({ store: lossy }).lease()
    await expect(a.take()).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' })
    await a.release()
    await pass(50)
    expect(await machine().lease().take()).toBe(true)
  })
})
