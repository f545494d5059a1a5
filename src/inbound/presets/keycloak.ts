import { refuseMetadataUrl } from '../../address.js'
import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { type Claims, knownToPresets, matching, type PresetOptions } from './preset-options.js'

/** What {@link keycloakTokens} takes. */
export interface KeycloakOptions extends PresetOptions {
  /** The realm's URL, such as `https://sso.example.com/realms/acme`. */
  readonly issuer: string
}

/**
 * Access tokens of a Keycloak realm: the client in `azp`, and the claim `typ` is `Bearer` (or `DPoP`, for a bound token).
 * The audience needs a mapper or a client scope; without one it is `account` or missing. Roles stay in the claims
 * `realm_access` and `resource_access`.
 *
 * @throws `TypeError` `issuer` is no realm's URL.
 */
export function keycloakTokens(options: KeycloakOptions): JwtBearerOptions {
  checkOptionNames(options, 'keycloakTokens()', { ...knownToPresets, issuer: true })
  const form = "a realm's URL, such as https://sso.example.com/realms/acme"
  refuseMetadataUrl(options.issuer, 'issuer')
  matching('issuer', options.issuer, /^https?:\/\/[^?#]+\/realms\/[^/?#]+$/, form)
  return {
    ...options,
    profile: {
      clientClaims: ['azp'],
      scopeClaims: ['scope'],
      refuse: ({ typ }) =>
        typ === 'Bearer' || typ === 'DPoP' ? undefined : 'the claim typ is neither Bearer nor DPoP',
      isClient: isServiceAccount,
    },
  }
}

/** The service account of a client is a user of the realm, named after it. */
function isServiceAccount({ azp, preferred_username: name }: Claims): boolean {
  return typeof azp === 'string' && name === `service-account-${azp.toLowerCase()}`
}
