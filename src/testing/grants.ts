import { createHash, randomBytes } from 'node:crypto'

/** An error response of the token endpoint (RFC 6749 §5.2). */
export class GrantRefusal extends Error {
  readonly oauthError: string
  readonly status: number

  constructor(oauthError: string, description: string, status = 400) {
    super(description)
    this.oauthError = oauthError
    this.status = status
  }
}

/** What a user approved. */
export interface Approval {
  readonly subject: string
  readonly scopes: readonly string[]
  readonly resource?: string | undefined
  readonly nonce?: string | undefined
}

/** A code as it was asked for. */
export interface CodeRequest extends Approval {
  readonly redirectUri: string
  /** S256 (RFC 7636 §4.2). */
  readonly codeChallenge: string
}

interface Family {
  readonly approval: Approval
  /** The one refresh token that is not spent. */
  current: string
  revoked: boolean
}

interface Code {
  readonly request: CodeRequest
  readonly endsMs: number
  /** Set once the code is spent. */
  family?: Family
}

const CODE_TTL_MS = 60_000
const MAX_KEPT = 10_000

/** Codes and refresh tokens: single use, rotation, and the end of the whole family at the second use of either. */
export class Grants {
  readonly #codes = new Map<string, Code>()
  readonly #families = new Map<string, Family>()

  issueCode(request: CodeRequest): string {
    const code = newToken()
    keep(this.#codes, code, { request, endsMs: Date.now() + CODE_TTL_MS })
    return code
  }

  redeemCode(code: string, redirectUri: string, verifier: string) {
    const held = this.#codes.get(code)
    if (held?.family) {
      held.family.revoked = true // RFC 6749 §4.1.2
      throw new GrantRefusal('invalid_grant', 'the code was used before')
    }
    if (held === undefined || held.endsMs < Date.now()) {
      throw new GrantRefusal('invalid_grant', 'the code is unknown or too old')
    }
    const { request } = held
    if (request.redirectUri !== redirectUri) {
      throw new GrantRefusal('invalid_grant', 'redirect_uri is not the one of the authorization')
    }
    if (createHash('sha256').update(verifier).digest('base64url') !== request.codeChallenge) {
      throw new GrantRefusal('invalid_grant', 'code_verifier does not fit the challenge')
    }
    const family: Family = { approval: request, current: newToken(), revoked: false }
    held.family = family
    keep(this.#families, family.current, family)
    return { approval: family.approval, refreshToken: family.current }
  }

  refresh(token: string) {
    const family = this.#families.get(token)
    if (family === undefined || family.revoked) {
      throw new GrantRefusal('invalid_grant', 'the refresh token is unknown or revoked')
    }
    if (family.current !== token) {
      family.revoked = true // RFC 9700 §4.14.2
      throw new GrantRefusal('invalid_grant', 'the refresh token was used before')
    }
    family.current = newToken()
    keep(this.#families, family.current, family)
    return { approval: family.approval, refreshToken: family.current }
  }

  /** RFC 7009: unknown tokens are no error. */
  revoke(token: string): void {
    const family = this.#families.get(token)
    if (family) family.revoked = true
  }
}

function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** A long test run must not fill the memory: the oldest goes. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= MAX_KEPT) return
    map.delete(oldest)
  }
}
