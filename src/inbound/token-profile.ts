import { checkFunction, checkOptionNames, type KnownOptions } from '../option-names.js'
import { checkBoolean, wrong } from './option-checks.js'

/** How one issuer writes its access tokens. The presets fill it in; write one for an issuer of your own. */
export interface TokenProfile {
  /** The header's `typ` must be this one. Default: `JWT`, `at+jwt`, or none. */
  readonly typ?: string | undefined
  /** The claims that may name the client; the first that is there counts. Default: `client_id`, `azp`. */
  readonly clientClaims?: readonly string[] | undefined
  /** The claims that may hold the scopes; the first that is there counts. Default: `scope`, `scp`. */
  readonly scopeClaims?: readonly string[] | undefined
  /** Accepts `scope` as a list of strings, too, as Spring Authorization Server writes it. Default: a list is refused. */
  readonly scopeLists?: boolean | undefined
  /**
   * `'client'`: a token without `sub` is the client's own, and the principal has no `user`. One that has a `username`,
   * `preferred_username`, `user_name`, `user_id`, `email` or `upn`, or that `isClient` says no to, is refused all the same.
   * Default: every token needs `sub`.
   */
  readonly tokensWithoutSubject?: 'client' | undefined
  /** Why this is no access token of the issuer; `undefined` when it is one. The text goes into the error's `reason`. */
  readonly refuse?: ((claims: Readonly<Record<string, unknown>>) => string | undefined) | undefined
  /**
   * Whether the token is a client's own, so that no user is behind it. Default: its subject is the client (RFC 9068
   * §2.2), or it says so in Auth0's or Microsoft Entra's words.
   */
  readonly isClient?: ((claims: Readonly<Record<string, unknown>>) => boolean) | undefined
}

const known: KnownOptions<TokenProfile> = {
  typ: true,
  clientClaims: true,
  scopeClaims: true,
  scopeLists: true,
  tokensWithoutSubject: true,
  refuse: true,
  isClient: true,
}

/** @throws `TypeError` naming the field that is wrong. */
export function checkProfile(profile: TokenProfile | undefined): TokenProfile {
  if (profile === undefined) return {}
  checkOptionNames(profile, 'profile', known)
  const { typ, clientClaims, scopeClaims, scopeLists, tokensWithoutSubject } = profile
  const { refuse, isClient } = profile
  if (typ !== undefined && !isText(typ)) {
    throw wrong('profile.typ', typ, 'must be a non-empty string')
  }
  for (const [name, list] of Object.entries({ clientClaims, scopeClaims })) {
    if (list === undefined || isList(list)) continue
    throw wrong(`profile.${name}`, list, 'must be a list of at least one non-empty string')
  }
  checkBoolean('profile.scopeLists', scopeLists)
  if (tokensWithoutSubject !== undefined && tokensWithoutSubject !== 'client') {
    throw wrong(
      'profile.tokensWithoutSubject',
      tokensWithoutSubject,
      'must be "client", or left out',
    )
  }
  checkFunction(refuse, 'profile.refuse')
  checkFunction(isClient, 'profile.isClient')
  return Object.freeze({
    typ,
    clientClaims,
    scopeClaims,
    scopeLists,
    tokensWithoutSubject,
    refuse,
    isClient,
  })
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
