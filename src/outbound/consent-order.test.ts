import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { consentKit, type StoreFault } from '../../test/support/consent-kit.js'
import { HOUR_MS } from '../clock.js'
import type { RowKey } from '../vault/row-key.js'
import type { Grant } from './grant.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** Lets time pass until it is settled. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  let open = true
  const done = () => {
    open = false
  }
  promise.then(done, done)
  for (let turns = 0; open && turns < 2_000; turns++) await vi.advanceTimersByTimeAsync(50)
  return promise
}

/** Holds the answer to one code back. */
function gate(code: string) {
  let open!: () => void
  let reached!: () => void
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const waiting = new Promise<void>((resolve) => {
    reached = resolve
  })
  return {
    open,
    waiting,
    onRequest: async (form: URLSearchParams) => {
      if (form.get('code') !== code) return
      reached()
      await opened
    },
  }
}

/** Puts fail from the n-th on, counted from when it is armed. */
function failingFrom() {
  let left = Number.POSITIVE_INFINITY
  return {
    arm: (puts: number) => {
      left = puts
    },
    heal: () => {
      left = Number.POSITIVE_INFINITY
    },
    fault: (operation: 'get' | 'put'): StoreFault =>
      operation === 'put' && --left < 0 ? 'before' : undefined,
  }
}

describe('of two consents', () => {
  it('the one with the higher number stays, though the other waited in memory and comes later', async () => {
    const kit = consentKit()
    const failing = failingFrom()
    const [a, b] = [kit.process(failing.fault), kit.process()]
    const older = await a.begin(['read'])
    const newer = await b.begin(['read', 'write'])
    failing.arm(2) // the number and the session are written, the grant is not
    expect((await settled(a.back(older, 'older'))).status).toBe(503)
    expect((await b.back(newer, 'newer')).status).toBe(200)
    failing.heal()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await b.token(['read', 'write'])).toMatch(/^at\.newer/)
    expect(await a.credentials.authorizationStatus(a.acting, older.sessionUri)).toBe('failed')
    expect(a.audit.at(-1)).toMatchObject({
      type: 'consent_refused',
      reason: 'superseded by a newer consent',
      tokens: 'dropped',
    })
    expect(kit.revoked).toEqual([])
  })

  it.each(['token', 'grant'] as const)(
    'the token that is dropped is given back only where one can be revoked alone: %s',
    async (revocation) => {
      const kit = consentKit({ revocation })
      const { begin, back, audit } = kit.process()
      await back(await begin(), 'first')
      await back(await begin(), 'second')
      expect(kit.revoked).toEqual(revocation === 'token' ? ['rt.first.1'] : [])
      expect(audit.at(-1)).toMatchObject({
        type: 'consent_completed',
        tokens: revocation === 'token' ? 'revoked' : 'dropped',
      })
    },
  )

  it('the number comes from no clock', async () => {
    const kit = consentKit()
    const held = gate('older')
    const slow = consentKit({ store: kit.store, onRequest: held.onRequest })
    const a = slow.process()
    const b = kit.process()
    const [older, newer] = [await a.begin(['read']), await b.begin(['read', 'x'])]
    slow.aheadMs = 5 * 60_000 // the older one is newer by its own clock
    const late = a.back(older, 'older')
    await held.waiting
    await b.back(newer, 'newer')
    held.open()
    expect((await settled(late)).status).toBe(502)
    expect(await b.token()).toMatch(/^at\.newer/)
  })
})

describe('a write whose reply was lost', () => {
  it('of a consent does not put a token back that was renewed since', async () => {
    const kit = consentKit()
    let puts = Number.NEGATIVE_INFINITY
    let down = false
    const a = kit.process((operation) => {
      if (down) return 'before'
      if (operation !== 'put' || ++puts !== 4) return undefined
      down = true // of the grant: number, session, list, grant
      return 'after'
    })
    const b = kit.process()
    const link = await a.begin()
    puts = 0
    expect((await settled(a.back(link, 'ada'))).status).toBe(503)
    kit.aheadMs = 2 * HOUR_MS
    const renewed = await settled(b.token())
    expect(renewed).toBe('at.ada.2')
    kit.aheadMs = 0
    down = false
    await vi.advanceTimersByTimeAsync(60_000)
    expect(kit.exchanged).toEqual(['ada', 'rt.ada.1'])
    kit.aheadMs = 4 * HOUR_MS
    expect(await settled(b.token())).toBe('at.ada.3')
    expect(kit.exchanged.at(-1)).toBe('rt.ada.2')
  })

  it.each([1, 2, 3, 4, 5])('spends no consent, whichever of its writes it is (%i)', async (n) => {
    const kit = consentKit()
    let puts = Number.NEGATIVE_INFINITY
    const a = kit.process((operation) =>
      operation === 'put' && ++puts === n ? 'after' : undefined,
    )
    const link = await a.begin()
    puts = 0
    expect((await settled(a.back(link, 'ada'))).status).toBe(200)
    expect(await a.token()).toBe('at.ada.1')
    expect(kit.exchanged).toEqual(['ada'])
    expect(a.audit.filter((one) => one.type === 'consent_completed')).toHaveLength(1)
  })
})

describe('a disconnect', () => {
  it('is obeyed by a consent in the memory of another process, whose tokens are given back', async () => {
    const kit = consentKit()
    const failing = failingFrom()
    const [a, b] = [kit.process(failing.fault), kit.process()]
    const link = await a.begin()
    failing.arm(2)
    await settled(a.back(link, 'zombie'))
    kit.aheadMs = 12 * 60_000
    expect(await b.disconnect()).toMatchObject({ removed: false })
    failing.heal()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await b.labels()).toEqual([])
    expect(await b.token()).toBe('consent')
    expect(kit.revoked).toEqual(['rt.zombie.1'])
  })

  it.each([
    ['that is connected already', true, undefined],
    ['that is not connected yet', false, undefined],
    ['that is named, and not connected yet', false, 'work'],
  ])('ends the exchange under way of an account %s', async (_, connected, account) => {
    const held = gate('slow')
    const kit = consentKit({ onRequest: held.onRequest })
    const a = kit.process()
    if (connected) await a.back(await a.begin(), 'first')
    const link = await a.begin(['read', 'more'], account)
    kit.aheadMs = 9 * 60_000 + 59_000
    const late = a.back(link, 'slow')
    await held.waiting
    kit.aheadMs += 2_000 // it is no longer among those that are pending
    await a.disconnect(account)
    held.open()
    expect((await settled(late)).status).toBe(410)
    expect(await a.labels()).toEqual([])
    expect(await a.token(['read'], account)).toBe('consent')
    expect(kit.revoked).toContain(`rt.slow.${connected ? 2 : 1}`)
  })

  it('leaves what was consented to after it', async () => {
    const kit = consentKit()
    const { begin, back, disconnect, token, labels } = kit.process()
    await back(await begin(), 'first')
    await disconnect()
    await back(await begin(), 'second')
    expect(await token()).toMatch(/^at\.second/)
    expect(await labels()).toEqual(['default'])
  })

  it('writes its number where nothing is connected, and a consent in memory is given up long before that ends', async () => {
    const kit = consentKit()
    const failing = failingFrom()
    const [a, b] = [kit.process(failing.fault), kit.process()]
    const link = await a.begin(['read'], 'work')
    failing.arm(2)
    await settled(a.back(link, 'zombie'))
    await b.disconnect('work')
    const rows = (await kit.store.scan()).ids.map((id) => kit.store.get(id))
    const ends = (await Promise.all(rows)).map((row) => row?.keepUntilMs ?? 0)
    expect(Math.max(...ends)).toBeGreaterThan(Date.now() + 23 * HOUR_MS)
    kit.aheadMs = HOUR_MS
    for (const id of (await kit.store.scan()).ids) await kit.store.delete(id) // as a store may that lost all
    failing.heal()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(await b.token(['read'], 'work')).toBe('consent')
  })

  it('does not end what is pending elsewhere', async () => {
    const { begin, disconnect, credentials, acting } = consentKit().process()
    const [work, home] = [await begin(['read'], 'work'), await begin(['read'], 'home')]
    await disconnect('work')
    expect(await credentials.authorizationStatus(acting, work.sessionUri)).toBe('expired')
    expect(await credentials.authorizationStatus(acting, home.sessionUri)).toBe('pending')
  })
})

describe('a row that is corrupt', () => {
  async function spoiled(kind: RowKey['kind']) {
    const kit = consentKit()
    const a = kit.process()
    const keys: RowKey[] = []
    const write = a.vault.write.bind(a.vault)
    a.vault.write = (key, ...rest) => {
      keys.push(key)
      return write(key, ...rest)
    }
    await a.back(await a.begin(), 'first')
    const key = keys.find((one) => one.kind === kind)!
    const version = (await a.vault.read(key))!.version
    for (const id of (await kit.store.scan()).ids) {
      const row = (await kit.store.get(id))!
      if (row.version !== version) continue
      row.sealed[row.sealed.length - 1]! ^= 1
      await kit.store.put(id, row)
    }
    expect(await a.token()).toBe('ERR_VAULT_CORRUPT')
    return { kit, a }
  }

  it.each(['grant', 'connections'] as const)('(%s) is replaced by a new consent', async (kind) => {
    const { a } = await spoiled(kind)
    expect((await a.back(await a.begin(), 'second')).status).toBe(200)
    expect(await a.token()).toMatch(/^at\.second/)
    expect(a.audit).toContainEqual(
      expect.objectContaining({ type: 'corrupt_row_replaced', row: kind }),
    )
  })

  it('is shown, and removed by a disconnect, which has no token to revoke', async () => {
    const { a } = await spoiled('grant')
    expect(await a.credentials.connections(a.acting)).toMatchObject([
      { account: 'default', state: 'needs_consent', reason: 'corrupt_row' },
    ])
    expect(await a.disconnect()).toEqual({ removed: true, revoked: false, reason: 'corrupt_row' })
    expect(await a.labels()).toEqual([])
    expect(await a.token()).toBe('consent')
  })
})

it('one account is one connection, whatever label it is asked for by', async () => {
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  let nonce: string | null = null
  const kit = consentKit({
    extra: () => {
      const nowS = Math.floor(Date.now() / 1000)
      const claims = { iss: 'https://as.example', aud: 'agent', iat: nowS, exp: nowS + 60, nonce }
      const id = { ...claims, sub: 's-1', email: 'ada@mail.example' }
      return { id_token: `${b64({ alg: 'RS256' })}.${b64(id)}.c2ln` }
    },
  })
  const { begin, back, labels, token, disconnect } = kit.process()
  const connect = async (code: string, account?: string) => {
    const link = await begin(['openid', 'read'], account)
    nonce = new URL(link.authorizationUrl).searchParams.get('nonce')
    return (await back(link, code)).status
  }
  expect(await connect('first')).toBe(200)
  expect(await connect('second', 'work')).toBe(200)
  expect(await labels()).toEqual(['ada@mail.example'])
  for (const label of [undefined, 'work', 'ada@mail.example']) {
    expect(await token(['read'], label)).toMatch(/^at\.second/)
  }
  expect(await disconnect('work')).toMatchObject({ removed: true })
  expect(await labels()).toEqual([])
  expect(await token(['read'], 'work')).toBe('consent')
})

it('ends where the highest number is, in any order of steps, with lost writes and two processes', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  const step = fc.record({
    what: fc.constantFrom('begin', 'back', 'disconnect', 'token', 'time'),
    who: fc.nat(1),
    which: fc.nat(5),
    wait: fc.boolean(),
  })
  const plan = fc.record({
    steps: fc.array(step, { minLength: 4, maxLength: 14 }),
    faults: fc.array(fc.constantFrom<StoreFault>('before', 'after', undefined, undefined), {
      maxLength: 60,
    }),
    endsWithDisconnect: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(plan, async ({ steps, faults, endsWithDisconnect }) => {
      const kit = consentKit()
      let at = 0
      const fault = () => faults[at++]
      const processes = [kit.process(fault), kit.process(fault)]
      const written: Grant[] = []
      for (const { vault } of processes) {
        const write = vault.write.bind(vault)
        vault.write = async (key, value, options) => {
          const version = await write(key, value, options)
          if (version !== undefined && key.kind === 'grant') written.push(value as Grant)
          return version
        }
      }
      const links: { readonly authorizationUrl: string }[] = []
      const running: Promise<unknown>[] = []
      for (const [n, { what, who, which, wait }] of steps.entries()) {
        const process = processes[who]!
        const task = (async () => {
          if (what === 'begin') links.push(await process.begin([`s${which}`, 'read']))
          if (what === 'back' && links.length > 0) {
            await process.back(links[which % links.length]!, `c${n}`)
          }
          if (what === 'disconnect') await process.disconnect()
          if (what === 'token') await process.token()
          if (what === 'time') kit.aheadMs += HOUR_MS / 4
        })().catch(() => {})
        running.push(wait ? settled(task) : task)
        if (wait) await running.at(-1)
      }
      faults.length = 0
      const last = endsWithDisconnect
        ? processes[0]!.disconnect().catch(() => undefined)
        : undefined
      await settled(Promise.all([...running, last]))
      await vi.advanceTimersByTimeAsync(120_000) // what is in memory is written
      const order = written.map((grant) => grant.order ?? 0)
      expect(order).toEqual([...order].sort((one, other) => one - other))
      if (!endsWithDisconnect) return
      expect(await settled(processes[1]!.token())).toBe('consent')
      expect(await processes[1]!.labels()).toEqual([])
    }),
    { seed, numRuns: 60 },
  )
}, 60_000)
