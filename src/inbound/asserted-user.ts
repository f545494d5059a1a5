import { printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { Principal, UserRef } from '../principal.js'
import type { RawHeaders } from './authenticator.js'

/** The header in which a caller with an IAM identity names the user it acts for. */
export const USER_ID_HEADER = 'X-Amzn-Bedrock-AgentCore-Runtime-User-Id'
/** The longest user id, in characters. */
const MAX_USER_ID = 1_024

/** Whether `principal` may act for the user that it calls `userId`. Nobody but the principal vouches for that user. */
export type MayActForUser = (principal: Principal, userId: string) => boolean | Promise<boolean>

/** How an authenticator deals with a user whom the caller asserts. */
export interface AssertedUserOptions {
  /** Default {@link USER_ID_HEADER}. */
  readonly userIdHeader?: string | undefined
  /** Left out: a caller that names a user is refused. */
  readonly mayActForUser?: MayActForUser | undefined
}

/** {@link AssertedUserOptions}, checked. */
export interface AssertedUserRules {
  /** In lower case. */
  readonly header: string
  readonly mayActForUser: MayActForUser | undefined
}

/** @throws `TypeError` naming the option. */
export function checkAssertedUser(options: AssertedUserOptions): AssertedUserRules {
  const { userIdHeader = USER_ID_HEADER, mayActForUser } = options
  if (typeof userIdHeader !== 'string' || !/^[A-Za-z0-9-]{1,128}$/.test(userIdHeader)) {
    throw new TypeError(
      `userIdHeader must be the name of a header; got "${printable(userIdHeader)}".`,
    )
  }
  if (mayActForUser !== undefined && typeof mayActForUser !== 'function') {
    throw new TypeError('mayActForUser must be a function of principal and user id.')
  }
  return { header: userIdHeader.toLowerCase(), mayActForUser }
}

/**
 * The user whom a verified caller asserts, if it may.
 *
 * @param userId The value of the header, which the caller's signature must cover; `undefined` when there is none.
 * @returns The user. Its issuer is the caller itself: the same id, asserted by another caller, is another user.
 * @throws {@link InboundAuthError} `ERR_USER_NOT_ALLOWED`; `ERR_GUARD_UNAVAILABLE` when `mayActForUser` fails.
 */
export async function assertedUser(
  rules: AssertedUserRules,
  principal: Principal,
  userId: string | undefined,
): Promise<UserRef | undefined> {
  if (userId === undefined) return undefined
  if (userId.length > MAX_USER_ID || !/^[\x20-\x7e]+$/.test(userId)) {
    throw notAllowed(`the user id is not 1 to ${MAX_USER_ID} printable characters`)
  }
  if (!rules.mayActForUser) throw notAllowed('it names a user, and there is no mayActForUser')
  let may: unknown
  try {
    may = await rules.mayActForUser(principal, userId)
  } catch (cause) {
    throw new InboundAuthError('ERR_GUARD_UNAVAILABLE', { reason: 'mayActForUser failed', cause })
  }
  if (may !== true) throw notAllowed('mayActForUser does not let it act for this user')
  const issuer = principal.iam?.principalArn ?? `${principal.issuer}:${principal.subject}`
  return { issuer, subject: userId }
}

/** Whether a request names a user in one of `names` (in lower case), though its caller cannot assert one. */
export function namesUser(headers: RawHeaders | Headers, names: ReadonlySet<string>): boolean {
  for (const [name] of headers) {
    if (names.has(name.toLowerCase().replaceAll('_', '-'))) return true
  }
  return false
}

function notAllowed(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_USER_NOT_ALLOWED', { reason })
}
