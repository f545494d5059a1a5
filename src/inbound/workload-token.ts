import { checkIssuerUrl } from '../address.js'
import { metadataUrls } from '../discovery.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { Fetch } from '../http.js'
import { DEFAULT_CLOCK_TOLERANCE_MS, MAX_CLOCK_TOLERANCE_MS } from '../jwt/claims.js'
import { type JsonWebKeySet, KeyList } from '../jwt/key-list.js'
import { KeySet } from '../jwt/key-set.js'
import { MAX_TOKEN_BYTES, type ParsedJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import { makePrincipal, type Principal } from '../principal.js'
import { Secret } from '../secret.js'
import { readWorkloadAccess } from '../workload/workload-token.js'
import type { Authenticator, AuthenticatorContext, Recognition } from './authenticator.js'
import { checkStrings, checkTransport, inRange } from './option-checks.js'
import { provePossession } from './possession.js'

/** Whose workload access tokens are accepted. Fields are ANDed, lists are any-of. */
export interface WorkloadTokenOptions {
  /** The `issuer` of the calling agents' `WorkloadIdentity`. Trusting it is trusting it to say for whom its agents act. */
  readonly issuer: string
  /** What the caller names as audience, by custom the URL of this service. */
  readonly allowedAudience: readonly string[]
  /** Agents by name: the caller itself, not who stood before it. `null`: every agent of the issuer. */
  readonly allowedWorkloads: readonly string[] | null
  /** Users of these issuers only. Default: of any. */
  readonly allowedUserIssuers?: readonly string[] | undefined
  /** The issuer's keys themselves. Default: looked up by its metadata. */
  readonly jwks?: JsonWebKeySet | undefined
  /** Milliseconds, 0 to 300 000; default 30 000. */
  readonly clockToleranceMs?: number | undefined
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

const known: KnownOptions<WorkloadTokenOptions> = {
  issuer: true,
  allowedAudience: true,
  allowedWorkloads: true,
  allowedUserIssuers: true,
  jwks: true,
  clockToleranceMs: true,
  allowInsecureLoopback: true,
  fetch: true,
}

/**
 * Accepts the workload access tokens of other agents: "this agent, for this user". The principal's `subject` is the
 * agent, its `user` the user whom the agent acts for, and its `actor` the agent again, with who called it behind: acting
 * for that principal is acting for the user, with the agent in between.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function workloadToken(options: WorkloadTokenOptions): Authenticator {
  const rules = checkOptions(options)
  const { issuer } = rules
  return Object.freeze({
    name: 'workload' as const,
    issuers: Object.freeze([issuer]),
    recognise: (request): Recognition => {
      const token = request.bearerToken
      const jws = request.bearerJws(MAX_TOKEN_BYTES)
      if (token === undefined || jws === undefined) return { kind: 'absent' }
      if (jws instanceof InboundAuthError) return { kind: 'foreign', error: jws }
      if (jws.payload.iss !== issuer) {
        const reason = 'no configured issuer has this iss'
        return { kind: 'foreign', error: new InboundAuthError('ERR_UNKNOWN_ISSUER', { reason }) }
      }
      return {
        kind: 'mine',
        issuer,
        authenticate: async (context) => {
          const principal = await verifyToken(rules, jws, token, context)
          await provePossession(jws.payload, token, request, undefined, context)
          return principal
        },
      }
    },
    advertise: () => ({}), // taken as a bearer, and not to be had from an authorization server
  } satisfies Authenticator)
}

type Rules = ReturnType<typeof checkOptions>

function checkOptions(options: WorkloadTokenOptions) {
  checkOptionNames(options, 'workloadToken()', known)
  checkTransport(options)
  const { allowedWorkloads, allowedUserIssuers, jwks, fetch, allowInsecureLoopback } = options
  const issuer = checkIssuerUrl(options.issuer, 'issuer', allowInsecureLoopback ?? false)
  const source = { discoveryUrls: metadataUrls(issuer), issuers: [issuer] }
  return {
    issuer,
    keys:
      jwks === undefined
        ? new KeySet(source, { fetch, allowInsecureLoopback })
        : KeyList.fromOptions(jwks, 'jwks'),
    audience: checkStrings('allowedAudience', options.allowedAudience),
    workloads:
      allowedWorkloads === null ? null : checkStrings('allowedWorkloads', allowedWorkloads),
    userIssuers:
      allowedUserIssuers === undefined
        ? undefined
        : checkStrings('allowedUserIssuers', allowedUserIssuers),
    clockToleranceMs: inRange(
      'clockToleranceMs',
      options.clockToleranceMs ?? DEFAULT_CLOCK_TOLERANCE_MS,
      0,
      MAX_CLOCK_TOLERANCE_MS,
    ),
  }
}

async function verifyToken(
  rules: Rules,
  jws: ParsedJws,
  token: string,
  { clock }: AuthenticatorContext,
): Promise<Principal> {
  await verifyJws(jws, rules.keys, ['ES256'], clock) // the one that WorkloadIdentity signs with
  const access = readWorkloadAccess(jws.header.typ, jws.payload, {
    issuer: rules.issuer,
    audience: rules.audience,
    nowMs: clock(),
    clockToleranceMs: rules.clockToleranceMs,
  })
  const { issuer, workload, user, userKnown, actor, audience, expiresAtMs } = access
  if (rules.workloads && !rules.workloads.includes(workload)) {
    throw new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', {
      reason: 'the workload is none of allowedWorkloads',
    })
  }
  if (user && rules.userIssuers && !rules.userIssuers.includes(user.issuer)) {
    throw new InboundAuthError('ERR_CLIENT_NOT_ALLOWED', {
      reason: 'the workload acts for a user of none of allowedUserIssuers',
    })
  }
  return makePrincipal(
    {
      method: 'workload',
      issuer,
      subject: workload,
      scopes: [],
      audience,
      actor: { issuer, subject: workload, ...(actor ? { actor } : {}) },
      claims: jws.payload,
      expiresAtMs,
      ...(user ? { user } : {}),
      ...(userKnown ? { userKnown } : {}),
    },
    new Secret(token),
  )
}
