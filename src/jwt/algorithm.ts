/**
 * The signature algorithms that a verifier can allow ([RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1),
 * [RFC 8037 §3.1](https://www.rfc-editor.org/rfc/rfc8037#section-3.1),
 * [RFC 9864 §2.2](https://www.rfc-editor.org/rfc/rfc9864#section-2.2)). `none` and HMAC are not among them: a key that
 * everybody can read must never serve as a shared secret.
 */
export const jwsAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

export type JwsAlgorithm = (typeof jwsAlgorithms)[number]

/** Whether `alg` is one of {@link jwsAlgorithms}, letter by letter. */
export function isJwsAlgorithm(alg: unknown): alg is JwsAlgorithm {
  return (jwsAlgorithms as readonly unknown[]).includes(alg)
}

/** Whether `alg` is EdDSA over Ed25519, by its old name or by the one of RFC 9864. */
export function isEd25519(alg: unknown): boolean {
  return alg === 'EdDSA' || alg === 'Ed25519'
}

/** The one kind of key that an algorithm goes with; an RSA key has no curve. */
export function keyKindOf(alg: JwsAlgorithm): { readonly kty: string; readonly crv?: string } {
  switch (alg) {
    case 'ES256':
      return { kty: 'EC', crv: 'P-256' }
    case 'ES384':
      return { kty: 'EC', crv: 'P-384' }
    case 'ES512':
      return { kty: 'EC', crv: 'P-521' }
    case 'EdDSA':
    case 'Ed25519':
      return { kty: 'OKP', crv: 'Ed25519' }
    default:
      return { kty: 'RSA' }
  }
}
