import { DeputizeError, isDeputizeError } from './base.js'

/** Why a caller was refused. The caller is told the failure class only; this is for the operator. */
export type InboundAuthErrorCode =
  | 'ERR_NO_CREDENTIALS'
  | 'ERR_AMBIGUOUS_CREDENTIALS'
  | 'ERR_MALFORMED_TOKEN'
  | 'ERR_TOKEN_TOO_LARGE'
  | 'ERR_TOKEN_TYPE'
  | 'ERR_TOKEN_INACTIVE'
  | 'ERR_ALG_NOT_ALLOWED'
  | 'ERR_UNKNOWN_ISSUER'
  | 'ERR_UNKNOWN_KEY'
  | 'ERR_BAD_SIGNATURE'
  | 'ERR_BAD_CLAIMS'
  | 'ERR_TOKEN_EXPIRED'
  | 'ERR_TOKEN_NOT_YET_VALID'
  | 'ERR_AUDIENCE_MISMATCH'
  | 'ERR_CLIENT_NOT_ALLOWED'
  | 'ERR_CLAIM_RULE'
  | 'ERR_PROOF_REQUIRED'
  | 'ERR_BAD_PROOF'
  | 'ERR_NONCE_REQUIRED'
  | 'ERR_REPLAYED'
  | 'ERR_GUARD_UNAVAILABLE'
  | 'ERR_INSUFFICIENT_SCOPE'
  | 'ERR_KEYS_UNAVAILABLE'
  | 'ERR_STS_UNAVAILABLE'
  | 'ERR_INTROSPECTION_UNAVAILABLE'
  | 'ERR_MALFORMED_SIGNATURE'
  | 'ERR_UNSUPPORTED_ALGORITHM'
  | 'ERR_SCOPE_MISMATCH'
  | 'ERR_HOST_MISMATCH'
  | 'ERR_UNSIGNED_HEADER'
  | 'ERR_SIGNATURE_EXPIRED'
  | 'ERR_BODY_MISMATCH'
  | 'ERR_RAW_REQUEST_REQUIRED'
  | 'ERR_AMBIGUOUS_PATH'
  | 'ERR_USER_NOT_ALLOWED'

/**
 * What the caller may know: the codes of RFC 6750 §3.1 and RFC 9449 §7.1 and §9, or that it sent no credential, that it is
 * known and not permitted (`forbidden`), or that it cannot be judged now.
 */
export type RefusalClass =
  | 'no_credentials'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'forbidden'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'
  | 'temporarily_unavailable'

const messages: Record<RefusalClass, string> = {
  no_credentials:
    'The request carries no credential that a configured authenticator recognises. Send an access token as "Authorization: Bearer …".',
  invalid_token:
    'The credential is not acceptable. Read error.code and error.reason for why; do not send them to the caller.',
  insufficient_scope:
    'The caller lacks a scope or permission that this resource requires. Scopes are named in error.requiredScopes.',
  forbidden:
    'The caller is known, and no rule of this resource permits it. Another token of the same caller changes nothing. Read error.code and error.reason for which rule.',
  invalid_dpop_proof:
    'The DPoP proof beside the access token is not acceptable. Read error.code and error.reason for why; do not send them to the caller.',
  use_dpop_nonce:
    'The DPoP proof needs a nonce. Send error.dpopNonce in the header DPoP-Nonce; the caller makes another proof with it.',
  temporarily_unavailable:
    'What is needed to judge the credential cannot be had right now. Read error.code and error.reason; try again later.',
}

const statuses: Record<RefusalClass, 401 | 403 | 503> = {
  no_credentials: 401,
  invalid_token: 401,
  insufficient_scope: 403,
  forbidden: 403,
  invalid_dpop_proof: 401,
  use_dpop_nonce: 401,
  temporarily_unavailable: 503,
}

function classOf(code: InboundAuthErrorCode): RefusalClass {
  switch (code) {
    case 'ERR_NO_CREDENTIALS':
      return 'no_credentials'
    case 'ERR_INSUFFICIENT_SCOPE':
      return 'insufficient_scope'
    case 'ERR_CLIENT_NOT_ALLOWED':
    case 'ERR_CLAIM_RULE':
    case 'ERR_USER_NOT_ALLOWED':
      return 'forbidden'
    case 'ERR_BAD_PROOF':
      return 'invalid_dpop_proof'
    case 'ERR_NONCE_REQUIRED':
      return 'use_dpop_nonce'
    case 'ERR_KEYS_UNAVAILABLE':
    case 'ERR_STS_UNAVAILABLE':
    case 'ERR_INTROSPECTION_UNAVAILABLE':
    case 'ERR_GUARD_UNAVAILABLE':
      return 'temporarily_unavailable'
    default:
      return 'invalid_token'
  }
}

/**
 * A caller was refused. The message is one per {@link RefusalClass}, so that showing it tells an attacker nothing; the
 * reason is in `code` and `reason`, and in the audit event.
 */
export class InboundAuthError extends DeputizeError {
  override readonly name = 'InboundAuthError'
  readonly code: InboundAuthErrorCode
  /** What the response says. */
  readonly refusal: RefusalClass
  /** The HTTP status that fits: 401, 403 (`insufficient_scope`, `forbidden`) or 503 (`temporarily_unavailable`). */
  readonly status: 401 | 403 | 503
  /** Scopes to ask for: `allowedScopes`, of which one is enough, or all that a guard wants. Only with `ERR_INSUFFICIENT_SCOPE`. */
  declare readonly requiredScopes?: readonly string[]
  /** The nonce for the caller's next proof; only with `ERR_NONCE_REQUIRED`. */
  declare readonly dpopNonce?: string

  constructor(
    code: InboundAuthErrorCode,
    init: {
      reason: string
      requiredScopes?: readonly string[]
      dpopNonce?: string
      cause?: unknown
    },
  ) {
    const refusal = classOf(code)
    super(messages[refusal], {
      reason: init.reason,
      cause: init.cause,
      retryable: refusal === 'temporarily_unavailable',
    })
    this.code = code
    this.refusal = refusal
    this.status = statuses[refusal]
    if (init.requiredScopes) this.requiredScopes = init.requiredScopes
    if (init.dpopNonce !== undefined) this.dpopNonce = init.dpopNonce
  }
}

/** Whether `error` says that a caller is refused. Also true for an error of another copy of this library. */
export function isRefusal(error: unknown): error is InboundAuthError {
  return isDeputizeError(error) && error.name === 'InboundAuthError'
}
