import { isWellFormed } from '../bytes.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { Principal, UserRef } from '../principal.js'

/** Whether an IAM caller may act for a user of that id. */
export type MayActForUser = (principal: Principal, userId: string) => boolean | Promise<boolean>

/**
 * The user whom an IAM caller says that it acts for: known by that caller alone, hence under its ARN as issuer.
 *
 * @param principal The caller, without a user.
 * @param asserted The value of the user id header, and whether the caller signed it.
 * @throws {@link InboundAuthError} It is not signed, or the caller may not act for that user.
 */
export async function assertedUser(
  principal: Principal,
  asserted: { readonly userId: string | undefined; readonly signed: boolean },
  mayActForUser: MayActForUser | undefined,
): Promise<UserRef | undefined> {
  const { userId, signed } = asserted
  if (userId === undefined || !mayActForUser || !principal.iam) return undefined
  if (!signed) throw refuse('the user id header is not signed')
  if (userId === '' || userId.length > 1024 || !isWellFormed(userId)) {
    throw refuse('the user id is empty or too long')
  }
  if ((await mayActForUser(principal, userId)) !== true) {
    throw refuse('mayActForUser does not let the caller act for this user')
  }
  return { issuer: principal.iam.principalArn, subject: userId }
}

function refuse(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', { reason })
}
