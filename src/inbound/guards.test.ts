import { describe, expect, it } from 'vitest'
import { InboundAuthError, isRefusal } from '../errors/inbound.js'
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

  describe('that are asynchronous', () => {
    const pass: Guard = async () => {}
    const deny: Guard = async () => {
      throw new InboundAuthError('ERR_INSUFFICIENT_SCOPE', { reason: 'x' })
    }
    const denyAtOnce: Guard = () => {
      throw new InboundAuthError('ERR_INSUFFICIENT_SCOPE', { reason: 'x' })
    }
    const thenable: Guard = () =>
      ({
        // biome-ignore lint/suspicious/noThenProperty: a promise of another library
        then: (_: unknown, refuse: (error: unknown) => void) => refuse(new RangeError('x')),
      }) as never
    const a = requireScopes('a')

    it.each<[string, Guard, boolean]>([
      ['any: passes, then refuses', requireAny(pass, deny), true],
      ['any: refuses, then passes', requireAny(deny, pass), true],
      ['any: refuses at once, then passes', requireAny(denyAtOnce, pass), true],
      ['any: refuses later, then passes at once', requireAny(deny, a), true],
      ['any: all refuse', requireAny(denyAtOnce, deny, deny), false],
      ['all: pass', requireAll(a, pass, pass), true],
      ['all: the first refuses', requireAll(deny, pass, a), false],
      ['all: the last refuses', requireAll(a, pass, deny), false],
      ['all: one at once refuses after one that passed later', requireAll(pass, denyAtOnce), false],
      ['nested', requireAll(a, requireAny(denyAtOnce, requireAll(pass, deny))), false],
    ])('%s', async (_, guard, passes) => {
      const answer = guard(caller('a'))
      expect(answer).toBeInstanceOf(Promise)
      if (passes) await expect(answer).resolves.toBeUndefined()
      else await expect(answer).rejects.toMatchObject({ status: 403 })
    })

    it('answers at once where nobody that was asked is asynchronous', () => {
      expect(requireAny(a, deny)(caller('a'))).toBeUndefined()
      expect(requireAll(a, requireAny(a, deny))(caller('a'))).toBeUndefined()
      expect(() => requireAll(requireScopes('b'), denyAtOnce)(caller('a'))).toThrow(
        InboundAuthError,
      )
    })

    it('names every scope that lacks, and the first refusal of several', async () => {
      const all = requireAll(requireScopes('x'), pass, requireScopes('y'))
      await expect(all(caller('x'))).rejects.toMatchObject({ requiredScopes: ['x', 'y'] })
      const any = requireAny(requireScopes('x'), deny, requireScopes('y'))
      await expect(any(caller())).rejects.toMatchObject({ requiredScopes: ['x'] })
    })

    it('lets errors that are no refusals through, those of thenables too', async () => {
      for (const guard of [requireAny(deny, thenable, pass), requireAll(pass, thenable)]) {
        await expect(guard(caller('a'))).rejects.toThrow(RangeError)
      }
    })

    it('takes refusals of another copy of the library for refusals', async () => {
      const copy = { ...new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', { reason: 'x' }) }
      const theirs = Object.assign(Object.create({ [Symbol.for('deputize.error')]: true }), copy)
      expect(isRefusal(theirs)).toBe(true)
      const refuse: Guard = async () => {
        throw theirs
      }
      await expect(requireAny(refuse, a)(caller('a'))).resolves.toBeUndefined()
      expect(requireAny(() => Promise.reject(theirs), pass)(caller())).toBeInstanceOf(Promise)
    })
  })

  const answers: [string, () => unknown][] = [
    ['false', () => false],
    ['true', () => true],
    ['null', () => null],
    ['a guard that was not called', () => requireScopes('admin')],
    ['a promise of false', async () => false],
    ['a thenable of a text', () => Promise.resolve('no')],
    ['a generator', function* () {}],
    ['an async generator', async function* () {}],
  ]
  it.each(answers)('an answer lets nobody pass: %s', async (_, answer) => {
    const odd = answer as Guard
    const guards = [requireAny(odd), requireAny(odd, requireScopes('a')), requireAll(odd)]
    for (const guard of [...guards, requireAll(requireScopes('a'), odd)]) {
      const asked = (async () => guard(caller('a')))()
      await expect(asked).rejects.toThrow(TypeError)
      await expect(asked).rejects.toThrow(/A guard returns nothing/)
    }
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
