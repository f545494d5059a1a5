// biome-ignore format: the primes of the published test
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
]
/** What the broken generator takes powers of. */
const GENERATOR = 65_537

/**
 * Whether an RSA modulus has the fingerprint of a generator whose keys can be factored (ROCA,
 * [CVE-2017-15361](https://nvd.nist.gov/vuln/detail/CVE-2017-15361)): its primes are `k × M + 65537^a mod M`, where `M` is
 * a product of small primes. So the modulus is a power of 65537 modulo each of them, which one sound modulus in 2^27 is.
 *
 * @param modulus Big-endian.
 */
export function isRocaModulus(modulus: Uint8Array): boolean {
  return PRIMES.every((prime) => isPowerOfGenerator(remainder(modulus, prime), prime))
}

function isPowerOfGenerator(value: number, prime: number): boolean {
  let power = 1
  do {
    if (power === value) return true
    power = (power * GENERATOR) % prime
  } while (power !== 1)
  return false
}

function remainder(bytes: Uint8Array, divisor: number): number {
  let rest = 0
  for (const byte of bytes) rest = (rest * 256 + byte) % divisor
  return rest
}
