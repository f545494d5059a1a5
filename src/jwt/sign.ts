/** A private signing key, P-256 (ES256), as a JWK. Holds a secret. */
export interface PrivateJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly d: string
}

/** The public half, as it is published (RFC 7517). */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly alg: 'ES256'
  readonly use: 'sig'
  /** The RFC 7638 thumbprint. */
  readonly kid: string
}

/** A key ready to sign with. */
export interface SigningKey {
  readonly key: CryptoKey
  readonly public: PublicJwk
}

/** A fresh ES256 key. */
export async function generateSigningJwk(): Promise<PrivateJwk> {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const { x, y, d } = await crypto.subtle.exportKey('jwk', pair.privateKey)
  return { kty: 'EC', crv: 'P-256', x: x!, y: y!, d: d! }
}

/**
 * Makes a JWK ready to sign with, not extractable any more.
 *
 * @throws `TypeError` It is no private P-256 key.
 */
export async function importSigningKey(jwk: PrivateJwk): Promise<SigningKey> {
  const { kty, crv, x, y, d } = jwk
  try {
    const key = await crypto.subtle.importKey(
      'jwk',
      { kty, crv, x, y, d },
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    )
    const { calculateJwkThumbprint } = await import('jose')
    const kid = await calculateJwkThumbprint({ kty, crv, x, y })
    return { key, public: { kty, crv, x, y, alg: 'ES256', use: 'sig', kid } }
  } catch {
    throw new TypeError('A signing key must be a private JWK of kty "EC" and crv "P-256" (ES256).')
  }
}

/** Signs a JWT. */
export async function signJwt(
  payload: Readonly<Record<string, unknown>>,
  typ: string,
  key: SigningKey,
): Promise<string> {
  const { SignJWT } = await import('jose')
  return new SignJWT({ ...payload })
    .setProtectedHeader({ alg: 'ES256', kid: key.public.kid, typ })
    .sign(key.key)
}
