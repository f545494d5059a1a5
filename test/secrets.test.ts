/** What `npm run proof secrets` proves, once through; and that the walker would see a leak. */
import { describe, expect, it } from 'vitest'
import { scenes } from './support/secret-scenes.js'
import { Canaries, leaksOf, printings } from './support/secret-walker.js'

it('W04 W05 W06 no public object and no error shows a secret, in whatever way it is printed', async () => {
  const canaries = new Canaries()
  const counts = { scenes: 0, errors: 0, prints: 0 }
  const names = new Set<string>()
  for await (const { name, value } of scenes(canaries)) {
    const { leaks, prints } = leaksOf(canaries, name, value)
    expect(leaks).toEqual([])
    counts.scenes++
    counts.prints += prints
    if (value instanceof Error) {
      counts.errors++
      names.add(value.name)
    }
  }
  // Far fewer would mean that the scenes were not reached.
  expect(counts.scenes).toBeGreaterThan(600)
  expect(counts.errors).toBeGreaterThan(400)
  expect(counts.prints).toBe(counts.scenes * 24)
  expect(canaries.size).toBeGreaterThan(800)
  expect([...names]).toEqual(
    expect.arrayContaining([
      'AuthorizationRequiredError',
      'ConfigurationError',
      'ConsentFailedError',
      'InboundAuthError',
      'KeyUnavailableError',
      'NetworkError',
      'OAuthRefusedError',
      'OriginNotAllowedError',
      'ServerResponseError',
      'TypeError',
      'VaultCorruptError',
      'VaultUnavailableError',
    ]),
  )
})

describe('the walker', () => {
  const canaries = new Canaries()
  const secret = canaries.make('secret')
  const bytes = canaries.add(
    'key',
    new Uint8Array(32).map((_, at) => at * 7 + 3),
  )
  const hidden = Object.defineProperty({}, 'token', { value: secret })
  it.each<[string, unknown]>([
    ['a member', { token: secret }],
    ['a member, deep', { a: { b: { c: { d: { e: [secret] } } } } }],
    ['a hidden member', hidden],
    ['a member under a symbol', { [Symbol('token')]: secret }],
    [
      'an own getter',
      {
        get token() {
          return secret
        },
      },
    ],
    ['a name', { [secret]: 1 }],
    ['a message', new Error(`got ${secret}`)],
    ['a cause', new Error('x', { cause: new Error('y', { cause: { body: secret } }) })],
    ['a member of an AggregateError', new AggregateError([new Error(secret)])],
    ['a Map', new Map([['token', { secret }]])],
    ['toString()', { toString: () => secret }],
    ['toJSON()', { toJSON: () => ({ secret }) }],
    ['base64', { token: Buffer.from(secret).toString('base64') }],
    ['hexadecimal', Buffer.from(secret).toString('hex')],
    ['a URL', new URL(`https://a.example/?t=${secret}`)],
    ['a key in bytes', { key: bytes }],
    ['a key in a Buffer', { key: Buffer.from(bytes) }],
    ['a key in base64', Buffer.from(bytes).toString('base64')],
    ['headers', new Headers({ authorization: `Bearer ${secret}` })],
  ])('sees a secret in %s', (_, value) => {
    expect(leaksOf(canaries, 'x', value).leaks).not.toEqual([])
  })

  it('sees none where there is none, and tries every way', () => {
    expect(leaksOf(canaries, 'x', { token: '[redacted]' }).leaks).toEqual([])
    expect([...printings(undefined)]).toHaveLength(24)
  })
})
