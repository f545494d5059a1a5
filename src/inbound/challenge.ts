import type { InboundAuthError, RefusalClass } from '../errors/inbound.js'
import { jwsAlgorithms } from '../jwt/algorithm.js'

/** After how many seconds a caller may come back when it could not be judged. */
const RETRY_AFTER_SECONDS = 5

/** `json`: `{ "error": … }`. `json-rpc`: an error response of JSON-RPC 2.0, as MCP clients read it. */
export type ErrorBody = 'json' | 'json-rpc'

/** A way to present an access token. */
export type ChallengeScheme = 'Bearer' | 'DPoP'

/** What every challenge of a verifier carries. */
export interface ChallengeOptions {
  /** Where this resource's metadata is ([RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)). */
  readonly resourceMetadata?: string | undefined
  /** Default: `Bearer`. */
  readonly schemes?: readonly ChallengeScheme[] | undefined
  /** The scheme that the caller used; the error is told beside it. Default: the first of `schemes`. */
  readonly used?: ChallengeScheme | undefined
  /** Scopes to ask for, in the words of clients. Default: those that the error names. */
  readonly scopes?: readonly string[] | undefined
  /** Default: `json`. */
  readonly body?: ErrorBody | undefined
}

/** `error_description` of RFC 6750 §3, and `message` of JSON-RPC. Static: a reason would be an oracle. */
const descriptions: Record<RefusalClass, string> = {
  no_credentials: 'Missing Authentication Token',
  invalid_token: 'The access token is not acceptable',
  insufficient_scope: 'The access token lacks a required scope',
  forbidden: 'The caller is not permitted',
  invalid_dpop_proof: 'The DPoP proof is not acceptable',
  use_dpop_nonce: 'The DPoP proof needs the nonce in DPoP-Nonce',
  temporarily_unavailable: 'Try again later',
}

/** What AgentCore's gateway answers with, of the range that JSON-RPC 2.0 §5.1 leaves to servers. */
const JSON_RPC_CODE = -32001

/**
 * The response for a refused caller ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3),
 * [RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)). It says the failure class and no more: 401 without
 * an error code when there was no credential, 401 `invalid_token`, `invalid_dpop_proof` or `use_dpop_nonce`, 403
 * `insufficient_scope`, 403 without a challenge where no other token would help (`forbidden`), or 503. Its text is static, but for scopes and addresses from configuration.
 */
export function challenge(error: InboundAuthError, options: ChallengeOptions = {}): Response {
  const headers = new Headers({
    'cache-control': 'no-store',
    'content-type': 'application/json',
  })
  if (error.status === 503) {
    headers.set('retry-after', String(RETRY_AFTER_SECONDS))
  } else if (error.refusal !== 'forbidden') {
    const schemes = options.schemes?.length ? options.schemes : (['Bearer'] as const)
    const teller = tellerOf(error, schemes, options.used)
    for (const scheme of schemes) {
      headers.append('www-authenticate', challengeOf(scheme, scheme === teller, error, options))
    }
  }
  if (error.dpopNonce !== undefined) headers.set('dpop-nonce', error.dpopNonce)
  return new Response(JSON.stringify(bodyOf(error, options.body)), {
    status: error.status,
    headers,
  })
}

/** The scheme whose challenge tells the error: what is wrong with a proof concerns DPoP, the rest what was used. */
function tellerOf(
  error: InboundAuthError,
  schemes: readonly ChallengeScheme[],
  used: ChallengeScheme | undefined,
): ChallengeScheme | undefined {
  if (error.refusal === 'invalid_dpop_proof' || error.refusal === 'use_dpop_nonce') return 'DPoP'
  return used && schemes.includes(used) ? used : schemes[0]
}

function challengeOf(
  scheme: ChallengeScheme,
  tells: boolean,
  error: InboundAuthError,
  options: ChallengeOptions,
): string {
  const parts = [parameter('realm', 'api')] // at least one parameter must follow the scheme
  if (tells && error.refusal !== 'no_credentials') {
    parts.push(parameter('error', error.refusal))
    parts.push(parameter('error_description', descriptions[error.refusal]))
  }
  const scopes = options.scopes ?? error.requiredScopes
  if (scopes?.length) parts.push(parameter('scope', scopes.join(' ')))
  if (scheme === 'DPoP') parts.push(parameter('algs', jwsAlgorithms.join(' ')))
  if (options.resourceMetadata) parts.push(parameter('resource_metadata', options.resourceMetadata))
  return `${scheme} ${parts.join(', ')}`
}

function bodyOf(error: InboundAuthError, body: ErrorBody = 'json'): object {
  if (body === 'json') return { error: error.refusal }
  const message = descriptions[error.refusal]
  return { jsonrpc: '2.0', id: null, error: { code: JSON_RPC_CODE, message } }
}

/** A quoted parameter. Whatever could end the quotes or the header is left out (RFC 6750 §3 forbids it anyway). */
function parameter(name: string, value: string): string {
  return `${name}="${value.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '')}"`
}
