import { DeputizeError } from './base.js'

/** Why a caller was refused. The caller is told the failure class only; this is for the operator. */
export type InboundAuthErrorCode =
  | 'ERR_NO_CREDENTIALS'
  | 'ERR_AMBIGUOUS_CREDENTIALS'
  | 'ERR_MALFORMED_TOKEN'
  | 'ERR_TOKEN_TOO_LARGE'
  | 'ERR_TOKEN_TYPE'
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
  | 'ERR_INSUFFICIENT_SCOPE'
  | 'ERR_KEYS_UNAVAILABLE'
  | 'ERR_MALFORMED_SIGNATURE'
  | 'ERR_UNSUPPORTED_ALGORITHM'
  | 'ERR_SCOPE_MISMATCH'
  | 'ERR_HOST_MISMATCH'
  | 'ERR_UNSIGNED_HEADER'
  | 'ERR_SIGNATURE_EXPIRED'
  | 'ERR_BODY_MISMATCH'
  | 'ERR_REPLAYED'
  | 'ERR_RAW_REQUEST_REQUIRED'
  | 'ERR_USER_NOT_ALLOWED'
  | 'ERR_GUARD_UNAVAILABLE'

/** What the caller may know: RFC 6750 §3.1's codes, or none where it sent no credential, or that we cannot judge now. */
export type RefusalClass =
  | 'no_credentials'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'temporarily_unavailable'

const messages: Record<RefusalClass, string> = {
  no_credentials:
    'The request carries no credential that a configured authenticator recognises. Send an access token as "Authorization: Bearer …".',
  invalid_token:
    'The credential is not acceptable. Read error.code and error.reason for why; do not send them to the caller.',
  insufficient_scope:
    'The caller lacks a scope or permission that this resource requires. Scopes are named in error.requiredScopes.',
  temporarily_unavailable:
    'What the credential is judged by cannot be had right now. Try again later.',
}

function classOf(code: InboundAuthErrorCode): RefusalClass {
  switch (code) {
    case 'ERR_NO_CREDENTIALS':
      return 'no_credentials'
    case 'ERR_INSUFFICIENT_SCOPE':
    case 'ERR_USER_NOT_ALLOWED':
      return 'insufficient_scope'
    case 'ERR_KEYS_UNAVAILABLE':
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
  /** The HTTP status that fits: 401, 403 (`insufficient_scope`) or 503 (`temporarily_unavailable`). */
  readonly status: 401 | 403 | 503
  /** Scopes of which one would have been enough; only with `ERR_INSUFFICIENT_SCOPE`. */
  readonly requiredScopes?: readonly string[]

  constructor(
    code: InboundAuthErrorCode,
    init: { reason: string; requiredScopes?: readonly string[]; cause?: unknown },
  ) {
    const refusal = classOf(code)
    super(messages[refusal], {
      reason: init.reason,
      cause: init.cause,
      retryable: refusal === 'temporarily_unavailable',
    })
    this.code = code
    this.refusal = refusal
    this.status =
      refusal === 'insufficient_scope' ? 403 : refusal === 'temporarily_unavailable' ? 503 : 401
    if (init.requiredScopes) this.requiredScopes = init.requiredScopes
  }
}
