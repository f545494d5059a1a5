/** What the benches verify: keys, and as many different tokens as are wanted. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export type BenchAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

export const issuer = 'https://issuer.example/tenant-1'
export const audience = 'https://api.example'

export interface TokenSet {
  readonly alg: BenchAlgorithm
  readonly publicKey: KeyObject
  readonly jwk: JsonWebKey & { readonly kid: string; readonly alg: string }
  readonly tokens: readonly string[]
}

/** `count` tokens that differ, of 14 claims and 800 to 1100 characters, good for an hour. */
export function makeTokens(alg: BenchAlgorithm, count: number): TokenSet {
  const { privateKey, publicKey } =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : alg === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  const kid = `bench-${alg.toLowerCase()}`
  const head = encode({ alg, typ: 'at+jwt', kid })
  const now = Math.floor(Date.now() / 1000)
  const tokens = Array.from({ length: count }, (_, at) => {
    const claims = {
      iss: issuer,
      sub: `auth0|user-${100_000 + at}`,
      aud: [audience, 'https://other.example'],
      iat: now - 10,
      nbf: now - 10,
      exp: now + 3600,
      jti: crypto.randomUUID(),
      client_id: 'm2m-client-7f3a9c',
      scope: 'openid profile email read:orders write:orders',
      azp: 'm2m-client-7f3a9c',
      tenant: 'tenant-1',
      roles: ['admin', 'editor', 'viewer'],
      email: `user-${at}@customer.example`,
      context: { region: 'eu-west-1', plan: 'enterprise', session: crypto.randomUUID() },
    }
    const input = `${head}.${encode(claims)}`
    const key =
      alg === 'ES256' ? { key: privateKey, dsaEncoding: 'ieee-p1363' as const } : privateKey
    const signature = sign(alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), key)
    // Flat, as a string is that comes from the network.
    return Buffer.from(`${input}.${signature.toString('base64url')}`).toString('latin1')
  })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
  return { alg, publicKey, jwk, tokens }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
