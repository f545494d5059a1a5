import { parseCallerArn } from '../aws/arn.js'
import { printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import type { PrincipalFacts } from '../principal.js'
import { isJsonObject, type JsonObject } from '../strict-json.js'
import type { Authenticator } from './authenticator.js'
import { type AllowedIamCallers, applyIamRules, checkIamRules, type IamRules } from './iam-rules.js'
import { tokenAuthenticator } from './jwt-bearer.js'
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

const known: KnownOptions<AwsWebIdentityOptions> = {
  issuer: true,
  allowedAudience: true,
  allowedAccounts: true,
  partition: true,
  allowedRoles: true,
  allowedArns: true,
  customClaims: true,
  clockToleranceMs: true,
  maxTokenAgeMs: true,
  jwks: true,
  allowInsecureLoopback: true,
  fetch: true,
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
  checkOptionNames(options, 'awsWebIdentity()', known)
  const { allowedAccounts, partition, allowedRoles, allowedArns, ...rest } = options
  if (typeof options.issuer !== 'string') {
    throw new TypeError(
      `issuer must be the issuer of the account; got ${printable(options.issuer)}.`,
    )
  }
  const rules = checkIamRules({ allowedAccounts, partition, allowedRoles, allowedArns })
  return tokenAuthenticator({ ...rest, algorithms: ['RS256', 'ES384'] }, (facts, claims) =>
    withIam(facts, claims, rules),
  )
}

/** The same caller with its IAM identity; it is a workload and has no user. */
function withIam(facts: PrincipalFacts, claims: JsonObject, rules: IamRules): PrincipalFacts {
  const caller = parseCallerArn(facts.subject)
  if (caller?.arn !== caller?.principalArn || caller === undefined) {
    throw badClaims('sub is not the ARN of a role or user')
  }
  const ours = claims[NAMESPACE]
  if (!isJsonObject(ours) || ours.aws_account !== caller.accountId) {
    throw badClaims('aws_account is not the account of sub')
  }
  applyIamRules(rules, caller)
  const { accountId, arn, principalArn } = caller
  return { ...facts, user: undefined, iam: { accountId, arn, principalArn } }
}

function badClaims(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BAD_CLAIMS', { reason })
}
