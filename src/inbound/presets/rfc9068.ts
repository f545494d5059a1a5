import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { knownToPresets, type PresetOptions } from './preset-options.js'

/** What {@link rfc9068Tokens} takes. */
export type Rfc9068Options = PresetOptions &
  Pick<JwtBearerOptions, 'issuer' | 'discoveryUrl' | 'jwksUri' | 'jwks'>

/**
 * Access tokens exactly as [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068) has them: `typ` is `at+jwt`, and the
 * claims that §2.2 requires are all there. With such an issuer no ID token can pass for an access token.
 */
export function rfc9068Tokens(options: Rfc9068Options): JwtBearerOptions {
  checkOptionNames(options, 'rfc9068Tokens()', {
    ...knownToPresets,
    issuer: true,
    discoveryUrl: true,
    jwksUri: true,
    jwks: true,
  })
  return {
    ...options,
    profile: {
      typ: 'at+jwt',
      clientClaims: ['client_id'],
      scopeClaims: ['scope'],
      refuse: (claims) => {
        const missing = ['aud', 'client_id', 'iat', 'jti'].find(
          (name) => claims[name] === undefined,
        )
        return missing === undefined ? undefined : `${missing} is missing`
      },
    },
  }
}
