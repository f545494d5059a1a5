import { type CallerIdentity, CallerIdentityRelay } from '../aws/caller-identity.js'
import { partitions } from '../aws/partitions.js'
import {
  IDENTITY_HEADER,
  IDENTITY_TOKEN_PREFIX,
  readHeaderForm,
  readPresignedForm,
} from '../aws/signed-identity.js'
import { InboundAuthError } from '../errors/inbound.js'
import { makePrincipal, type Principal } from '../principal.js'
import { assertedUser } from './asserted-user.js'
import type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  Recognition,
} from './authenticator.js'
import { applyIamRules } from './iam-rules.js'
import {
  checkStsIdentityOptions,
  type StsIdentityOptions,
  type StsIdentityRules,
} from './sts-identity-options.js'

/**
 * Accepts AWS IAM users and roles: the caller signs an `sts:GetCallerIdentity` for this server, and STS says who signed
 * it. The server needs no credentials of its own. Callers make the headers with `signCallerIdentity()` of
 * `deputize/aws`.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function stsIdentity(options: StsIdentityOptions): Authenticator {
  const rules = checkStsIdentityOptions(options)
  const relay = new CallerIdentityRelay({ fetch: options.fetch })
  return Object.freeze({
    name: 'sts' as const,
    userIdHeader: rules.user.header,
    recognise: (request): Recognition => {
      const header = headerOf(request, IDENTITY_HEADER)
      const bearer = request.bearerToken
      const token = bearer?.startsWith(IDENTITY_TOKEN_PREFIX) ? bearer : undefined
      if (header === undefined && token === undefined) return { kind: 'absent' }
      return {
        kind: 'mine',
        authenticate: async (context) => {
          if (header !== undefined && token !== undefined) {
            throw ambiguous('the request carries both forms of a signed identity')
          }
          return identify(rules, relay, { header, token }, request, context)
        },
      }
    },
  } satisfies Authenticator)
}

interface Presented {
  readonly header: string | undefined
  readonly token: string | undefined
}

async function identify(
  rules: StsIdentityRules,
  relay: CallerIdentityRelay,
  { header = '', token }: Presented,
  request: InboundRequest,
  { clock }: AuthenticatorContext,
): Promise<Principal> {
  const userId = headerOf(request, rules.user.header)
  // A signature covers blanks as one space: with more of them it would be another user under the same signature.
  if (userId !== undefined && !/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(userId)) {
    throw new InboundAuthError('ERR_MALFORMED_TOKEN', {
      reason: 'the user id is not ASCII with single spaces',
    })
  }
  const signed =
    token === undefined
      ? readHeaderForm(header, rules, userId, clock())
      : readPresignedForm(token, rules, userId, clock())
  const caller = await relay.identify(signed, clock)
  applyIamRules(rules, caller)
  const { accountId, arn, principalArn } = caller
  const facts: Principal = {
    method: 'sts',
    issuer: issuerOf(caller),
    subject: principalArn,
    scopes: [],
    audience: [rules.serverId],
    claims: Object.freeze({
      __proto__: null,
      Account: accountId,
      Arn: arn,
      UserId: caller.userId,
    }) as unknown as Principal['claims'],
    expiresAtMs: signed.expiresAtMs,
    iam: { accountId, arn, principalArn, userId: caller.userId },
  }
  if (userId !== undefined && !signed.userSigned) {
    throw new InboundAuthError('ERR_UNSIGNED_HEADER', {
      reason: 'the user id header is not signed',
    })
  }
  const user = await assertedUser(rules.user, makePrincipal(facts), userId)
  return makePrincipal(user ? { ...facts, user, userKnown: 'asserted' } : facts)
}

/** Who vouches for the caller: the STS of its partition. */
function issuerOf({ partition }: CallerIdentity): string {
  return `https://sts.${partitions.find(({ name }) => name === partition)!.suffix}`
}

/** The one value of a header. A Web `Request` joins several, which no check of a value lets pass. */
function headerOf({ headers }: InboundRequest, name: string): string | undefined {
  const values = headers.filter(([one]) => one.toLowerCase() === name)
  if (values.length > 1) throw ambiguous(`the request has more than one ${name} header`)
  return values[0]?.[1]
}

function ambiguous(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', { reason })
}
