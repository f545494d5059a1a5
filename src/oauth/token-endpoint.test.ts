import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type HostileServer,
  replyJson,
  startHostileServer,
} from '../../test/support/hostile-server.js'
import { codeOf } from '../../test/support/issuer.js'
import { systemClock } from '../clock.js'
import { clientCredentialsGrant } from './client-credentials.js'
import { type RefreshAnswer, refreshGrant } from './refresh.js'
import { AuthorizationServer, type AuthorizationServerOptions } from './server.js'

let hostile: HostileServer
beforeAll(async () => {
  hostile = await startHostileServer()
})
afterAll(() => hostile[Symbol.asyncDispose]())
beforeEach(() => {
  hostile.received.length = 0
})

const at = (extra: Partial<AuthorizationServerOptions> = {}) =>
  new AuthorizationServer({
    name: 'api',
    issuer: hostile.issuer,
    clientId: 'agent',
    clientAuth: 'client_secret_basic',
    clientSecret: 's3cret',
    allowInsecureLoopback: true,
    timeoutMs: 1_000,
    clock: systemClock,
    ...extra,
  })
const good = { access_token: 'token', token_type: 'Bearer', expires_in: 3600 }
const answer = (body: unknown, status = 200, headers = {}) => {
  hostile.routes.set('/token', replyJson(body, status, headers))
  return clientCredentialsGrant(at(), { scopes: ['read'] })
}
const answerWith = (members: object) => answer({ ...good, ...members })
const refresh = (body: unknown, status = 200, more: object = {}) => {
  hostile.routes.set('/token', replyJson(body, status))
  const request = { refreshToken: 'rt-1', granted: ['read', 'write'], ...more }
  return refreshGrant(at(), request)
}

describe('a token answer', () => {
  it.each([
    ['an hour', 3600, 3_600_000],
    ['none', undefined, 300_000],
    ['a string of digits', '3600', 3_600_000],
    ['zero', 0, 0],
    ['a fraction', 59.9, 59_000],
    ['far too much', 1e12, 31_536_000_000],
    ['more than a number holds', '1e400', undefined],
    ['negative', -1, undefined],
    ['words', 'soon', undefined],
    ['null', null, 300_000],
    ['an object', {}, undefined],
  ])('with a lifetime of %s (O21)', async (_, expiresIn, expectedMs) => {
    const result = answerWith({ expires_in: expiresIn })
    if (expectedMs === undefined) return expect(await codeOf(result)).toBe('ERR_SERVER_RESPONSE')
    const { expiresAtMs } = await result
    expect(Math.abs(expiresAtMs! - Date.now() - expectedMs)).toBeLessThan(1_000)
  })

  it.each([
    ['Bearer', 'Bearer'],
    ['bearer', 'Bearer'],
    ['BEARER', 'Bearer'],
    ['DPoP', undefined],
    ['mac', undefined],
    ['N_A', undefined],
    ['', undefined],
    [undefined, undefined],
    [7, undefined],
  ])('with token_type %j (O22)', async (tokenType, expected) => {
    const result = answerWith({ token_type: tokenType })
    if (expected === undefined) return expect(await codeOf(result)).toBe('ERR_SERVER_RESPONSE')
    expect((await result).tokenType).toBe(expected)
  })

  it.each([
    ['HTML', '<html></html>'],
    ['nothing', ''],
    ['broken JSON', '{"access_token":"to'],
    ['an array', [good]],
    ['null', null],
    ['a string', '"token"'],
    ['a number', 7],
    ['no token', { ...good, access_token: undefined }],
    ['an empty token', { ...good, access_token: '' }],
    ['a token that is no string', { ...good, access_token: 7 }],
    ['a token with a line break', { ...good, access_token: 'to\r\nx-evil: 1' }],
    ['a token with a space', { ...good, access_token: 'to ken' }],
    ['a token beyond ASCII', { ...good, access_token: 'tokén' }],
    ['a token of 131,073 characters', { ...good, access_token: 'x'.repeat(131_073) }],
    ['a refresh token with a line break', { ...good, refresh_token: 'a\nb' }],
    ['a scope that is no string', { ...good, scope: ['read'] }],
  ])('with status 200 and %s is refused (O23)', async (_, body) => {
    expect(await codeOf(answer(body))).toBe('ERR_SERVER_RESPONSE')
  })

  it.each([
    [429, {}, '7', 'Try again in 7 s.'],
    [429, { error: 'slow_down' }, '7', 'Try again in 7 s.'],
    [503, { error: 'temporarily_unavailable' }, '0', 'Try again later.'],
    [429, {}, undefined, 'Try again later.'],
    [400, { error: 'invalid_scope' }, '7', 'Ask for fewer scopes'],
  ])(
    'with status %i, %j and Retry-After %s says when to come again',
    async (status, body, wait, text) => {
      const refused = answer(body, status, wait === undefined ? {} : { 'retry-after': wait })
      await expect(refused).rejects.toMatchObject({
        code: 'ERR_OAUTH_REFUSED',
        message: expect.stringContaining(`(HTTP ${status}). ${text}`),
        retryable: status !== 400,
      })
    },
  )

  it('that is an error with status 200 is an error (O24)', async () => {
    const refused = answer({ error: 'bad_refresh_token', error_description: 'x' })
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_OAUTH_REFUSED',
      oauthError: 'bad_refresh_token',
      status: 200,
      retryable: false,
    })
  })

  it.each([400, 401, 500, 201, 204])('with status %i holds no token (O24)', async (status) => {
    expect(await codeOf(answer(good, status))).toMatch(/^ERR_(OAUTH_REFUSED|SERVER_RESPONSE)$/)
  })

  it.each([
    ['more than was asked (O17)', 'read admin', ['read', 'admin']],
    ['less than was asked (O18)', 'other', ['other']],
    ['none told, which means as asked (O20)', undefined, ['read']],
    ['an empty one, which means as asked', '', ['read']],
    ['null', null, ['read']],
    ['joined by commas (GitHub)', 'read,repo', ['read', 'repo']],
    ['one with a comma that nobody asked for', 'a,b', ['a,b']],
    ['spaces and repeats', ' read  read ', ['read']],
  ])('with scopes: %s', async (_, scope, expected) => {
    expect((await answerWith({ scope })).scopes).toEqual(expected)
  })

  it('in the agent’s own name drops a refresh token (RFC 6749 §4.4.3)', async () => {
    expect(await answerWith({ refresh_token: 'rt' })).not.toHaveProperty('refreshToken')
  })

  it('to a refresh may name no scopes and no new refresh token (O26)', async () => {
    const { tokens } = (await refresh(good)) as Extract<RefreshAnswer, { inOrder: true }>
    expect(tokens.scopes).toEqual(['read', 'write'])
    expect(tokens).not.toHaveProperty('refreshToken')
  })

  it('with an error code that no server uses keeps nothing of it (O25)', async () => {
    for (const error of ['rt-1', 'S3CRET', 'a'.repeat(61), 'x\ny', '']) {
      await expect(refresh({ error }, 400)).rejects.toMatchObject({ oauthError: 'unknown' })
    }
  })
})

describe('client authentication', () => {
  const sent = async (extra: Partial<AuthorizationServerOptions>) => {
    hostile.routes.set('/token', replyJson(good))
    await clientCredentialsGrant(at(extra), { scopes: [] })
    return hostile.tokenRequests()[0]!
  }
  /** RFC 6749 appendix B: form-encoded, then joined by a colon. */
  const decoded = (header: string | undefined) =>
    Buffer.from(header?.replace('Basic ', '') ?? '', 'base64')
      .toString()
      .split(':')
      .map((part) => new URLSearchParams(`v=${part}`).get('v'))

  it.each([
    'plain',
    'a:b',
    'a%b',
    'a+b',
    'a b',
    'a&b=c',
    'pässwörd',
    '日本',
    '"\\\'',
    '%3A',
    '~!*()',
  ])('encodes the secret %j before it joins it (O42)', async (clientSecret) => {
    const { headers } = await sent({ clientSecret, clientId: `id:${clientSecret}` })
    expect(decoded(headers.authorization)).toEqual([`id:${clientSecret}`, clientSecret])
  })

  it('by client_secret_basic is in the header only (O43)', async () => {
    const { headers, form } = await sent({})
    expect(headers.authorization).toMatch(/^Basic /)
    expect([form.has('client_secret'), form.has('client_id')]).toEqual([false, false])
  })

  it('by client_secret_post is in the body only (O43)', async () => {
    const { headers, form } = await sent({ clientAuth: 'client_secret_post' })
    expect(headers.authorization).toBeUndefined()
    expect([form.get('client_id'), form.get('client_secret')]).toEqual(['agent', 's3cret'])
  })

  it('by none names the client and proves nothing (O43)', async () => {
    const { headers, form } = await sent({ clientAuth: 'none', clientSecret: undefined })
    expect(headers.authorization).toBeUndefined()
    expect([form.get('client_id'), form.has('client_secret')]).toEqual(['agent', false])
  })
})
