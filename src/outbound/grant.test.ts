import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Acting } from '../workload/acting.js'
import { emptyGrant, grantKey, missingScopes, tokenFor, unionScopes, withToken } from './grant.js'

const token = (value: string, resource?: string) => ({
  value,
  tokenType: 'Bearer',
  scopes: ['a'],
  issuedAtMs: 0,
  ...(resource === undefined ? {} : { resource }),
})

describe('the tokens of a grant', () => {
  it('are one a resource, the newest', () => {
    const grant = [token('1'), token('2', 'https://b'), token('3')].reduce(withToken, emptyGrant)
    expect(grant.tokens.map((one) => one.value)).toEqual(['3', '2'])
    expect(tokenFor(grant, undefined)?.value).toBe('3')
    expect(tokenFor(grant, 'https://c')).toBeUndefined()
  })

  it('are at most sixteen: the oldest gives way', () => {
    const all = Array.from({ length: 17 }, (_, i) => token(`${i}`, `https://r${i}`))
    const grant = all.reduce(withToken, emptyGrant)
    expect(grant.tokens).toHaveLength(16)
    expect(tokenFor(grant, 'https://r0')).toBeUndefined()
  })
})

describe('scopes', () => {
  it.each([
    [['a'], ['a', 'b'], []],
    [['a', 'c'], ['a', 'b'], ['c']],
    [['openid', 'offline_access', 'a'], ['a'], []],
    [['A'], ['a'], ['A']],
    [['__proto__'], ['a'], ['__proto__']],
  ])('of %j with %j granted lack %j', (wanted, granted, missing) => {
    expect(missingScopes(wanted, granted)).toEqual(missing)
  })

  it('unite in order, each once', () => {
    expect(unionScopes(['b'], ['a', 'b'], ['c', 'a'])).toEqual(['b', 'a', 'c'])
  })
})

describe('grantKey', () => {
  const text = fc.string({ maxLength: 3 })
  const facts = fc.record({
    workload: fc.record({ issuer: fc.option(text, { nil: undefined }), name: text }),
    user: fc.record({ issuer: text, subject: text }),
    flow: fc.constantFrom('M2M' as const, 'USER_FEDERATION' as const),
    name: text,
    issuer: text,
    clientId: text,
    account: fc.option(text, { nil: undefined }),
  })
  const keyOf = (one: typeof facts extends fc.Arbitrary<infer T> ? T : never) =>
    grantKey(one as Pick<Acting, 'workload' | 'user'>, one.flow, one.name, one, one.account)
  /** What tells grants apart: an agent's own grant has no user and no account. */
  const identity = ({ user, account, ...rest }: Parameters<typeof keyOf>[0]) =>
    JSON.stringify(rest.flow === 'M2M' ? rest : { ...rest, user, account: account ?? null })

  it('is the same for the same grant, and for no other (O19, O57)', () => {
    fc.assert(
      fc.property(facts, facts, (a, b) => {
        const same =
          JSON.stringify(keyOf(a).owner.map((p) => p ?? null)) ===
          JSON.stringify(keyOf(b).owner.map((p) => p ?? null))
        expect(same).toBe(identity(a) === identity(b))
      }),
      { numRuns: 2_000 },
    )
  })
})
