import { describe, expect, it } from 'vitest'
import { NetworkError, OAuthRefusedError, ServerResponseError } from '../errors/outbound.js'
import { type Failing, failingAfter, outcomeUnknown, type Verdict, verdictOn } from './failing.js'

const refused = (oauthError: string, status = 400, more: object = {}) =>
  new OAuthRefusedError({ provider: 'p', oauthError, status, ...more })
const network = (reason: NetworkError['reason'], status?: number) =>
  new NetworkError({ url: 'https://as.example', reason, detail: 'd', status })
const odd = (status: number, reason = 'no token_type') =>
  new ServerResponseError({ what: 'w', detail: 'd', reason, status })

describe('what a failure says of a grant', () => {
  it.each<[error: unknown, verdict: Verdict]>([
    [refused('invalid_grant'), 'dead'],
    [refused('invalid_grant', 200), 'dead'],
    [refused('invalid_grant', 401), 'dead'],
    [refused('invalid_grant', 503), 'unknown'],
    [refused('unauthorized_client', 403, { reason: 'dead_refresh_token' }), 'dead'],
    [odd(200, 'another_account'), 'dead'],
    [refused('interaction_required'), 'asks'],
    [refused('login_required'), 'asks'],
    [refused('consent_required'), 'asks'],
    [refused('invalid_grant', 400, { claims: '{}' }), 'asks'],
    [refused('unauthorized_client'), 'ambiguous'],
    [refused('unauthorized_client', 403), 'ambiguous'],
    [refused('invalid_request'), 'ambiguous'],
    [refused('access_denied'), 'ambiguous'],
    [refused('unknown', 400, { reason: 'empty answer' }), 'ambiguous'],
    [refused('unknown', 403, { reason: 'empty answer' }), 'ambiguous'],
    [refused('unknown', 400), 'ambiguous'],
    [refused('unknown', 400, { reason: 'not JSON' }), 'unknown'],
    [refused('unknown', 403, { reason: 'not JSON' }), 'unknown'],
    [refused('unknown', 404), 'unknown'],
    [refused('invalid_client'), 'refused'],
    [refused('invalid_client', 401), 'refused'],
    [refused('unsupported_grant_type'), 'refused'],
    [refused('invalid_scope'), 'refused'],
    [refused('invalid_target'), 'refused'],
    [refused('slow_down', 429), 'rests'],
    [odd(200), 'rests'],
    [odd(201), 'rests'],
    [network('timeout', 200), 'rests'],
    [network('too_large', 200), 'rests'],
    [refused('server_error', 500), 'unknown'],
    [refused('temporarily_unavailable', 400), 'unknown'],
    [odd(502), 'unknown'],
    [network('timeout'), 'unknown'],
    [network('unreachable', 503), 'unknown'],
    [new TypeError('ours'), 'unknown'],
  ])('%s is %s', (error, verdict) => {
    expect(verdictOn(error)).toBe(verdict)
  })

  it.each([
    [network('timeout'), true],
    [network('unreachable'), true],
    [network('timeout', 200), false],
    [network('unreachable', 500), false],
    [network('redirected'), false],
    [odd(200), false],
  ])('%s may be sent again: %s', (error, expected) => {
    expect(outcomeUnknown(error)).toBe(expected)
  })
})

describe('the cool-down after a failure', () => {
  const failed = (error: unknown, before?: Failing) => failingAfter(before, error, 1_000, () => 1)

  it('is for every caller where it was about this grant', () => {
    expect(failed(refused('slow_down', 429))).toMatchObject({ holds: true })
    expect(failed(refused('unauthorized_client'))).toMatchObject({ holds: true })
    expect(failed(odd(200))).toMatchObject({ holds: true })
    expect(failed(refused('server_error', 503))).not.toHaveProperty('holds')
    expect(failed(refused('invalid_client', 401))).not.toHaveProperty('holds')
  })

  it('doubles, and is never shorter than the server asked', () => {
    const first = failed(odd(200))
    expect(first).toMatchObject({ count: 1, nextTryMs: 3_000, code: 'no token_type' })
    expect(failed(odd(200), first)).toMatchObject({ count: 2, nextTryMs: 5_000 })
    const asked = refused('slow_down', 429, { retryAfterMs: 60_000 })
    expect(failed(asked)).toMatchObject({ nextTryMs: 61_000 })
  })
})
