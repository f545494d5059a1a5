import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { InboundVerifier, jwtBearer } from '../../src/inbound/index.js'
import { makeKey, signToken } from '../support/issuer.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const key = makeKey('ES256')
const issuer = 'https://idp.example'
const MAX_BYTES = 1024 * 1024
const TOKENS = 60

let unique = 0
const list = (length: number, item: () => unknown) => Array.from({ length }, item)

describe('what a verifier remembers', () => {
  it.each<[string, () => object]>([
    ['empty objects', () => ({ many: list(3000, () => ({})) })],
    ['objects of one shape each', () => ({ many: list(700, () => ({ [`k${unique++}`]: 1 })) })],
    ['members', () => Object.fromEntries(list(700, () => [`k${unique++}`, 1]) as [string, 1][])],
    ['characters of two bytes', () => ({ many: `${'a'.repeat(9000)}€${unique++}` })],
    ['scopes', () => ({ scope: list(1500, () => (unique++).toString(36)).join(' ') })],
    ['audiences', () => ({ aud: ['me', ...list(1000, () => `a${unique++}`)] })],
  ])('stays within maxBytes with many %s', async (_, claims) => {
    const exp = Math.floor(Date.now() / 1000) + 3600
    const make = () => signToken(key, { iss: issuer, sub: 'u', aud: 'me', exp, ...claims() })
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({
          issuer,
          jwks: { keys: [key.jwk] },
          allowedAudience: ['me'],
          cache: { maxBytes: MAX_BYTES },
        }),
      ],
    })
    const present = async (count: number) => {
      for (let n = 0; n < count; n++) {
        const token = make()
        for (let time = 0; time < 2; time++) {
          const { claims, scopes } = await verifier.verifyToken(token)
          expect(Object.isFrozen(claims) && Object.isFrozen(scopes)).toBe(true)
        }
      }
    }
    await present(5)
    const before = held()
    await present(TOKENS)
    expect(held() - before).toBeLessThan(1.1 * MAX_BYTES)
    await verifier.verifyToken(make())
  })
})

function held(): number {
  for (let times = 0; times < 3; times++) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
