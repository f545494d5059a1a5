import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { AccessToken } from './access-token.js'

const canary = 'canary-91bd'
const facts = {
  tokenType: 'DPoP',
  expiresAtMs: 1_800_000_000_000,
  scopes: ['a', 'b'],
  missingScopes: ['c'],
  provider: 'billing',
  account: 'me@example.com',
}
const token = new AccessToken(canary, facts)

describe('AccessToken', () => {
  it('gives the token and the ready header value', () => {
    expect(token.value).toBe(canary)
    expect(token.authorization).toBe(`DPoP ${canary}`)
    expect({ ...token }).toEqual(facts)
  })

  it('shows its facts where it is printed', () => {
    expect(JSON.parse(JSON.stringify(token))).toEqual({ value: '[redacted]', ...facts })
    expect(inspect(token)).toMatch(
      /^AccessToken \{[\s\S]*value: '\[redacted\]'[\s\S]*provider: 'billing'/,
    )
    expect(`${token}`).toBe('[redacted: use .value or .authorization]')
  })

  it.each<[string, () => unknown]>([
    ['String', () => String(token)],
    ['concatenation', () => `Bearer ${token as unknown as string}`],
    ['JSON', () => JSON.stringify([token])],
    [
      'inspect',
      () => inspect({ a: { b: token } }, { depth: null, showHidden: true, getters: true }),
    ],
    ['inspect without its hook', () => inspect(token, { customInspect: false, showHidden: true })],
    ['spread', () => inspect({ ...token })],
    ['Object.assign', () => inspect(Object.assign({}, token))],
    ['descriptors', () => inspect(Object.getOwnPropertyDescriptors(token))],
    ['structuredClone', () => inspect(structuredClone(token))],
    ['v8.serialize', () => serialize(token).toString('latin1')],
  ])('W04 W05 W06 is not printed by %s', (_, print) => {
    expect(print()).not.toContain(canary)
  })

  it('cannot be changed, and keeps lists of its own', () => {
    const scopes = ['a']
    const made = new AccessToken(canary, { ...facts, scopes })
    scopes.push('admin')
    expect(made.scopes).toEqual(['a'])
    expect(
      Object.isFrozen(made) && Object.isFrozen(made.scopes) && Object.isFrozen(made.missingScopes),
    ).toBe(true)
    expect(() => Object.assign(made, { tokenType: 'Basic' })).toThrow(TypeError)
  })

  it('leaves out what is not known', () => {
    const { expiresAtMs: _, account: __, ...rest } = facts
    const bare = new AccessToken(canary, { ...rest, expiresAtMs: undefined, account: undefined })
    expect(bare.expiresAtMs).toBeUndefined()
    expect(Object.keys(JSON.parse(JSON.stringify(bare)))).not.toContain('account')
  })
})
