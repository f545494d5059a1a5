import { describe, expect, it } from 'vitest'
import { refusalIn } from './refusal.js'
import { readServerAnswer } from './server-answer.js'

async function refusal(status: number, body: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const context = { provider: 'p', what: 'refresh request', clock: () => 0 }
  return refusalIn(await readServerAnswer(new Response(text, { status }), context))
}

describe('a refusal', () => {
  it.each<[status: number, body: unknown, oauthError: string, reason: string]>([
    [400, { error: 'invalid_grant' }, 'invalid_grant', 'invalid_grant'],
    [200, { error: 'invalid_grant' }, 'invalid_grant', 'invalid_grant'],
    [200, { ok: false, error: { code: 7 } }, 'unknown', 'unknown'],
    [400, '', 'unknown', 'empty answer'],
    [403, '', 'unknown', 'empty answer'],
    [401, '', 'invalid_client', 'invalid_client'],
    [400, '<html>', 'unknown', 'not JSON'],
    [400, '{"error":"invalid_grant","error":"invalid_client"}', 'unknown', 'a member twice'],
    [400, {}, 'unknown', 'unknown'],
    [503, '', 'temporarily_unavailable', 'temporarily_unavailable'],
    [429, '', 'temporarily_unavailable', 'temporarily_unavailable'],
  ])('HTTP %i with %j is %s (%s)', async (status, body, oauthError, reason) => {
    expect(await refusal(status, body)).toMatchObject({ oauthError, reason, status })
  })

  it.each<[status: number, body: unknown]>([
    [200, { error: 'bad_refresh_token' }],
    [200, { ok: false, error: 'invalid_refresh_token' }],
    [400, { error: 'expired_refresh_token' }],
    [400, { error: 'RefreshToken', error_description: 'Refresh token expired' }],
    [403, { error: 'unauthorized_client', error_description: 'refresh_token is invalid' }],
    [400, { error: 'invalid_request', error_description: 'The refresh token was revoked.' }],
    [400, { error: 'invalid_request', error_description: 'refresh token not found' }],
  ])('HTTP %i with %j names a dead refresh token', async (status, body) => {
    expect(await refusal(status, body)).toMatchObject({ reason: 'dead_refresh_token' })
  })

  it.each<[error: string, description: string]>([
    ['invalid_request', 'missing refresh_token'],
    ['invalid_request', 'invalid parameter: refresh_token'],
    ['unsupported_grant_type', 'grant type refresh_token is invalid'],
    ['unauthorized_client', 'client is not allowed to use refresh tokens'],
    ['invalid_request', 'the access token expired'],
    ['invalid_request', `refresh token expired ${'x'.repeat(1_000)}`],
  ])('%s with the words %j names none', async (error, error_description) => {
    expect(await refusal(400, { error, error_description })).toMatchObject({ reason: error })
  })

  it.each([
    ['{"id_token":{"acrs":{"essential":true}}}', true],
    ['[]', false],
    ['"x"', false],
    ['{"a":1,"a":2}', false],
    ['{', false],
    [`{"a":"${'x'.repeat(4_096)}"}`, false],
    [{ id_token: {} }, false],
  ])('keeps the claims %j only if they are a JSON object in a text: %s', async (claims, kept) => {
    const error = await refusal(400, { error: 'interaction_required', claims })
    expect(error?.claims).toBe(kept ? claims : undefined)
  })

  it.each<[status: number, body: unknown]>([
    [200, { access_token: 'a' }],
    [200, { access_token: 'a', error: null }],
    [200, { access_token: 'a', error: '' }],
    [200, { access_token: 'a', error: false }],
    [204, ''],
  ])('is not in HTTP %i with %j', async (status, body) => {
    const text = status === 204 ? null : JSON.stringify(body)
    const context = { provider: 'p', what: 'request', clock: () => 0 }
    expect(
      refusalIn(await readServerAnswer(new Response(text, { status }), context)),
    ).toBeUndefined()
  })

  it('keeps no words of the server', async () => {
    const error = await refusal(400, { error: 'S3CRET', error_description: 's3cret' })
    expect(JSON.stringify({ ...error, message: error?.message })).not.toMatch(/s3cret/i)
  })
})
