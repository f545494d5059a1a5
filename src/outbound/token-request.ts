import type { OnAuthorizationRequired, TokenRequest } from '../context/credential-source.js'
import { printable } from '../errors/base.js'
import { NoUserError } from '../errors/workload.js'
import { checkOptionNames, type KnownOptions, kindOf } from '../option-names.js'
import { checkResource, checkScopes } from '../providers/options.js'
import type { Flow } from '../providers/provider.js'
import { type Acting, actsAsSelf, isActing } from '../workload/acting.js'
import type { ActingForUser } from './consent-start.js'
import type { RegisteredOAuth2 } from './registry.js'

/** A request whose options are checked and whose defaults are filled in. */
export interface Checked extends TokenRequest {
  readonly scopes: readonly string[]
}

/** @throws `TypeError` An option of the request is wrong. */
export function checkRequest(acting: Acting, at: RegisteredOAuth2, request: TokenRequest) {
  const scopes = checkScopes(request.scopes ?? [], 'scopes')
  checkAccount(request.account)
  const resource = checkResource(request.resource, 'resource') ?? at.provider.resource
  const checked: Checked = { ...request, scopes, resource }
  return { checked, flow: chooseFlow(acting, at, request) }
}

/** The agent's own token is for the agent acting as itself. Whoever else shall get it is named: by flow `M2M`. */
/** @throws `TypeError` It is no text: a promise of one, say. */
export function checkAccount(account: unknown): void {
  if (account === undefined || typeof account === 'string') return
  throw new TypeError(`account must be a string; got ${kindOf(account)}.`)
}

function chooseFlow(acting: Acting, at: RegisteredOAuth2, request: TokenRequest): Flow {
  const flow =
    request.flow ?? at.provider.defaultFlow ?? (actsAsSelf(acting) ? 'M2M' : 'USER_FEDERATION')
  if (flow !== 'M2M' && flow !== 'USER_FEDERATION') {
    throw new TypeError(`flow must be "M2M" or "USER_FEDERATION"; got ${printable(flow)}.`)
  }
  return flow
}

/** @throws {@link NoUserError} */
export function requireUser(acting: Acting, provider: string): ActingForUser {
  if (acting.user) return acting as ActingForUser
  throw new NoUserError({ provider, flow: 'USER_FEDERATION' })
}

/** @throws `TypeError` */
export function checkMode(mode: OnAuthorizationRequired): OnAuthorizationRequired {
  if (mode !== 'throw' && mode !== 'wait' && typeof mode !== 'function') {
    throw new TypeError(
      `onAuthorizationRequired must be "throw", "wait" or a function; got ${printable(mode)}.`,
    )
  }
  return mode
}

/** @throws `TypeError` */
export function checkActing(acting: unknown, method: string): void {
  if (!isActing(acting)) {
    throw new TypeError(
      `${method}() takes an Acting from a WorkloadIdentity, such as agent.actFor(principal); a copy or a literal is refused.`,
    )
  }
}

/** Checks who asks, and that the request has no member that nobody would read. @throws `TypeError` */
export function checkAsked<Request>(
  acting: unknown,
  request: Request,
  method: string,
  known: NoInfer<KnownOptions<Request>>,
): void {
  checkActing(acting, method)
  const takes = 'an Acting and a request, such as { provider: "name" }'
  checkOptionNames(request, `${method}()`, known, takes)
}

const consent = {
  provider: true,
  scopes: true,
  account: true,
  resource: true,
  returnUrl: true,
} as const

/** What requests may hold, by the method that takes them. */
export const known = {
  getToken: {
    ...consent,
    flow: true,
    onAuthorizationRequired: true,
    rejected: true,
    signal: true,
  } satisfies KnownOptions<TokenRequest>,
  getApiKey: { provider: true },
  getAwsCredentials: { provider: true, policy: true },
  beginAuthorization: consent,
  disconnect: { provider: true, account: true },
  handleCallback: { user: true },
  completeAuthorization: { sessionUri: true, user: true },
  waitForAuthorization: { signal: true, timeoutMs: true },
} as const

/** @throws `TypeError` */
export function checkFn(fn: unknown, method: string): void {
  if (typeof fn === 'function') return
  throw new TypeError(`${method}() takes an Acting and a function; got ${kindOf(fn)}.`)
}
