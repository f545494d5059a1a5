import { describe, expect, it } from 'vitest'
import { InboundAuthError } from '../errors/inbound.js'
import { makePrincipal } from '../principal.js'
import { type Guard, requireAll, requireAny, requireScopes } from './guards.js'

const facts = { method: 'jwt', issuer: 'i', subject: 's', audience: [], claims: {} } as const
const caller = (...scopes: string[]) => makePrincipal({ ...facts, scopes })

/** What a refused caller is told to ask for; `true` when it passes. */
function outcome(guard: Guard, ...scopes: string[]): unknown {
  try {
    guard(caller(...scopes))
    return true
  } catch (error) {
    if (error instanceof InboundAuthError && error.status === 403) return error.requiredScopes
    throw error
  }
}

describe('guards', () => {
  it.each([
    [['read'], true],
    [['write', 'read'], true],
    [[], ['read']],
    [['readwrite'], ['read']],
    [['READ'], ['read']],
  ])('J58 requireScopes with %j: %j', (held, expected) => {
    expect(outcome(requireScopes('read'), ...held)).toEqual(expected)
  })

  it('lists all that is needed, held already or not', () => {
    expect(outcome(requireScopes('a', 'b'), 'a')).toEqual(['a', 'b'])
    const all = requireAll(requireScopes('a'), requireScopes('b', 'a'), requireScopes('c'))
    expect(outcome(all, 'a', 'b')).toEqual(['a', 'b', 'c'])
    expect(outcome(all, 'a', 'b', 'c')).toBe(true)
  })

  it('lets any of several guards do, and names the first', () => {
    const any = requireAny(requireScopes('read'), requireAll(requireScopes('write', 'audit')))
    expect(outcome(any, 'read')).toBe(true)
    expect(outcome(any, 'audit', 'write')).toBe(true)
    expect(outcome(any, 'write')).toEqual(['read'])
    expect(outcome(requireAll(any, requireScopes('x')), 'write')).toEqual(['read', 'x'])
  })

  it('runs guards of others, and lets what they throw through', () => {
    const staff: Guard = ({ subject }) => {
      if (subject === 's') throw new RangeError('not staff')
    }
    expect(() => outcome(requireAny(staff, requireScopes('a')), 'a')).toThrow(RangeError)
    expect(() => outcome(requireAll(requireScopes('a'), staff), 'a')).toThrow(RangeError)
    const unproved: Guard = () => {
      throw new InboundAuthError('ERR_PROOF_REQUIRED', { reason: 'x' })
    }
    expect(() => outcome(requireAll(unproved), 'a')).toThrow(InboundAuthError)
  })

  it('takes a verified principal only', () => {
    const copy = { ...caller('read') }
    for (const guard of [requireScopes('read'), requireAny(requireScopes('read'))]) {
      expect(() => guard(copy)).toThrow(TypeError)
      expect(() => guard(undefined as never)).toThrow(TypeError)
    }
  })

  it.each([
    () => requireScopes(),
    () => requireScopes('a b'),
    () => requireScopes(''),
    () => requireAny(),
    () => requireAll('a' as never),
  ])('refuses wrong arguments: %s', (make) => {
    expect(make).toThrow(TypeError)
  })
})
