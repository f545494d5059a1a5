import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { checkBoolean } from '../option-checks.js'
import { knownToPresets, matching, type PresetOptions } from './preset-options.js'

/** What {@link auth0Tokens} takes. */
export interface Auth0Options extends PresetOptions {
  /** Such as `acme.eu.auth0.com`, or your custom domain; the issuer is `https://<domain>/`. */
  readonly domain: string
  /**
   * Takes the list in `permissions` for the scopes, for an API with "Add Permissions in the Access Token". It holds all
   * that the user may do, also what the client did not ask for. Default `false`: `scope`.
   */
  readonly permissionsAsScopes?: boolean | undefined
}

/**
 * Access tokens of Auth0 for an API: the issuer ends in a slash, the client is in `azp` (`client_id` in the RFC 9068
 * profile), a client's own token has the subject `<client>@clients`. A token without an API's audience is opaque.
 *
 * @throws `TypeError` `domain` is no host name.
 * @see {@link https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles}
 */
export function auth0Tokens(options: Auth0Options): JwtBearerOptions {
  checkOptionNames(options, 'auth0Tokens()', {
    ...knownToPresets,
    domain: true,
    permissionsAsScopes: true,
  })
  const { domain, permissionsAsScopes, ...rest } = options
  const host = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/
  matching('domain', domain, host, 'a host name in lower case, without https://')
  checkBoolean('permissionsAsScopes', permissionsAsScopes)
  return {
    ...rest,
    issuer: `https://${domain}/`,
    jwksUri: `https://${domain}/.well-known/jwks.json`,
    profile: {
      clientClaims: ['client_id', 'azp'],
      scopeClaims: permissionsAsScopes ? ['permissions'] : ['scope'],
      refuse: ({ client_id: client, azp }) =>
        client === undefined && azp === undefined ? 'an ID token names no client' : undefined,
      isClient: ({ gty, sub }) =>
        gty === 'client-credentials' || (typeof sub === 'string' && sub.endsWith('@clients')),
    },
  }
}
