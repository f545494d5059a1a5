import { checkPrimeSync, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { PublicKey } from './public-key.js'
import { isRocaModulus } from './roca.js'

/** The first `count` primes. */
function primes(count: number): number[] {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime)) found.push(n)
  return found
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  for (
    let bit = exponent, square = base;
    bit > 0n;
    bit >>= 1n, square = (square * square) % modulus
  ) {
    if (bit & 1n) result = (result * square) % modulus
  }
  return result
}

/** A prime as the generator makes it: `k × M + 65537^a mod M`. */
function rocaPrime(bits: number, smallPrimes: number, a: bigint): bigint {
  const m = primes(smallPrimes).reduce((product, prime) => product * BigInt(prime), 1n)
  const rest = power(65_537n, a, m)
  for (let k = 3n << BigInt(bits - m.toString(2).length - 1); ; k++) {
    const candidate = k * m + rest
    if (checkPrimeSync(candidate)) return candidate
  }
}

const bytesOf = (n: bigint) =>
  Buffer.from(n.toString(16).padStart(2 * Math.ceil(n.toString(16).length / 2), '0'), 'hex')
const jwkOf = (n: bigint) => ({ kty: 'RSA', e: 'AQAB', n: bytesOf(n).toString('base64url') })

describe('RSA keys of the ROCA family', () => {
  it.each([
    [2048, 126],
    [2048, 39],
  ])('are refused: %i bits, M of %i primes', (bits, smallPrimes) => {
    const [p, q] = [12_345n, 987_654_321n].map((a) => rocaPrime(bits / 2, smallPrimes, a)) as [
      bigint,
      bigint,
    ]
    const modulus = p * q
    expect(modulus.toString(2).length).toBeGreaterThanOrEqual(bits)
    expect(isRocaModulus(bytesOf(modulus))).toBe(true)
    expect(PublicKey.read(jwkOf(modulus))).toContain('CVE-2017-15361')
    // Leading zeros are no way around it, and one that differs at one small prime alone is none of them.
    expect(isRocaModulus(Buffer.concat([Buffer.alloc(3), bytesOf(modulus)]))).toBe(true)
    const others = primes(39).filter((prime) => prime > 2 && prime !== 11)
    const step = others.reduce((product, prime) => product * BigInt(prime), 2n)
    const results = Array.from({ length: 11 }, (_, n) =>
      isRocaModulus(bytesOf(modulus + BigInt(n) * step)),
    )
    // Modulo 11, 65537 has two powers.
    expect(results.filter(Boolean)).toHaveLength(2)
  })

  it('are not those that this machine makes', () => {
    for (let n = 0; n < 5; n++) {
      const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
        format: 'jwk',
      })
      expect(PublicKey.read(jwk)).toBeInstanceOf(PublicKey)
    }
  })
})
