import { describe, expect, it } from 'vitest'
import { emptyGrant, type Grant } from './grant.js'
import { clockAheadMs, MAX_AHEAD_MS, seenAt } from './grant-clock.js'

const HOUR_MS = 3_600_000
const grant = (issuedAtMs: number): Grant => ({
  ...emptyGrant,
  tokens: [
    {
      value: 'a',
      tokenType: 'Bearer',
      scopes: [],
      issuedAtMs,
      expiresAtMs: issuedAtMs + HOUR_MS,
      renewFromMs: issuedAtMs + HOUR_MS / 2,
    },
  ],
})

describe('a token that another machine dated', () => {
  it('in the past is as it is', () => {
    const past = grant(1_000)
    expect(seenAt(past, 1_000)).toBe(past)
    expect(clockAheadMs(past, 1_000)).toBeUndefined()
  })

  it('up to five minutes ahead lives for its lifetime from now', () => {
    const nowMs = 5_000
    const { tokens } = seenAt(grant(nowMs + MAX_AHEAD_MS), nowMs)
    expect(tokens).toMatchObject([
      { issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS, renewFromMs: nowMs + HOUR_MS / 2 },
    ])
    expect(clockAheadMs(grant(nowMs + MAX_AHEAD_MS), nowMs)).toBeUndefined()
  })

  it('further ahead is none, and a clock is wrong', () => {
    const late = grant(MAX_AHEAD_MS + 1)
    expect(seenAt(late, 0).tokens).toEqual([])
    expect(clockAheadMs(late, 0)).toBe(MAX_AHEAD_MS + 1)
  })

  it('and that never ends serves whatever its date is', () => {
    const { expiresAtMs: _, renewFromMs: _from, ...token } = grant(10 * HOUR_MS).tokens[0]!
    expect(seenAt({ ...emptyGrant, tokens: [token] }, 0).tokens).toEqual([token])
  })
})
