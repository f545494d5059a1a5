import { checkUrl } from '../address.js'
import { parseCallerArn } from '../aws/arn.js'
import type { AwsCredentialsInput } from '../aws/aws-credentials.js'
import { AwsCredentialSource } from '../aws/credential-source.js'
import { partitionOf, partitions } from '../aws/partitions.js'
import { signRequest } from '../aws/sign-request.js'
import { printable } from '../errors/base.js'
import { checkOptionNames } from '../option-names.js'
import { checkOrigins, checkText } from './options.js'
import type { AwsIamProvider } from './provider.js'

/** An IAM policy document, or its JSON text. */
export type AwsPolicy = string | Readonly<Record<string, unknown>>

/** What {@link awsIam} takes. */
export interface AwsIamOptions {
  /** The region that requests are signed for, such as `eu-west-1`. */
  readonly region: string
  /** The service that they are signed for, such as `s3` or `bedrock-agentcore`. */
  readonly service: string
  /** A role that is assumed; the session is named after the workload. */
  readonly roleArn?: string
  /** An inline session policy: what the session may do at most. A call can give a policy of its own instead. Needs `roleArn`. */
  readonly policy?: AwsPolicy
  /** The external id that the role asks for. Needs `roleArn`. */
  readonly externalId?: string
  /** Default: the workload's name, with `-` for characters that a session name cannot have. Needs `roleArn`. */
  readonly sessionName?: string
  /** Default: the chain of `@aws-sdk/credential-providers`, an optional peer that is loaded at first use. */
  readonly credentials?: AwsCredentialsInput
  /**
   * Where signed requests may go: `authenticatedFetch()` sends them to these origins only. Default: the service's regional
   * endpoint, `https://<service>.<region>.amazonaws.com`.
   */
  readonly origins?: readonly string[]
  /** Where the role is assumed. Default: the regional endpoint of STS. */
  readonly stsEndpoint?: string
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean
}

/** The longest inline session policy that STS takes. */
const MAX_POLICY_CHARACTERS = 2_048

/**
 * A provider of AWS credentials: the execution role's, or those of a role that is assumed with them. Never the user's:
 * AWS sees the agent.
 *
 * @throws `TypeError` An option is wrong; it is named.
 */
export function awsIam(options: AwsIamOptions): AwsIamProvider {
  checkOptionNames(options, 'awsIam()', {
    region: true,
    service: true,
    roleArn: true,
    policy: true,
    externalId: true,
    sessionName: true,
    credentials: true,
    origins: true,
    stsEndpoint: true,
    allowInsecureLoopback: true,
  })
  const { region, service, roleArn, externalId, sessionName, credentials, stsEndpoint } = options
  const insecure = options.allowInsecureLoopback ?? false
  const partition = typeof region === 'string' ? partitionOf(region) : undefined
  if (!partition) {
    throw new TypeError(
      `region must be an AWS region such as "eu-west-1"; got "${printable(region)}".`,
    )
  }
  if (typeof service !== 'string' || !/^[a-z0-9-]{1,64}$/.test(service)) {
    throw new TypeError(
      `service must be the signing name of a service, such as "s3"; got "${printable(service)}".`,
    )
  }
  if (roleArn !== undefined && parseCallerArn(roleArn)?.kind !== 'role') {
    throw new TypeError(`roleArn must be the ARN of a role; got "${printable(roleArn)}".`)
  }
  for (const [name, value] of Object.entries({
    externalId,
    sessionName,
    stsEndpoint,
  })) {
    if (value !== undefined && roleArn === undefined) {
      throw new TypeError(`${name} needs roleArn: only an assumed role has a session.`)
    }
  }
  if (externalId !== undefined) checkText(externalId, 'externalId', 1224)
  if (sessionName !== undefined && !/^[\w+=,.@-]{2,64}$/.test(sessionName)) {
    throw new TypeError('sessionName must be 2 to 64 of A-Z, a-z, 0-9 and "_+=,.@-".')
  }
  if (stsEndpoint !== undefined) checkUrl(stsEndpoint, 'stsEndpoint', insecure)
  if (
    credentials !== undefined &&
    typeof credentials !== 'function' &&
    (typeof credentials !== 'object' || credentials === null)
  ) {
    throw new TypeError('credentials must be AWS credentials, or a function that gives them.')
  }
  const policy = options.policy === undefined ? undefined : policyOf(options.policy, roleArn)
  const source = new AwsCredentialSource({ region, credentials, roleArn, externalId, stsEndpoint })
  const origins = options.origins ?? [`https://${service}.${region}.${partition.suffix}`]
  return Object.freeze({
    kind: 'aws-iam',
    region,
    service,
    roleArn,
    origins: checkOrigins(origins, insecure).map((origin) => checkRegion(origin, region)),
    allowInsecureLoopback: insecure,
    credentials: (request) => {
      const own = request.policy === undefined ? policy : policyOf(request.policy, roleArn)
      return source.get({
        sessionName: sessionName ?? sessionNameOf(request.workload),
        policy: own,
        clock: request.clock,
      })
    },
    sign: (request, signer) => signRequest(request, { region, service, credentials: signer }),
  } satisfies AwsIamProvider)
}

/** A signature for one region is not sent to another's endpoint. Hosts that are not of AWS name no region. */
function checkRegion(origin: string, region: string): string {
  const { hostname } = new URL(origin)
  const ofAws = partitions.some(
    ({ suffix, dualStackSuffix }) =>
      hostname.endsWith(`.${suffix}`) || hostname.endsWith(`.${dualStackSuffix}`),
  )
  const named = ofAws ? hostname.split('.').filter((label) => partitionOf(label)) : []
  if (named.length > 0 && !named.includes(region)) {
    throw new TypeError(`origins: ${origin} is not an endpoint of region ${region}.`)
  }
  return origin
}

function policyOf(policy: AwsPolicy, roleArn: string | undefined): string {
  if (roleArn === undefined) {
    throw new TypeError('policy needs roleArn: only an assumed role takes a session policy.')
  }
  const text = typeof policy === 'string' ? policy : JSON.stringify(policy)
  if (typeof text !== 'string' || !isJsonObject(text) || text.length > MAX_POLICY_CHARACTERS) {
    throw new TypeError(
      `policy must be a policy document of at most ${MAX_POLICY_CHARACTERS} characters of JSON.`,
    )
  }
  return text
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function sessionNameOf(workload: string): string {
  return workload
    .replace(/[^\w+=,.@-]/g, '-')
    .slice(0, 64)
    .padEnd(2, '-')
}
