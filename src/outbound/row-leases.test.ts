import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { AuthorizationServer } from '../oauth/server.js'
import { tokenVault } from '../vault/token-vault.js'
import { emptyGrant, type Grant } from './grant.js'
import { GrantWriter } from './grant-writer.js'
import { RowLeases } from './row-leases.js'
import { defaultTiming } from './timing.js'

const HOUR_MS = 3_600_000
const row = { kind: 'grant', owner: ['x'] } as const
const vault = tokenVault()

function machine(clock = fakeClock()) {
  const monotonic = fakeClock(0)
  const server = new AuthorizationServer({
    name: 'api',
    issuer: 'https://a.example',
    clientId: 'c',
    clientAuth: 'none',
    timeoutMs: 1_000,
    clock,
  })
  const timing = { ...defaultTiming, monotonic, pollMs: 1 }
  const leases = new RowLeases(vault, clock, timing)
  return {
    clock,
    monotonic,
    target: { name: 'api', row, server },
    leases,
    writer: new GrantWriter(vault, leases, timing),
  }
}

const read = () => vault.read<Grant>(row)
async function reset(grant: Partial<Grant> = {}) {
  const held = await read()
  await vault.write(row, { ...emptyGrant, ...grant }, { replaces: held?.version ?? 0 })
}

describe('a lease', () => {
  it('is another’s until it ends; nobody else gets the row (O28, O30)', async () => {
    await reset()
    const [a, b] = [machine(), machine()]
    const before = await read()
    expect(await a.leases.claim(a.target, before)).toBeDefined()
    expect(await b.leases.claim(b.target, before)).toBeUndefined()
    expect(a.leases.heldElsewhere(a.target, await read())).toBe(false)
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
    b.clock.advance(9_000 + defaultTiming.skewMs - 1)
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
    b.clock.advance(1)
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(false)
  })

  it('of a machine whose clock is hours ahead ends once it was seen for long enough (P10)', async () => {
    await reset()
    const a = machine(fakeClock(1_800_000_000_000 + 10 * HOUR_MS))
    const b = machine()
    await a.leases.claim(a.target, await read())
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
    b.monotonic.advance(9_000 + defaultTiming.skewMs)
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(false)
  })

  it('of another writer starts a new wait', async () => {
    await reset()
    const a = machine(fakeClock(1_800_000_000_000 + HOUR_MS))
    const b = machine()
    await a.leases.claim(a.target, await read())
    b.leases.heldElsewhere(b.target, await read())
    b.monotonic.advance(13_000)
    await a.leases.claim(a.target, await read())
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
    b.monotonic.advance(13_000)
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
  })

  it('of a machine a few seconds behind is not taken early (P10)', async () => {
    await reset()
    const [a, b] = [machine(), machine(fakeClock(1_800_000_000_000 + 12_000))]
    await a.leases.claim(a.target, await read())
    expect(b.leases.heldElsewhere(b.target, await read())).toBe(true)
  })

  it('knows its own end by a clock that nobody sets (P10)', async () => {
    await reset()
    const a = machine()
    const claim = (await a.leases.claim(a.target, await read()))!
    a.clock.advance(10 * HOUR_MS)
    expect(claim.isLive()).toBe(true)
    a.monotonic.advance(9_000)
    expect(claim.isLive()).toBe(false)
  })
})

describe('a write after the server has acted', () => {
  const change = (claimed: { value: Grant; version: number }, refreshToken: string) => ({
    claimed,
    spent: 'rt-0',
    apply: ({ lease: _, ...now }: Grant) => ({ ...now, refreshToken }),
  })

  it('does not bring a deleted or a disconnected grant back (V08)', async () => {
    const a = machine()
    await reset({ refreshToken: 'rt-0' })
    const claim = (await a.leases.claim(a.target, await read()))!
    await reset({ state: 'needs_consent', reason: 'disconnected' })
    expect(await a.writer.write(a.target, change(claim.held, 'rt-1'))).toMatchObject({
      superseded: true,
      now: { reason: 'disconnected' },
    })
    expect((await read())?.value).not.toHaveProperty('refreshToken')
  })

  it('waits for who took the row over, and does not write over what that one wrote (O30)', async () => {
    const [a, b] = [machine(), machine()]
    await reset({ refreshToken: 'rt-0' })
    const claim = (await a.leases.claim(a.target, await read()))!
    b.clock.advance(60_000)
    const theirs = (await b.leases.claim(b.target, await read()))!
    const late = a.writer.write(a.target, change(claim.held, 'rt-1'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await b.writer.write(b.target, change(theirs.held, 'rt-2'))).toMatchObject({
      superseded: false,
    })
    expect(await late).toMatchObject({ superseded: true })
    expect((await read())?.value.refreshToken).toBe('rt-2')
  })

  it('writes what it has when the one that took the row over has given it back', async () => {
    const [a, b] = [machine(), machine()]
    await reset({ refreshToken: 'rt-0' })
    const claim = (await a.leases.claim(a.target, await read()))!
    b.clock.advance(60_000)
    await b.leases.claim(b.target, await read())
    const late = a.writer.write(a.target, change(claim.held, 'rt-1'))
    await reset({ refreshToken: 'rt-0' })
    expect(await late).toMatchObject({ superseded: false })
    expect((await read())?.value.refreshToken).toBe('rt-1')
  })
})
