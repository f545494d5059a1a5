import { parseCallerArn } from '../aws/arn.js'
import { printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isJsonObject } from '../jwt/strict-json.js'
import { checkObject } from '../option-names.js'
import { makePrincipal, type Principal, presentedToken } from '../principal.js'
import type { Authenticator, AuthenticatorContext } from './authenticator.js'
import { type AllowedIamCallers, applyIamRules, checkIamRules, type IamRules } from './iam-rules.js'
import { jwtBearer } from './jwt-bearer.js'
import type { JwtBearerOptions } from './jwt-bearer-options.js'

/** What {@link awsWebIdentity} takes. */
export interface AwsWebIdentityOptions
  extends Omit<AllowedIamCallers, 'allowedUniqueIds'>,
    Pick<
      JwtBearerOptions,
      | 'customClaims'
      | 'clockToleranceMs'
      | 'maxTokenAgeMs'
      | 'jwks'
      | 'allowInsecureLoopback'
      | 'fetch'
    > {
  /** The account's own issuer, such as `https://<id>.tokens.sts.global.api.aws`, as IAM shows it. */
  readonly issuer: string
  /** `aud` must hold one of these. */
  readonly allowedAudience: readonly string[]
}

/** Where AWS puts its own claims. */
const NAMESPACE = 'https://sts.amazonaws.com/'

/**
 * Accepts JWTs that AWS signs for an IAM role or user
 * ([`sts:GetWebIdentityToken`](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html)):
 * a `jwtBearer()` whose principals carry `iam`. Each account has an issuer of its own.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function awsWebIdentity(options: AwsWebIdentityOptions): Authenticator {
  checkObject(options, 'awsWebIdentity()')
  const { allowedAccounts, allowedRoles, allowedArns, ...rest } = options
  if (typeof options.issuer !== 'string') {
    throw new TypeError(
      `issuer must be the issuer of the account; got ${printable(options.issuer)}.`,
    )
  }
  const rules = checkIamRules({ allowedAccounts, allowedRoles, allowedArns })
  const bearer = jwtBearer({ ...rest, algorithms: ['RS256', 'ES384'] })
  return Object.freeze({
    ...bearer,
    recognise: (request) => {
      const seen = bearer.recognise(request)
      if (seen.kind !== 'mine') return seen
      const authenticate = async (context: AuthenticatorContext) =>
        withIam(await seen.authenticate(context), rules)
      return { ...seen, authenticate }
    },
  } satisfies Authenticator)
}

/** The same principal with its IAM identity; it is a workload and has no user. */
function withIam(principal: Principal, rules: IamRules): Principal {
  const caller = parseCallerArn(principal.subject)
  if (caller?.arn !== caller?.principalArn || caller === undefined) {
    throw badClaims('sub is not the ARN of a role or user')
  }
  const ours = principal.claims[NAMESPACE]
  if (!isJsonObject(ours) || ours.aws_account !== caller.accountId) {
    throw badClaims('aws_account is not the account of sub')
  }
  applyIamRules(rules, caller)
  const { accountId, arn, principalArn } = caller
  const { user: _user, ...facts } = principal
  return makePrincipal(
    { ...facts, iam: { accountId, arn, principalArn } },
    presentedToken(principal),
  )
}

function badClaims(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BAD_CLAIMS', { reason })
}
