import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Grants } from './grants.js'

const verifier = 'v'.repeat(43)
const request = {
  subject: 'ada',
  scopes: ['read'],
  redirectUri: 'http://127.0.0.1/cb',
  codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
}

afterEach(() => {
  vi.useRealTimers()
})

describe('Grants', () => {
  it('refuses a code after a minute', () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const grants = new Grants()
    const [early, late] = [grants.issueCode(request), grants.issueCode(request)]
    vi.setSystemTime(Date.now() + 59_000)
    expect(grants.redeemCode(early, request.redirectUri, verifier).approval.subject).toBe('ada')
    vi.setSystemTime(Date.now() + 2_000)
    expect(() => grants.redeemCode(late, request.redirectUri, verifier)).toThrow(/too old/)
  })

  it('refuses a code with another redirect URI', () => {
    const grants = new Grants()
    const code = grants.issueCode(request)
    expect(() => grants.redeemCode(code, `${request.redirectUri}/2`, verifier)).toThrow(
      /redirect_uri/,
    )
  })
})
