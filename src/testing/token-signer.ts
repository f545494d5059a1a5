import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'

/** What an access token says, besides who issued it and when (RFC 9068 §2.2). */
export interface AccessTokenClaims {
  readonly subject: string
  readonly audience: string | readonly string[]
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly ttlMs: number
  /** Laid over the others: also to make a token that a verifier must refuse. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/** The ES256 key of an authorization server, and the tokens that it signs. */
export class TokenSigner {
  readonly #issuer: string
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly #kid = randomUUID()

  constructor(issuer: string) {
    this.#issuer = issuer
  }

  /** The public key as a JWK Set (RFC 7517 §5). */
  jwks(): { readonly keys: readonly object[] } {
    const jwk = this.#keys.publicKey.export({ format: 'jwk' })
    return { keys: [{ ...jwk, kid: this.#kid, alg: 'ES256', use: 'sig' }] }
  }

  accessToken(token: AccessTokenClaims): string {
    const { subject, audience, clientId, scopes, ttlMs, claims } = token
    return this.#sign('at+jwt', ttlMs, {
      sub: subject,
      aud: audience,
      client_id: clientId,
      jti: randomUUID(),
      ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
      ...claims,
    })
  }

  idToken(token: { subject: string; clientId: string; nonce?: string; ttlMs: number }): string {
    const { subject, clientId, nonce, ttlMs } = token
    return this.#sign('JWT', ttlMs, {
      sub: subject,
      aud: clientId,
      ...(nonce === undefined ? {} : { nonce }),
    })
  }

  #sign(typ: string, ttlMs: number, claims: Readonly<Record<string, unknown>>): string {
    const nowMs = Date.now()
    const payload = {
      iss: this.#issuer,
      iat: Math.floor(nowMs / 1000),
      exp: Math.floor((nowMs + ttlMs) / 1000),
      ...claims,
    }
    const input = `${encode({ alg: 'ES256', typ, kid: this.#kid })}.${encode(payload)}`
    const signature = sign('sha256', Buffer.from(input), {
      key: this.#keys.privateKey,
      dsaEncoding: 'ieee-p1363',
    })
    return `${input}.${signature.toString('base64url')}`
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
