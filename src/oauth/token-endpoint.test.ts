import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type HostileServer,
  replyJson,
  startHostileServer,
} from '../../test/support/hostile-server.js'
import { codeOf, makeKey, signToken } from '../../test/support/issuer.js'
import { systemClock } from '../clock.js'
import { clientCredentialsGrant } from './client-credentials.js'
import { type RefreshAnswer, refreshGrant } from './refresh.js'
import { revokeToken } from './revoke.js'
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
    const beforeMs = Date.now()
    const result = answerWith({ expires_in: expiresIn })
    if (expectedMs === undefined) return expect(await codeOf(result)).toBe('ERR_SERVER_RESPONSE')
    const { expiresAtMs } = await result
    expect(expiresAtMs! - expectedMs).toBeGreaterThanOrEqual(beforeMs)
    expect(expiresAtMs! - expectedMs).toBeLessThanOrEqual(Date.now())
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

describe('an answer to a refresh that is not in order', () => {
  const bearer = { ...good, refresh_token: 'rt-2' }
  it.each<
    [what: string, body: unknown, status: number, code: string, refreshToken: string | undefined]
  >([
    ['an odd token type', { ...bearer, token_type: 'DPoP' }, 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['no token type', { ...bearer, token_type: undefined }, 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['no access token', { ...bearer, access_token: null }, 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['a scope that is no text', { ...bearer, scope: 7 }, 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['a lifetime in words', { ...bearer, expires_in: 'soon' }, 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['status 201', bearer, 201, 'ERR_SERVER_RESPONSE', 'rt-2'],
    [
      'another member twice',
      '{"a":1,"a":2,"refresh_token":"rt-2"}',
      200,
      'ERR_SERVER_RESPONSE',
      'rt-2',
    ],
    ['a break at its end', '{"refresh_token":"rt-2","acc', 200, 'ERR_SERVER_RESPONSE', 'rt-2'],
    ['an error beside', { ...bearer, error: 'invalid_request' }, 200, 'ERR_OAUTH_REFUSED', 'rt-2'],
    [
      'the refresh token twice',
      '{"refresh_token":"a","refresh_token":"b"}',
      200,
      'ERR_SERVER_RESPONSE',
      undefined,
    ],
    [
      'a malformed refresh token',
      { ...bearer, refresh_token: 'a\nb' },
      200,
      'ERR_SERVER_RESPONSE',
      undefined,
    ],
    [
      'a refresh token that is a list',
      { ...bearer, refresh_token: ['a'] },
      200,
      'ERR_SERVER_RESPONSE',
      undefined,
    ],
    ['HTML', '<html>', 200, 'ERR_SERVER_RESPONSE', undefined],
    ['nothing', '', 200, 'ERR_SERVER_RESPONSE', undefined],
    ['a dead refresh token', { error: 'bad_refresh_token' }, 200, 'ERR_OAUTH_REFUSED', undefined],
  ])(
    'gives the new refresh token all the same: %s',
    async (_, body, status, code, refreshToken) => {
      const answer = (await refresh(body, status)) as Extract<RefreshAnswer, { inOrder: false }>
      expect(answer.inOrder).toBe(false)
      expect(answer.error).toMatchObject({ code })
      expect(answer.tokens.refreshToken).toBe(refreshToken)
    },
  )

  it.each([
    ['a refusal', { ...bearer, error: 'invalid_grant' }, 400],
    ['a server that fails', bearer, 500],
    ['a server that is busy, with status 200', { error: 'temporarily_unavailable' }, 200],
  ])('is thrown, and nothing of it kept: %s', async (_, body, status) => {
    await expect(refresh(body, status)).rejects.toMatchObject({ code: 'ERR_OAUTH_REFUSED' })
  })

  it.each([null, ''])('takes %j for absent', async (absent) => {
    const members = { refresh_token: absent, scope: absent, id_token: null, error: null }
    expect(await refresh({ ...good, ...members })).toMatchObject({
      inOrder: true,
      tokens: { scopes: ['read', 'write'] },
    })
  })
})

describe('an ID token at a refresh', () => {
  const claims = { iss: '', aud: 'agent', iat: 0, exp: 9_999_999_999 }
  const idToken = (sub: string) => signToken(key, { ...claims, iss: hostile.issuer, sub })
  const key = makeKey('ES256')

  it('of another subject ends the grant, however odd the rest of the answer is', async () => {
    for (const token_type of ['Bearer', 'DPoP']) {
      const body = { ...good, token_type, refresh_token: 'rt-2', id_token: idToken('eve') }
      expect(await refresh(body, 200, { subject: 'ada' })).toMatchObject({
        inOrder: false,
        error: { reason: 'another_account' },
        tokens: { refreshToken: 'rt-2', accessToken: 'token' },
      })
    }
  })

  it('of the same subject is checked, and one that nobody asked for is ignored', async () => {
    hostile.routes.set(
      '/.well-known/openid-configuration',
      replyJson({
        issuer: hostile.issuer,
        token_endpoint: `${hostile.issuer}/token`,
        id_token_signing_alg_values_supported: ['ES256'],
      }),
    )
    const ask = (id_token: string, more: object = {}) => refresh({ ...good, id_token }, 200, more)
    expect(await ask(idToken('ada'), { subject: 'ada' })).toMatchObject({ inOrder: true })
    const other = signToken(key, { ...claims, iss: 'https://other.example', sub: 'ada' })
    expect(await ask(other, { subject: 'ada' })).toMatchObject({ inOrder: false })
    expect(await ask(other)).toMatchObject({ inOrder: true })
    expect(await ask('no token')).toMatchObject({ inOrder: true })
  })
})

describe('what a server wants besides', () => {
  const sent = async (extra: Partial<AuthorizationServerOptions>, more: object = {}) => {
    hostile.routes.set('/token', replyJson(good))
    const one = at(extra)
    await clientCredentialsGrant(one, { scopes: ['a', 'b'] })
    await refreshGrant(one, { refreshToken: 'rt-1', granted: ['a'], ...more })
    return hostile.tokenRequests().map(({ form }) => Object.fromEntries(form))
  }

  it('is in every token request: tokenParameters, and scopes joined in its way', async () => {
    const tokenParameters = { audience: 'https://api.example' }
    const [first, second] = await sent({ tokenParameters, scopeSeparator: ',' })
    expect(first).toMatchObject({ audience: 'https://api.example', scope: 'a,b' })
    expect(second).toMatchObject({ audience: 'https://api.example', refresh_token: 'rt-1' })
    expect(second).not.toHaveProperty('scope')
  })

  it('is in a refresh: its scopes', async () => {
    const [, second] = await sent({}, { scopes: ['openid', 'a'] })
    expect(second).toMatchObject({ scope: 'openid a' })
  })

  it.each([200, 201, 202, 204])('ends a revocation with HTTP %i', async (status) => {
    hostile.routes.set('/revoke', (response) => response.writeHead(status).end())
    const endpoints = { token: `${hostile.issuer}/token`, revocation: `${hostile.issuer}/revoke` }
    await revokeToken(at({ endpoints }), { token: 't', kind: 'refresh_token' })
    hostile.routes.set('/revoke', replyJson({ error: 'unsupported_token_type' }, 400))
    const refused = revokeToken(at({ endpoints }), { token: 't', kind: 'refresh_token' })
    expect(await codeOf(refused)).toBe('ERR_OAUTH_REFUSED')
  })
})
