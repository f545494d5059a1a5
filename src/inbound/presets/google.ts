import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { checkStrings, wrong } from '../option-checks.js'
import { knownToPresets, type PresetOptions } from './preset-options.js'

/** What {@link googleServiceAccountTokens} takes. */
export interface GoogleServiceAccountOptions
  extends Omit<PresetOptions, 'allowedAudience' | 'allowedClients' | 'allowedScopes'> {
  /** What the caller asked a token for, by custom the URL of this service. */
  readonly allowedAudience: readonly string[]
  /** By e-mail address, such as `caller@project.iam.gserviceaccount.com`. */
  readonly allowedServiceAccounts: readonly string[]
}

/**
 * Tokens that Google signs for a service account and this service's audience, as callers on Google Cloud send them.
 * Google's access tokens are opaque and no API of others can judge them; these are ID tokens in form, and the one case in
 * which ID tokens are for calling: those of a user, or of a sign-in, are refused. The caller never has a user.
 *
 * @throws `TypeError` `allowedServiceAccounts` holds something else.
 * @see {@link https://docs.cloud.google.com/run/docs/authenticating/service-to-service}
 */
export function googleServiceAccountTokens(options: GoogleServiceAccountOptions): JwtBearerOptions {
  const { allowedClients: _azp, allowedScopes: _none, ...known } = knownToPresets
  checkOptionNames(options, 'googleServiceAccountTokens()', {
    ...known,
    allowedServiceAccounts: true,
  })
  const { allowedServiceAccounts, ...rest } = options
  const accounts = checkStrings('allowedServiceAccounts', allowedServiceAccounts)
  for (const account of accounts) {
    if (!/^[^@\s]+@[a-z0-9.-]+\.gserviceaccount\.com$/.test(account)) {
      throw wrong('allowedServiceAccounts', account, 'must hold addresses of service accounts')
    }
  }
  return {
    ...rest,
    issuer: 'https://accounts.google.com',
    jwksUri: 'https://www.googleapis.com/oauth2/v3/certs',
    profile: {
      clientClaims: ['azp'],
      refuse: ({ email, email_verified: verified, azp, sub }) => {
        if (verified !== true || typeof email !== 'string' || !accounts.includes(email)) {
          return 'email is none of allowedServiceAccounts'
        }
        return azp === sub ? undefined : 'the token was not issued to the service account itself'
      },
      isClient: () => true,
    },
  }
}
