import { describe, expect, it } from 'vitest'
import type { InboundAuthError } from '../errors/inbound.js'
import { type ClaimTimes, readClaims } from './claims.js'

const nowMs = 1_800_000_000_000
const now = nowMs / 1000
const good = { sub: 'u1', exp: now + 60 }

function codeOf(
  claims: Record<string, unknown>,
  times: Partial<ClaimTimes> = {},
): string | undefined {
  try {
    readClaims(claims, { nowMs, ...times })
    return undefined
  } catch (error) {
    return (error as InboundAuthError).code
  }
}

describe('registered claims', () => {
  it('are read with their times in milliseconds', () => {
    const claims = { ...good, aud: 'a', iat: now - 5, nbf: now - 5 }
    expect(readClaims(claims, { nowMs })).toEqual({
      subject: 'u1',
      audience: ['a'],
      expiresAtMs: nowMs + 60_000,
      issuedAtMs: nowMs - 5_000,
    })
  })

  it('J33 need exp', () => {
    expect(codeOf({ sub: 'u1' })).toBe('ERR_BAD_CLAIMS')
    expect(codeOf({ ...good, exp: null })).toBe('ERR_BAD_CLAIMS')
  })

  it.each([
    '1800000060',
    -1,
    -0.5,
    253402300799.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e308,
    2 ** 53,
    nowMs + 60_000,
    253402300800,
    true,
    [],
    {},
  ])('J34 refuse %j as a date', (value) => {
    for (const claim of ['exp', 'nbf', 'iat']) {
      expect(codeOf({ ...good, [claim]: value }), claim).toBe('ERR_BAD_CLAIMS')
    }
  })

  it('J34 may be fractions of seconds (RFC 7519 §2)', () => {
    const claims = { ...good, exp: now + 0.5, iat: now - 0.25, nbf: now - 1.0009 }
    expect(readClaims(claims, { nowMs })).toMatchObject({
      expiresAtMs: nowMs + 500,
      issuedAtMs: nowMs - 250,
    })
    const strict = { clockToleranceMs: 0 }
    expect(codeOf(claims, { ...strict, nowMs: nowMs + 499 })).toBeUndefined()
    expect(codeOf(claims, { ...strict, nowMs: nowMs + 500 })).toBe('ERR_TOKEN_EXPIRED')
    expect(codeOf({ ...claims, nbf: now + 0.001 }, strict)).toBe('ERR_TOKEN_NOT_YET_VALID')
  })

  it('J34 accept the last second of the year 9999, and zero', () => {
    expect(codeOf({ ...good, exp: 253402300799, nbf: 0, iat: 0 })).toBeUndefined()
  })

  it('J36 expire at exp plus the tolerance', () => {
    const clockToleranceMs = 10_000
    expect(codeOf({ ...good, exp: now - 9 }, { clockToleranceMs })).toBeUndefined()
    expect(codeOf({ ...good, exp: now - 10 }, { clockToleranceMs })).toBe('ERR_TOKEN_EXPIRED')
    expect(codeOf({ ...good, exp: now }, { clockToleranceMs: 0 })).toBe('ERR_TOKEN_EXPIRED')
    expect(codeOf({ ...good, exp: now + 1 }, { clockToleranceMs: 0 })).toBeUndefined()
    expect(codeOf({ ...good, exp: now - 29 })).toBeUndefined()
    expect(codeOf({ ...good, exp: now - 30 })).toBe('ERR_TOKEN_EXPIRED')
  })

  it.each(['nbf', 'iat'])(
    'J36 are refused when %s lies in the future beyond the tolerance',
    (claim) => {
      expect(codeOf({ ...good, [claim]: now + 30 })).toBeUndefined()
      expect(codeOf({ ...good, [claim]: now + 31 })).toBe('ERR_TOKEN_NOT_YET_VALID')
    },
  )

  it('J35 are too old beyond maxTokenAgeMs', () => {
    const times = { maxTokenAgeMs: 60_000, clockToleranceMs: 0 }
    expect(codeOf({ ...good, iat: now - 60 }, times)).toBeUndefined()
    expect(codeOf({ ...good, iat: now - 61 }, times)).toBe('ERR_TOKEN_EXPIRED')
    expect(codeOf(good, times)).toBe('ERR_BAD_CLAIMS')
  })

  it.each([[['a', 1]], [[['a']]], [{ a: 1 }], [7], [null], [[null]]])(
    'J38 refuse aud %j',
    (aud) => {
      expect(codeOf({ ...good, aud })).toBe('ERR_BAD_CLAIMS')
    },
  )

  it('J38 take aud as a string or a list', () => {
    expect(readClaims({ ...good, aud: ['a', 'b'] }, { nowMs }).audience).toEqual(['a', 'b'])
    expect(readClaims({ ...good, aud: [] }, { nowMs }).audience).toEqual([])
    expect(readClaims(good, { nowMs }).audience).toEqual([])
  })

  it.each(['', ' ', '\t\n', 7, null, ['u1'], { a: 1 }, undefined, '\ud800'])(
    'J60 refuse sub %j',
    (sub) => {
      expect(codeOf({ ...good, sub })).toBe('ERR_BAD_CLAIMS')
    },
  )

  it.each(['a:b', ' u1', 'e\u0301', '\u00e9', '\0', '__proto__'])(
    'J31 J60 keep sub %j as it is',
    (sub) => {
      expect(readClaims({ ...good, sub }, { nowMs }).subject).toBe(sub)
    },
  )
})
