import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type HostileServer,
  type Reply,
  replyJson,
  reset,
  resetMidway,
  startHostileServer,
} from '../../test/support/hostile-server.js'
import { codeOf, fakeClock, makeKey, signToken } from '../../test/support/issuer.js'
import { AuthorizationServer } from '../oauth/server.js'
import { tokenVault } from '../vault/token-vault.js'
import { emptyGrant, type Grant } from './grant.js'
import type { Wanted } from './plan.js'
import { RefreshEngine } from './refresh-engine.js'

let hostile: HostileServer
const sent: string[] = []
const revoked: string[] = []
beforeAll(async () => {
  hostile = await startHostileServer()
})
afterAll(() => hostile[Symbol.asyncDispose]())
beforeEach(() => {
  sent.length = 0
  revoked.length = 0
})

type Answer = readonly [body: unknown, status?: number, headers?: Record<string, string>] | Reply
const good = { access_token: 'a', token_type: 'bearer', expires_in: 3_600 }
/** The answers to come, the last of them for ever. */
const answers = (...list: Answer[]) =>
  hostile.routes.set('/token', (response, request) => {
    sent.push(request.form.get('refresh_token') ?? 'none')
    const answer = list.length > 1 ? list.shift()! : list[0]!
    const reply = typeof answer === 'function' ? answer : replyJson(...answer)
    reply(response, request)
  })

/** Two users' grants at one server, in one process. */
async function rig(grant: Partial<Grant> = {}) {
  const clock = fakeClock()
  const vault = tokenVault()
  const rowOf = (name: string) => ({ kind: 'grant', owner: [name] }) as const
  const rowOfAda = rowOf('ada')
  for (const name of ['ada', 'bob']) {
    const held = { ...emptyGrant, scopes: ['read'], requested: ['read'], refreshToken: `${name}-0` }
    await vault.write(rowOf(name), { ...held, ...grant }, { replaces: 0 })
  }
  const { issuer } = hostile
  hostile.routes.set('/revoke', (response, { form }) => {
    revoked.push(form.get('token') ?? '')
    response.writeHead(200).end()
  })
  const server = new AuthorizationServer({
    name: 'api',
    issuer,
    endpoints: { token: `${issuer}/token`, revocation: `${issuer}/revoke` },
    clientId: 'agent',
    clientAuth: 'none',
    allowInsecureLoopback: true,
    timeoutMs: 1_000,
    clock,
  })
  const engine = new RefreshEngine(vault, clock)
  return {
    clock,
    server,
    vault,
    rowOfAda,
    stored: async (name = 'ada') => (await vault.read<Grant>(rowOf(name)))!.value,
    obtain: (name = 'ada', extra: Partial<Wanted> = {}) =>
      engine.obtain(
        { name: 'api', row: rowOf(name), server },
        { flow: 'USER_FEDERATION', scopes: ['read'], defaultScopes: [], ...extra },
      ),
  }
}

describe('an answer to a refresh that is not in order', () => {
  it.each<[what: string, answer: Answer]>([
    ['an odd token type', [{ ...good, token_type: 'DPoP', refresh_token: 'ada-1' }]],
    ['no access token', [{ refresh_token: 'ada-1' }]],
    ['status 201', [{ ...good, refresh_token: 'ada-1' }, 201]],
    ['a scope that is no text', [{ ...good, scope: {}, refresh_token: 'ada-1' }]],
    ['a member twice', ['{"a":1,"a":2,"refresh_token":"ada-1"}']],
  ])('costs no grant: %s', async (_, answer) => {
    const { obtain, stored, clock } = await rig()
    answers(answer, [{ ...good, refresh_token: 'ada-2' }])
    expect(await codeOf(obtain())).toBe('ERR_SERVER_RESPONSE')
    expect(await stored()).toMatchObject({ refreshToken: 'ada-1', state: 'active' })
    // Nobody asks before the cool-down ends, token or none.
    expect(await codeOf(obtain())).toBe('ERR_SERVER_UNAVAILABLE')
    clock.advance(3_000)
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
    expect(sent).toEqual(['ada-0', 'ada-1'])
  })

  it('is not asked for again once its head has come, and the row cools down', async () => {
    const { obtain, clock } = await rig()
    answers(resetMidway, [good])
    await expect(obtain()).rejects.toMatchObject({ code: 'ERR_NETWORK', status: 200 })
    expect(await codeOf(obtain())).toBe('ERR_SERVER_UNAVAILABLE')
    expect(sent).toHaveLength(1)
    clock.advance(3_000)
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
  })

  it('that names another subject ends the grant, and is given back', async () => {
    const { obtain, stored } = await rig({ accountSubject: 'ada' })
    const id_token = signToken(makeKey('ES256'), { iss: hostile.issuer, sub: 'eve', aud: 'agent' })
    answers([{ ...good, refresh_token: 'eve-1', id_token }])
    expect(await obtain()).toMatchObject({ how: 'consent', lost: 'another_account' })
    expect(await stored()).not.toHaveProperty('refreshToken')
    expect(revoked).toEqual(['eve-1'])
  })
})

describe('a refusal of one grant', () => {
  it('by 429 cools that row and no other, for every caller', async () => {
    const { obtain, clock } = await rig()
    answers([{ error: 'slow_down' }, 429, { 'retry-after': '600' }], [good])
    expect(await codeOf(obtain())).toBe('ERR_OAUTH_REFUSED')
    await expect(obtain()).rejects.toMatchObject({
      code: 'ERR_SERVER_UNAVAILABLE',
      retryAfterMs: 600_000,
    })
    expect(await obtain('bob')).toMatchObject({ how: 'refreshed' })
    expect(sent).toEqual(['ada-0', 'bob-0'])
    clock.advance(600_000)
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
  })

  it.each<[what: string, answer: Answer]>([
    ['bad_refresh_token inside HTTP 200', [{ error: 'bad_refresh_token' }]],
    ['invalid_grant', [{ error: 'invalid_grant' }, 400]],
    [
      'words',
      [{ error: 'unauthorized_client', error_description: 'refresh_token is invalid' }, 403],
    ],
  ])('that names the refresh token ends the grant at once: %s', async (_, answer) => {
    const { obtain, stored } = await rig()
    answers(answer)
    expect(await obtain()).toMatchObject({ how: 'consent' })
    expect(await stored()).not.toHaveProperty('refreshToken')
  })

  const unclear: [what: string, answer: Answer][] = [
    ['403 unauthorized_client', [{ error: 'unauthorized_client' }, 403]],
    ['400 invalid_request', [{ error: 'invalid_request' }, 400]],
    ['an empty 400', ['', 400]],
  ]
  it.each(unclear)(
    'that is unclear asks the user when it is given twice: %s',
    async (_, answer) => {
      const { obtain, stored, clock } = await rig()
      answers(answer)
      expect(await codeOf(obtain())).toBe('ERR_OAUTH_REFUSED')
      expect(await codeOf(obtain())).toBe('ERR_SERVER_UNAVAILABLE')
      expect(sent).toHaveLength(1)
      clock.advance(3_000)
      expect(await obtain()).toMatchObject({ how: 'consent', lost: expect.any(String) })
      // It stays in the row, and is tried again, once a cool-down, before the user is asked.
      expect(await stored()).toMatchObject({
        state: 'needs_consent',
        refreshToken: 'ada-0',
        tokens: [],
      })
      expect(await obtain()).toMatchObject({ how: 'consent' })
      expect(sent).toHaveLength(2)
      clock.advance(600_000)
      expect(await obtain()).not.toHaveProperty('lost')
      expect(sent).toHaveLength(3)
      clock.advance(600_000)
      answers([good])
      expect(await obtain()).toMatchObject({ how: 'refreshed' })
      const after = await stored()
      expect(after.state).toBe('active')
      expect(after).not.toHaveProperty('reason')
    },
  )

  it.each(unclear)('that two rows meet asks nobody: %s', async (_, answer) => {
    const { obtain, clock } = await rig()
    answers(answer)
    for (let round = 0; round < 3; round++) {
      for (const name of ['ada', 'bob'])
        expect(await codeOf(obtain(name))).toBe('ERR_OAUTH_REFUSED')
      clock.advance(600_000)
    }
  })

  it.each<[what: string, answer: Answer]>([
    ['HTML', ['<html>', 400]],
    ['invalid_client', [{ error: 'invalid_client' }, 401]],
    ['unsupported_grant_type', [{ error: 'unsupported_grant_type' }, 400]],
    ['invalid_scope', [{ error: 'invalid_scope' }, 400]],
    ['invalid_target', [{ error: 'invalid_target' }, 400]],
  ])('never asks the user: %s', async (_, answer) => {
    const { obtain, stored, clock } = await rig()
    answers(answer)
    for (let round = 0; round < 4; round++) {
      expect(await codeOf(obtain())).toBe('ERR_OAUTH_REFUSED')
      clock.advance(600_000)
    }
    expect(await stored()).toMatchObject({ state: 'active', refreshToken: 'ada-0' })
  })

  it('that asks more of the user asks the user, with its claims', async () => {
    const { obtain, stored, clock } = await rig()
    const claims = '{"id_token":{"acrs":{"essential":true,"value":"c1"}}}'
    answers([{ error: 'interaction_required', claims }, 400])
    expect(await obtain()).toMatchObject({ how: 'consent', claims, lost: 'interaction_required' })
    expect(await obtain()).toMatchObject({ how: 'consent', claims })
    expect(await stored()).toMatchObject({ refreshToken: 'ada-0', claims })
    clock.advance(600_000)
    answers([good])
    await obtain()
    expect(await stored()).not.toHaveProperty('claims')
  })
})

describe('a refresh without an answer', () => {
  it('is sent once more', async () => {
    const { obtain } = await rig()
    answers(reset, [good])
    expect(await obtain()).toMatchObject({ how: 'refreshed' })
    expect(sent).toEqual(['ada-0', 'ada-0'])
  })

  it('is not, when the row has changed meanwhile', async () => {
    const { obtain, vault, rowOfAda } = await rig()
    answers(
      (response, request) => {
        void vault.read<Grant>(rowOfAda).then(async (held) => {
          const { value, version } = held!
          await vault.write(rowOfAda, { ...value, refreshToken: 'ada-9' }, { replaces: version })
          reset(response, request)
        })
      },
      [good],
    )
    await codeOf(obtain())
    expect(sent.filter((token) => token === 'ada-0')).toHaveLength(1)
  })

  it('is not, when the retries are used up', async () => {
    const { obtain, server } = await rig()
    while (server.health.takeRetry());
    answers(reset, [good])
    expect(await codeOf(obtain())).toBe('ERR_NETWORK')
    expect(sent).toHaveLength(1)
  })
})
