import { partitions } from './partitions.js'

/** The caller that an ARN names. */
export interface CallerArn {
  readonly kind: 'root' | 'user' | 'role' | 'assumed-role' | 'federated-user'
  readonly partition: string
  readonly accountId: string
  readonly arn: string
  /**
   * Whom permissions are given to. Of an assumed role its role, without the session, whose name the caller chose, and
   * without the role's path, which STS does not tell.
   */
  readonly principalArn: string
  /** The name of the user or role, without path. */
  readonly name: string
}

/** IAM names, and names of sessions. */
const NAME = '[A-Za-z0-9_+=,.@-]{1,64}'
/** An IAM path: visible ASCII in segments, at most 512 characters with both slashes. */
const PATH = '(?:[\\x21-\\x2e\\x30-\\x7e]+/)*'

/**
 * Reads the ARN of a caller as STS gives it, by its grammar: nothing is guessed and nothing normalised.
 *
 * @returns `undefined` when it is none.
 */
export function parseCallerArn(arn: string): CallerArn | undefined {
  if (arn.length > 2048) return undefined
  const [scheme, partition = '', service, region, accountId = '', ...rest] = arn.split(':')
  const resource = rest.join(':')
  if (scheme !== 'arn' || region !== '' || !/^\d{12}$/.test(accountId)) return undefined
  if (!partitions.some(({ name }) => name === partition)) return undefined
  const caller = (kind: CallerArn['kind'], name: string, principalArn = arn): CallerArn => ({
    kind,
    partition,
    accountId,
    arn,
    principalArn,
    name,
  })
  if (service === 'iam') {
    if (resource === 'root') return caller('root', 'root')
    const [, kind, path = '', name] =
      new RegExp(`^(user|role)/(${PATH})(${NAME})$`).exec(resource) ?? []
    if (name === undefined || path.length > 511) return undefined
    return caller(kind as 'user' | 'role', name)
  }
  if (service !== 'sts') return undefined
  const [, kind, name, session] =
    new RegExp(`^(assumed-role|federated-user)/(${NAME})(?:/(${NAME}))?$`).exec(resource) ?? []
  if (name === undefined) return undefined
  if (kind === 'federated-user') {
    return session === undefined ? caller('federated-user', name) : undefined
  }
  if (session === undefined) return undefined
  return caller('assumed-role', name, `arn:${partition}:iam::${accountId}:role/${name}`)
}

/**
 * Whether a caller's ARN, or that of its principal, fits `pattern` from end to end. `*` stands for any characters of
 * one segment, `?` for one: neither crosses a `/` or a `:`.
 */
export function matchesArn(pattern: string, caller: CallerArn): boolean {
  return [caller.arn, caller.principalArn].some((arn) => matches(pattern, arn))
}

/** Compares without a regular expression: a pattern with many stars would be slow as one. */
function matches(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    const delimiter = text[t] === '/' || text[t] === ':'
    if (pattern[p] === '*') {
      star = p++
      resume = t
    } else if (p < pattern.length && (pattern[p] === '?' ? !delimiter : pattern[p] === text[t])) {
      p++
      t++
    } else if (star !== -1 && text[resume] !== '/' && text[resume] !== ':') {
      p = star + 1
      t = ++resume
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Whether `pattern` names one partition and one account, and so cannot let another account in. */
export function isArnPattern(pattern: string): boolean {
  const [scheme, partition = '', service = '', region, account = '', ...rest] = pattern.split(':')
  return (
    scheme === 'arn' &&
    partitions.some(({ name }) => name === partition) &&
    (service === 'iam' || service === 'sts') &&
    region === '' &&
    /^\d{12}$/.test(account) &&
    /^[\x21-\x7e]+$/.test(rest.join(':')) &&
    pattern.length <= 2048
  )
}
