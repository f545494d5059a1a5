import { describe, expect, it } from 'vitest'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { NetworkError, OAuthRefusedError } from '../errors/outbound.js'
import { ServerHealth } from './server-health.js'

const away = new OAuthRefusedError({ provider: 'p', oauthError: 'server_error', status: 503 })
const no = new OAuthRefusedError({ provider: 'p', oauthError: 'invalid_client', status: 401 })

function health(random = 0.999) {
  const clock = fakeClock(0)
  const one = new ServerHealth('p', { monotonic: clock, random: () => random })
  let asked = 0
  const ask = (error?: unknown, row = 'row') =>
    codeOf(
      one.run(async () => {
        asked++
        if (error) throw error
      }, row),
    )
  return { one, clock, ask, asked: () => asked }
}

async function opened(error: unknown = away) {
  const it = health()
  for (let n = 0; n < 5; n++) await it.ask(error)
  return it
}

describe('the health of a server', () => {
  it('opens after five failures in a row; callers are told at once when to come back (D05)', async () => {
    const { ask, asked } = await opened()
    expect(await ask()).toBe('ERR_SERVER_UNAVAILABLE')
    expect(asked()).toBe(5)
  })

  it('stays closed while a success, or a no, comes in between', async () => {
    const { ask, asked } = health()
    for (let n = 0; n < 20; n++) await ask(n % 4 === 3 ? (n % 8 === 3 ? no : undefined) : away)
    expect(asked()).toBe(20)
  })

  it('says how long to wait, and that it is worth while', async () => {
    const { one } = await opened()
    const error = await one.run(async () => {}, 'row').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ retryable: true, reason: 'server_error', retryAfterMs: 500 })
  })

  it('lets one request through after a rest, and closes when it is answered (D05)', async () => {
    const { one, clock, ask, asked } = await opened()
    clock.advance(500)
    let answer!: () => void
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const probe = one.run(() => answered, 'row')
    expect(await ask()).toBe('ERR_SERVER_UNAVAILABLE')
    answer()
    await probe
    expect(await ask()).toBeUndefined()
    expect(asked()).toBe(6)
  })

  it('asks at least every one and a half seconds, so that a recovery is noticed within two', async () => {
    const { clock, ask, asked } = await opened()
    let before = asked()
    let sinceMs = 0
    for (let ms = 0; ms < 60_000; ms += 10) {
      clock.advance(10)
      sinceMs += 10
      await ask(away)
      if (asked() === before) continue
      expect(sinceMs).toBeLessThanOrEqual(1_510)
      before = asked()
      sinceMs = 0
    }
    expect(asked()).toBeLessThan(60)
  })

  it('waits as long as the server said (P06)', async () => {
    const slow = new OAuthRefusedError({
      provider: 'p',
      oauthError: 'temporarily_unavailable',
      status: 503,
      retryAfterMs: 7_000,
    })
    const { clock, ask } = await opened(slow)
    clock.advance(6_999)
    expect(await ask()).toBe('ERR_SERVER_UNAVAILABLE')
    clock.advance(1)
    expect(await ask()).toBeUndefined()
  })

  it('counts silence as a failure, and a redirect as an answer', async () => {
    const network = (reason: 'timeout' | 'redirected') =>
      new NetworkError({ url: 'https://a.example', reason, detail: 'x' })
    expect(await (await opened(network('timeout'))).ask()).toBe('ERR_SERVER_UNAVAILABLE')
    expect(await (await opened(network('redirected'))).ask()).toBeUndefined()
  })

  it('has ten retries, and earns one in ten requests (D05)', async () => {
    const { one, ask } = health()
    const take = () => Array.from({ length: 100 }, () => one.takeRetry()).filter(Boolean).length
    expect(take()).toBe(10)
    for (let n = 0; n < 31; n++) await ask()
    expect(take()).toBe(3)
  })

  const limit = (retryAfterMs = 600_000) =>
    new OAuthRefusedError({ provider: 'p', oauthError: 'slow_down', status: 429, retryAfterMs })

  it('takes no notice of one row that was told to slow down, however often', async () => {
    const { ask, asked } = health()
    for (let n = 0; n < 20; n++) await ask(limit(), 'mallory')
    expect(await ask(undefined, 'ada')).toBeUndefined()
    expect(asked()).toBe(21)
  })

  it('opens when five rows were told to slow down, for half a minute at the most', async () => {
    const { ask, clock, one } = health()
    for (let n = 0; n < 5; n++) await ask(limit(), `row-${n}`)
    expect(await ask(undefined, 'ada')).toBe('ERR_SERVER_UNAVAILABLE')
    const error = await one.run(async () => {}, 'ada').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ retryAfterMs: 30_000 })
    clock.advance(30_000)
    expect(await ask(undefined, 'ada')).toBeUndefined()
  })

  it('counts rows that were told to slow down anew after a success', async () => {
    const { ask } = health()
    for (let n = 0; n < 4; n++) await ask(limit(), `row-${n}`)
    await ask(undefined, 'ada')
    for (let n = 0; n < 4; n++) await ask(limit(), `row-${n}`)
    expect(await ask(undefined, 'ada')).toBeUndefined()
  })

  it('rests again when the one request that goes through is told to slow down', async () => {
    const { ask, clock, asked } = health()
    for (let n = 0; n < 5; n++) await ask(limit(0), `row-${n}`)
    clock.advance(1_500)
    expect(await ask(limit(0), 'row-0')).toBe('ERR_OAUTH_REFUSED')
    expect(await ask(undefined, 'ada')).toBe('ERR_SERVER_UNAVAILABLE')
    expect(asked()).toBe(6)
  })
})
