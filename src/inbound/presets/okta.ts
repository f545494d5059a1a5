import { refuseMetadataUrl } from '../../address.js'
import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { knownToPresets, matching, type PresetOptions } from './preset-options.js'

/** What {@link oktaTokens} takes. */
export interface OktaOptions extends PresetOptions {
  /** The custom authorization server, such as `https://acme.okta.com/oauth2/default`. */
  readonly issuer: string
}

/**
 * Access tokens of an Okta custom authorization server: the client in `cid`, the scopes a list in `scp`, the user's id in
 * `uid`. The tokens of the org authorization server (`https://acme.okta.com`) are Okta's own and cannot be verified.
 *
 * @throws `TypeError` `issuer` is no custom authorization server.
 * @see {@link https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/}
 */
export function oktaTokens(options: OktaOptions): JwtBearerOptions {
  checkOptionNames(options, 'oktaTokens()', { ...knownToPresets, issuer: true })
  const form =
    'the issuer of a custom authorization server, such as https://acme.okta.com/oauth2/default'
  refuseMetadataUrl(options.issuer, 'issuer')
  matching('issuer', options.issuer, /^https:\/\/[^/?#]+\/oauth2\/[^/?#]+$/, form)
  return {
    ...options,
    profile: {
      clientClaims: ['cid'],
      scopeClaims: ['scp'],
      // ID tokens have no cid, and a jti that begins with ID.
      refuse: ({ cid, jti }) =>
        typeof cid === 'string' && typeof jti === 'string' && jti.startsWith('AT.')
          ? undefined
          : 'an access token of Okta has cid, and a jti that begins with AT.',
      isClient: ({ uid }) => uid === undefined,
    },
  }
}
