import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import {
  isPrincipal,
  makePrincipal,
  type Principal,
  presentedToken,
  sameUser,
} from './principal.js'
import { Secret } from './secret.js'

const canary = 'canary-c05e'
const facts: Principal = {
  method: 'jwt',
  issuer: 'https://idp.example',
  subject: 'u1',
  clientId: 'web',
  scopes: ['read'],
  audience: ['agent'],
  actor: { subject: 'proxy', actor: { subject: 'first' } },
  claims: Object.freeze(Object.assign(Object.create(null), { groups: Object.freeze(['a']) })),
  expiresAtMs: 1,
  iam: { accountId: '1', arn: 'a', principalArn: 'p', userId: 'u' },
  user: { issuer: 'https://idp.example', subject: 'u1' },
}
const principal = makePrincipal(facts, new Secret(canary))

describe('the brand of a Principal', () => {
  it('is on what a verifier made', () => {
    expect(isPrincipal(principal)).toBe(true)
    expect(principal).toMatchObject(facts)
  })

  const prototype: object = Object.getPrototypeOf(principal)
  const brand = Symbol.for('deputize.principal')
  it.each<[string, unknown]>([
    ['a literal', { ...facts }],
    ['a literal with the symbol', { ...facts, [brand]: true }],
    [
      'a literal with a getter of the symbol',
      Object.defineProperty({ ...facts }, brand, { get: () => true }),
    ],
    ['a spread copy', { ...principal }],
    ['Object.assign', Object.assign({}, principal)],
    ['parsed JSON', JSON.parse(JSON.stringify(principal))],
    ['a structured clone', structuredClone(principal)],
    ['an object of the same prototype', Object.assign(Object.create(prototype), facts)],
    ['the prototype itself', prototype],
    ['an object that inherits from one', Object.create(principal)],
    ['a setPrototypeOf', Object.setPrototypeOf({ ...facts }, prototype)],
    ['a Proxy of one', new Proxy(principal, {})],
    ['a Proxy of a literal', new Proxy({ ...facts }, {})],
    [
      'a Proxy that throws',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('no')
          },
        },
      ),
    ],
    ['own descriptors', Object.defineProperties({}, Object.getOwnPropertyDescriptors(principal))],
    ['a string', 'u1'],
    ['null', null],
    ['undefined', undefined],
    ['a function', () => principal],
  ])('J63 is not on %s', (_, value) => {
    expect(isPrincipal(value)).toBe(false)
  })
})

describe('makePrincipal', () => {
  it('freezes all it holds', () => {
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      expect(Object.isFrozen(value)).toBe(true)
      for (const inner of Object.values(value)) walk(inner)
    }
    walk(principal)
    expect(() => Object.assign(principal, { subject: 'admin' })).toThrow(TypeError)
    expect(() => Object.assign(principal.user!, { subject: 'admin' })).toThrow(TypeError)
  })

  it('keeps nothing of what the caller could change later', () => {
    const scopes = ['read']
    const user = { issuer: 'i', subject: 's', admin: true }
    const made = makePrincipal({ ...facts, scopes, user })
    scopes.push('admin')
    user.subject = 'other'
    expect(made.scopes).toEqual(['read'])
    expect(made.user).toEqual({ issuer: 'i', subject: 's' })
  })

  it('asks for claims once, when they are first read', () => {
    let asked = 0
    const claims = () => {
      asked++
      return Object.freeze({ groups: Object.freeze(['a']) })
    }
    const made = makePrincipal({ ...facts, claims })
    expect([Object.keys(made).includes('claims'), asked]).toEqual([true, 0])
    expect(made.claims).toBe({ ...made }.claims)
    expect(made).toMatchObject({ claims: { groups: ['a'] } })
    expect(JSON.parse(JSON.stringify(made))).toMatchObject({ claims: { groups: ['a'] } })
    expect(structuredClone(made).claims).toEqual({ groups: ['a'] })
    expect(inspect(made)).toContain("claims: { groups: [ 'a' ] }")
    expect(asked).toBe(1)
    expect(() => Object.assign(made, { claims: {} })).toThrow(TypeError)
  })

  it('has no members that it was not given', () => {
    const bare = makePrincipal({
      method: 'jwt',
      issuer: 'i',
      subject: 's',
      scopes: [],
      audience: [],
      claims: {},
    })
    expect(Object.keys(bare).sort()).toEqual(
      ['method', 'issuer', 'subject', 'scopes', 'audience', 'claims'].sort(),
    )
    expect(presentedToken(bare)).toBeUndefined()
  })

  it('W05 W06 hands out the presented token to the library and prints it nowhere', () => {
    expect(presentedToken(principal)?.reveal()).toBe(canary)
    const all = { depth: null, showHidden: true, getters: true } as const
    for (const shown of [
      JSON.stringify(principal),
      inspect(principal, all),
      inspect(principal, { ...all, customInspect: false }),
      inspect({ ...principal }, all),
      inspect(Object.getOwnPropertyDescriptors(principal), all),
      serialize(principal).toString('latin1'),
      inspect(structuredClone(principal), all),
    ]) {
      expect(shown).not.toContain(canary)
    }
  })
})

it('J60 a user is the pair, never one of the two', () => {
  const user = { issuer: 'a', subject: 'b' }
  expect(sameUser(user, { ...user })).toBe(true)
  expect(sameUser(user, { issuer: 'a', subject: 'c' })).toBe(false)
  expect(sameUser(user, { issuer: 'c', subject: 'b' })).toBe(false)
  expect(sameUser({ issuer: 'ab', subject: 'c' }, { issuer: 'a', subject: 'bc' })).toBe(false)
})
