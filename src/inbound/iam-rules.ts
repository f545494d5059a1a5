import { type CallerArn, isArnPattern, matchesArn, parseCallerArn } from '../aws/arn.js'
import { partitionOf, partitions } from '../aws/partitions.js'
import { printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'

/** Which IAM callers are let in. Fields are ANDed, lists are any-of. */
export interface AllowedIamCallers {
  /** Account numbers of 12 digits, in `partition`. */
  readonly allowedAccounts?: readonly string[] | undefined
  /**
   * The AWS partition of `allowedAccounts`, such as `aws-cn`: in another one the same number is another account.
   * Default: the one that all `regions` are in, else `aws`.
   */
  readonly partition?: string | undefined
  /** Roles: their ARN, of which STS does not tell the path, or with `allowedAccounts` their name. */
  readonly allowedRoles?: readonly string[] | undefined
  /**
   * Patterns for the whole ARN of the caller or of its role, in one account; `*` stands for any characters up to the next
   * `/`. A role session's name is chosen by whoever assumes the role.
   */
  readonly allowedArns?: readonly string[] | undefined
  /** Unique ids, such as `AROA…` of a role: another one made under the same name is not let in. */
  readonly allowedUniqueIds?: readonly string[] | undefined
}

/** {@link AllowedIamCallers}, checked and copied. */
export interface IamRules {
  readonly accounts: readonly string[] | undefined
  readonly partition: string
  /** Role ARNs without path, and names. */
  readonly roles: readonly string[] | undefined
  readonly arns: readonly string[] | undefined
  readonly uniqueIds: readonly string[] | undefined
}

/** @throws `TypeError` naming the option and its value. */
export function checkIamRules(
  options: AllowedIamCallers,
  regions: readonly string[] = [],
): IamRules {
  const { allowedAccounts, partition, allowedRoles, allowedArns, allowedUniqueIds } = options
  return {
    partition: checkPartition(partition, allowedAccounts, regions),
    accounts: listOf('allowedAccounts', allowedAccounts, (one) => /^\d{12}$/.test(one)),
    roles: rolesOf(allowedRoles, allowedAccounts !== undefined),
    arns: listOf('allowedArns', allowedArns, isArnPattern),
    uniqueIds: listOf('allowedUniqueIds', allowedUniqueIds, (one) => /^\w{1,128}$/.test(one)),
  }
}

/** @throws {@link InboundAuthError} `ERR_CLIENT_NOT_ALLOWED` */
export function applyIamRules(rules: IamRules, caller: CallerArn & { userId?: string }): void {
  const { accounts, partition, roles, arns, uniqueIds } = rules
  if (accounts && !accounts.includes(caller.accountId)) {
    throw notAllowed('the account is none of allowedAccounts')
  }
  if (accounts && caller.partition !== partition) {
    throw notAllowed(`the account is of the partition ${caller.partition}, and not of ${partition}`)
  }
  if (roles && !(isRole(caller) && [roleArnOf(caller), caller.name].some(isIn(roles)))) {
    throw notAllowed('the caller is none of allowedRoles')
  }
  if (arns && !arns.some((pattern) => matchesArn(pattern, caller))) {
    throw notAllowed('the ARN fits none of allowedArns')
  }
  // Of a role the unique id is followed by the session's name.
  if (uniqueIds && !isIn(uniqueIds)(caller.userId?.split(':')[0] ?? '')) {
    throw notAllowed('the unique id is none of allowedUniqueIds')
  }
}

function checkPartition(
  value: string | undefined,
  accounts: readonly string[] | undefined,
  regions: readonly string[],
): string {
  if (value !== undefined && !accounts) {
    throw new TypeError('partition is that of allowedAccounts, which are not given.')
  }
  const [first, ...others] = new Set(regions.map((region) => partitionOf(region)?.name))
  const partition = value ?? (others.length === 0 ? first : undefined) ?? 'aws'
  if (partitions.some(({ name }) => name === partition)) return partition
  throw new TypeError(
    `partition must be one of ${partitions.map(({ name }) => name).join(', ')}; got "${printable(value)}".`,
  )
}

function isRole({ kind }: CallerArn): boolean {
  return kind === 'role' || kind === 'assumed-role'
}

/** Without the path, which STS does not tell. Names of roles are unique in an account whatever their path. */
function roleArnOf({ partition, accountId, name }: CallerArn): string {
  return `arn:${partition}:iam::${accountId}:role/${name}`
}

function isIn(list: readonly string[]): (one: string) => boolean {
  return (one) => list.includes(one)
}

function notAllowed(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', { reason })
}

function rolesOf(
  value: readonly string[] | undefined,
  withAccounts: boolean,
): readonly string[] | undefined {
  return listOf('allowedRoles', value, (one) => {
    const isName = /^[\w+=,.@-]{1,64}$/.test(one)
    return isName ? withAccounts : parseCallerArn(one)?.kind === 'role'
  })?.map((one) => {
    const role = parseCallerArn(one)
    return role ? roleArnOf(role) : one
  })
}

/** @throws `TypeError` naming the option and its value. */
export function listOf(
  option: string,
  value: readonly string[] | undefined,
  good: (one: string) => boolean,
): readonly string[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(`${option} must be a list of at least one string.`)
  }
  for (const one of value) {
    if (typeof one !== 'string' || !good(one)) {
      throw new TypeError(`${option} takes ${wanted[option]}; got "${printable(one)}".`)
    }
  }
  return Object.freeze([...value])
}

const wanted: Readonly<Record<string, string>> = {
  regions: 'names of AWS regions',
  allowedAccounts: 'account numbers of 12 digits',
  allowedRoles: 'ARNs of roles, or with allowedAccounts their names',
  allowedArns:
    'patterns such as "arn:aws:iam::111122223333:user/*", with the partition and the account spelled out',
  allowedUniqueIds: 'unique ids such as "AROA…"',
}
