import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { randomId } from '../bytes.js'
import { tokenVault } from '../vault/token-vault.js'
import {
  type ConsentPhase,
  type ConsentSession,
  ConsentSessions,
  parseSessionUri,
  sessionIdOf,
  sessionUri,
} from './consent-session.js'

const clock = fakeClock()

async function started(phase: ConsentPhase = 'pending', extra: Partial<ConsentSession> = {}) {
  const sessions = new ConsentSessions(tokenVault(), clock)
  const id = await sessionIdOf(randomId())
  const session: ConsentSession = {
    id,
    workload: { name: 'agent' },
    user: { issuer: 'https://people.example', subject: 'ada' },
    userKnown: 'asserted',
    provider: 'calendar',
    issuer: 'https://a.example',
    clientId: 'c',
    scopes: [],
    codeVerifier: 'v',
    redirectUri: 'https://app.example/cb/calendar',
    authorizationUrl: 'https://a.example/authorize',
    expiresAtMs: clock() + 600_000,
    phase,
    ...extra,
  }
  await sessions.create(session)
  return { sessions, session, id }
}

describe('a session URI', () => {
  it('does not give the state away, and reads back', async () => {
    const state = randomId()
    const id = await sessionIdOf(state)
    expect(sessionUri(id)).not.toContain(state)
    expect(parseSessionUri(sessionUri(id))).toBe(id)
  })

  it.each([
    undefined,
    null,
    7,
    '',
    'urn:deputize:consent-session:',
    'urn:deputize:consent-session:abc',
  ])('is not %j (O52)', (uri) => {
    expect(parseSessionUri(uri)).toBeUndefined()
  })
})

describe('a consent session', () => {
  it('moves on for one of many (O53)', async () => {
    const { sessions, id } = await started()
    const held = (await sessions.find(id))!
    const moved = await Promise.all(
      Array.from({ length: 20 }, () => sessions.move(held, { phase: 'exchanging' })),
    )
    expect(moved.filter(Boolean)).toHaveLength(1)
  })

  it.each([
    ['pending', 599_999, 'pending'],
    ['pending', 600_000, 'expired'],
    ['exchanging', 600_000, 'exchanging'],
    ['exchanging', 660_000, 'expired'],
    ['done', 999_999, 'done'],
    ['denied', 999_999, 'denied'],
  ] as const)('that is %s reads after %i ms as %s (O53)', async (phase, afterMs, expected) => {
    const { sessions, id } = await started(phase, { expiresAtMs: clock() + 600_000 })
    clock.advance(afterMs)
    expect((await sessions.find(id))?.value.phase).toBe(expected)
  })

  it('drops the code with every move, and when its minute is over (O53)', async () => {
    const held = { code: 'code=c', codeHeldUntilMs: clock() + 60_000 }
    const { sessions, id } = await started('code-held', held)
    const found = (await sessions.find(id))!
    expect(found.value.code).toBe('code=c')
    clock.advance(60_000)
    expect((await sessions.find(id))?.value).toMatchObject({ phase: 'expired', code: undefined })
    expect((await sessions.move(found, { phase: 'failed' }))?.value.code).toBeUndefined()
  })

  it('is made once', async () => {
    const { sessions, session } = await started()
    expect(await sessions.create(session)).toBe(false)
  })
})
