import { checkHeaderValue, SERVER_ID_HEADER, USER_ID_HEADER } from '../aws/identity-headers.js'
import type { SignedIdentityRules } from '../aws/signed-identity.js'
import { stsHosts } from '../aws/sts-hosts.js'
import { MINUTE_MS } from '../clock.js'
import { printable } from '../errors/base.js'
import type { Fetch } from '../http.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import {
  type AssertedUserOptions,
  type AssertedUserRules,
  checkAssertedUser,
} from './asserted-user.js'
import { type AllowedIamCallers, checkIamRules, type IamRules, listOf } from './iam-rules.js'

/** The furthest that the date of a signature may be from now; AWS itself allows no more. */
const MAX_AGE_MS = 15 * MINUTE_MS

/**
 * Which IAM callers are let in. Fields are ANDed, lists are any-of. One of `allowedAccounts`, `allowedRoles` and
 * `allowedArns` is required.
 */
export interface StsIdentityOptions extends AllowedIamCallers, AssertedUserOptions {
  /** What callers sign, so that their signature is good for this server alone: its host name, for instance. */
  readonly serverId: string
  /** The header that they sign it in. Default `X-Deputize-Server-Id`. */
  readonly serverIdHeader?: string | undefined
  /** Whose STS endpoints are asked. Default: every region that we know of. */
  readonly regions?: readonly string[] | undefined
  /** How far the date of a signature may be from now. Milliseconds, 1,000 to 900,000; default 900,000. */
  readonly maxAgeMs?: number | undefined
  /** How STS is reached; for a proxy, and for tests. */
  readonly fetch?: Fetch | undefined
}

/** {@link StsIdentityOptions}, checked and copied. */
export interface StsIdentityRules extends SignedIdentityRules, IamRules {
  readonly user: AssertedUserRules
}

const known: KnownOptions<StsIdentityOptions> = {
  serverId: true,
  serverIdHeader: true,
  allowedAccounts: true,
  partition: true,
  allowedRoles: true,
  allowedArns: true,
  allowedUniqueIds: true,
  regions: true,
  maxAgeMs: true,
  userIdHeader: true,
  mayActForUser: true,
  fetch: true,
}

/** @throws `TypeError` naming the option and its value. */
export function checkStsIdentityOptions(options: StsIdentityOptions): StsIdentityRules {
  checkOptionNames(options, 'stsIdentity()', known)
  const { allowedAccounts, allowedRoles, allowedArns } = options
  if (!allowedAccounts && !allowedRoles && !allowedArns) {
    throw new TypeError(
      'stsIdentity needs allowedAccounts, allowedRoles or allowedArns: anybody with an AWS account can sign a request.',
    )
  }
  checkHeaderValue(options.serverId, 'serverId')
  const serverIdHeader = checkHeaderName(
    options.serverIdHeader ?? SERVER_ID_HEADER,
    'serverIdHeader',
  )
  checkHeaderName(options.userIdHeader ?? USER_ID_HEADER, 'userIdHeader')
  const user = checkAssertedUser(options)
  if (serverIdHeader === user.header) {
    throw new TypeError('serverIdHeader and userIdHeader must differ.')
  }
  const { maxAgeMs = MAX_AGE_MS, fetch } = options
  if (!(typeof maxAgeMs === 'number' && maxAgeMs >= 1000 && maxAgeMs <= MAX_AGE_MS)) {
    throw new TypeError(
      `maxAgeMs must be a number from 1000 to ${MAX_AGE_MS}; got ${printable(maxAgeMs)}.`,
    )
  }
  if (fetch !== undefined && typeof fetch !== 'function') {
    throw new TypeError('fetch must be a function.')
  }
  const regions = listOf('regions', options.regions, () => true)
  return {
    serverId: options.serverId,
    serverIdHeader,
    userIdHeader: user.header,
    user,
    maxAgeMs,
    hosts: stsHosts(regions),
    ...checkIamRules(options, regions),
  }
}

/** Names that the protocol has a use for already. */
const taken: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'cookie',
  'accept',
  'connection',
  'expect',
  'te',
  'upgrade',
  'transfer-encoding',
])

function checkHeaderName(value: unknown, option: string): string {
  const name = typeof value === 'string' ? value.toLowerCase() : ''
  const ours = /^(content-|x-amz-|x-deputize-iam-request$)/.test(name)
  if (!/^[a-z0-9-]{1,64}$/.test(name) || ours || taken.has(name)) {
    throw new TypeError(
      `${option} must be the name of a header that has no other use; got "${printable(value)}".`,
    )
  }
  return name
}
