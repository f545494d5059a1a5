import { wrong } from './option-checks.js'

/** How one issuer writes its access tokens. The presets fill it in; write one for an issuer of your own. */
export interface TokenProfile {
  /** The header's `typ` must be this one. Default: `JWT`, `at+jwt`, or none. */
  readonly typ?: string | undefined
  /** The claims that may name the client; the first that is there counts. Default: `client_id`, `azp`. */
  readonly clientClaims?: readonly string[] | undefined
  /** The claims that may hold the scopes; the first that is there counts. Default: `scope`, `scp`. */
  readonly scopeClaims?: readonly string[] | undefined
  /** Why this is no access token of the issuer; `undefined` when it is one. The text goes into the error's `reason`. */
  readonly refuse?: ((claims: Readonly<Record<string, unknown>>) => string | undefined) | undefined
  /**
   * Whether the token is a client's own, so that no user is behind it. Default: its subject is the client (RFC 9068
   * §2.2), or it says so in Auth0's or Microsoft Entra's words.
   */
  readonly isClient?: ((claims: Readonly<Record<string, unknown>>) => boolean) | undefined
}

const fields = { typ: 'string', clientClaims: 'list', scopeClaims: 'list' } as const

/** @throws `TypeError` naming the field that is wrong. */
export function checkProfile(profile: unknown): TokenProfile {
  if (profile === undefined) return {}
  if (typeof profile !== 'object' || profile === null) {
    throw wrong('profile', profile, 'must be an object')
  }
  for (const [name, value] of Object.entries(profile)) {
    if (value === undefined) continue
    if (name === 'refuse' || name === 'isClient') {
      if (typeof value !== 'function') throw wrong(`profile.${name}`, value, 'must be a function')
    } else if (!Object.hasOwn(fields, name)) {
      throw wrong('profile', name, 'has no such field')
    } else if (fields[name as keyof typeof fields] === 'string' ? !isText(value) : !isList(value)) {
      throw wrong(`profile.${name}`, value, 'must be a non-empty string, or a list of them')
    }
  }
  return Object.freeze({ ...profile })
}

/** RFC 7515 §4.1.9: "application/" may be left out, and media types ignore case. */
export function mediaType(typ: string | undefined): string | undefined {
  return typ?.toLowerCase().replace(/^application\//, '')
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isText)
}
