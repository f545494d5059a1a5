import { describe, expect, it } from 'vitest'
import type { InboundAuthError } from '../errors/inbound.js'
import { applyClaimRules, type ClaimRule, checkClaimRules } from './claim-rules.js'

const equals = (value: string | number | boolean): ClaimRule => ({
  name: 'c',
  operator: 'EQUALS',
  value,
})
const contains = (value: string): ClaimRule => ({ name: 'c', operator: 'CONTAINS', value })
const containsAny = (...value: string[]): ClaimRule => ({
  name: 'c',
  operator: 'CONTAINS_ANY',
  value,
})

function refused(rules: readonly ClaimRule[], claims: Record<string, unknown>): string | undefined {
  try {
    applyClaimRules(
      checkClaimRules(rules, 'customClaims'),
      Object.assign(Object.create(null), claims),
    )
    return undefined
  } catch (error) {
    return (error as InboundAuthError).code
  }
}

describe('claim rules', () => {
  it.each<[ClaimRule, unknown, boolean]>([
    [equals('a'), 'a', true],
    [equals('a'), 'A', false],
    [equals('a'), 'ab', false],
    [equals('a'), ['a'], false],
    [equals('1'), 1, false],
    [equals(1), 1, true],
    [equals(1), '1', false],
    [equals(1), true, false],
    [equals(true), true, true],
    [equals(true), 'true', false],
    [equals(false), 0, false],
    [equals(false), null, false],
    [equals(''), '', true],
    [contains('a'), ['b', 'a'], true],
    [contains('a'), 'a', false],
    [contains('a'), 'banana', false],
    [contains('a'), ['ab'], false],
    [contains('1'), [1], false],
    [contains('a'), [['a']], false],
    [contains('a'), { a: 'a' }, false],
    [containsAny('a', 'b'), ['b'], true],
    [containsAny('a', 'b'), ['c', 'd'], false],
    [containsAny('a', 'b'), [], false],
    [containsAny('a', 'b'), 'a', false],
    [containsAny('a'), null, false],
  ])('J59 %j with %j: %s', (rule, claim, holds) => {
    expect(refused([rule], { c: claim })).toBe(holds ? undefined : 'ERR_CLAIM_RULE')
  })

  it('J59 a missing claim satisfies nothing, not even one named like a property of objects', () => {
    expect(refused([equals('a')], {})).toBe('ERR_CLAIM_RULE')
    expect(refused([{ name: 'toString', operator: 'EQUALS', value: 'a' }], {})).toBe(
      'ERR_CLAIM_RULE',
    )
  })

  it.each([1.5, 2 ** 53, -(2 ** 53), 1e21, Number.NaN, Number.POSITIVE_INFINITY])(
    'J59 take no number that has neighbours of the same value: %d',
    (value) => {
      expect(() => checkClaimRules([equals(value)], 'customClaims')).toThrow(/whole number/)
    },
  )

  it('J59 every rule must hold', () => {
    expect(refused([contains('a'), contains('b')], { c: ['a', 'b'] })).toBeUndefined()
    expect(refused([contains('a'), contains('b')], { c: ['a'] })).toBe('ERR_CLAIM_RULE')
  })

  it('are copied and frozen', () => {
    const value = ['a']
    const [rule] = checkClaimRules(
      [containsAny('x'), { ...containsAny(), value }].slice(1),
      'customClaims',
    )
    value.push('b')
    expect(rule).toEqual({ name: 'c', operator: 'CONTAINS_ANY', value: ['a'] })
    expect(Object.isFrozen(rule)).toBe(true)
  })
})
