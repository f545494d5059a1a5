import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { knownToPresets, matching, type PresetOptions } from './preset-options.js'

/** What {@link cognitoTokens} takes. */
export interface CognitoOptions extends Omit<PresetOptions, 'allowedAudience'> {
  /** Such as `eu-west-1_Ab12Cd34E`; it begins with its region. */
  readonly userPoolId: string
  /** The app clients. Required, since access tokens have no audience. */
  readonly allowedClients: readonly string[]
  /** For tokens of a managed login that asked for a resource (RFC 8707); others have no `aud`. */
  readonly allowedAudience?: readonly string[] | undefined
}

/**
 * Access tokens of an Amazon Cognito user pool, by its original issuer or its updated one (`https://issuer-cognito-idp.…`),
 * which are two issuers for whoever keeps users by issuer and subject. No `aud`, the client in `client_id`, `token_use` is `access`. A user's
 * groups are in the claim `cognito:groups`.
 *
 * @throws `TypeError` `userPoolId` is none.
 * @see {@link https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html}
 */
export function cognitoTokens(options: CognitoOptions): JwtBearerOptions {
  checkOptionNames(options, 'cognitoTokens()', { ...knownToPresets, userPoolId: true })
  const { userPoolId, allowedAudience = null, ...rest } = options
  const pattern = /^([a-z]{2}|eusc)(-[a-z]+)+-\d_[A-Za-z0-9]+$/
  matching('userPoolId', userPoolId, pattern, 'a user pool ID, such as eu-west-1_Ab12Cd34E')
  const region = userPoolId.slice(0, userPoolId.indexOf('_'))
  const at = `cognito-idp.${region}.${domainOf(region)}/${userPoolId}`
  return {
    ...rest,
    issuer: [`https://${at}`, `https://issuer-${at}`],
    jwksUri: `https://${at}/.well-known/jwks.json`,
    allowedAudience,
    profile: {
      clientClaims: ['client_id'],
      scopeClaims: ['scope'],
      refuse: ({ token_use: use }) => (use === 'access' ? undefined : 'token_use is not access'),
      // A client's own token has its id as subject, and no user name.
      isClient: ({ username }) => username === undefined,
    },
  }
}

function domainOf(region: string): string {
  if (region.startsWith('cn-')) return 'amazonaws.com.cn'
  return region.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com'
}
