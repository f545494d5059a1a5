import { format, inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { AccessToken } from './access-token.js'

const VALUE = 'c4n4ry-t0k3n'
const facts = {
  tokenType: 'Bearer',
  expiresAtMs: 1_800_000_000_000,
  scopes: ['read'],
  missingScopes: ['write'],
  provider: 'api',
  account: 'work',
}
const token = new AccessToken(VALUE, facts)

describe('AccessToken', () => {
  it('gives the token and the header value when asked for them', () => {
    expect(token.value).toBe(VALUE)
    expect(token.authorization).toBe(`Bearer ${VALUE}`)
    expect(new AccessToken(VALUE, { ...facts, tokenType: 'DPoP' }).authorization).toBe(
      `DPoP ${VALUE}`,
    )
  })

  it('shows its facts', () => {
    expect(token).toMatchObject(facts)
    expect(JSON.parse(JSON.stringify(token))).toEqual({ value: '[redacted]', ...facts })
    expect(inspect(token)).toMatch(/^AccessToken \{\s+value: '\[redacted\]',\s+tokenType: 'Bearer'/)
    const { expiresAtMs: _, account: __, ...few } = facts
    expect(Object.keys(new AccessToken(VALUE, few)).sort()).toEqual(Object.keys(few).sort())
  })

  const own = Reflect.ownKeys(token).map((key) => Reflect.get(token, key))
  it.each<[string, () => unknown]>([
    ['a template string', () => `${token}`],
    ['concatenation', () => `x${String(token)}`],
    ['JSON', () => JSON.stringify({ deep: [token] })],
    ['inspect', () => inspect(token)],
    [
      'inspect with everything',
      () => inspect({ token }, { showHidden: true, depth: 9, getters: true }),
    ],
    ['format', () => format('%s %o %O %j', token, token, token, token)],
    ['entries', () => JSON.stringify([Object.entries(token), Object.values(token), own])],
    ['spreading', () => inspect({ ...token })],
    ['assigning', () => inspect(Object.assign({}, token))],
    ['cloning', () => inspect(structuredClone(token))],
    [
      'serialising',
      () => `${serialize(token).toString('latin1')}${inspect(deserialize(serialize(token)))}`,
    ],
    ['a proxy', () => inspect(new Proxy(token, {}), { showProxy: true })],
    ['an error that holds it', () => inspect(Object.assign(new Error(`bad ${token}`), { token }))],
    ['a form', () => new URLSearchParams({ token: token as never }).toString()],
  ])('W05 W06 is not printed by %s', (_, print) => {
    expect(print()).not.toContain(VALUE)
  })

  it('W05 explains the mistake of putting the object into text', () => {
    expect(`Bearer ${token}`).toBe('Bearer [redacted: use .value or .authorization]')
  })

  it('cannot be changed, nor read through a copy', () => {
    expect(() => Object.assign(token, { provider: 'other' })).toThrow(TypeError)
    expect(() => (token.scopes as string[]).push('admin')).toThrow(TypeError)
    expect(() => Object.create(token).value).toThrow(TypeError)
    expect('value' in { ...token }).toBe(false)
  })
})
