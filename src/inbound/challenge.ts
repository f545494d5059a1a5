import type { InboundAuthError } from '../errors/inbound.js'

/** After how many seconds a caller may come back when keys could not be had. */
const RETRY_AFTER_SECONDS = 5

/** What every challenge of a verifier carries. */
export interface ChallengeOptions {
  /** Where this resource's metadata is ([RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)). */
  readonly resourceMetadata?: string | undefined
}

/**
 * The response for a refused caller ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)). It says the
 * failure class and no more: 401 without an error code when there was no credential, 401 `invalid_token`,
 * 403 `insufficient_scope`, or 503. Its text is static, but for scopes and addresses from configuration.
 */
export function challenge(error: InboundAuthError, options: ChallengeOptions = {}): Response {
  const headers = new Headers({
    'cache-control': 'no-store',
    'content-type': 'application/json',
  })
  if (error.status === 503) {
    headers.set('retry-after', String(RETRY_AFTER_SECONDS))
  } else {
    headers.set('www-authenticate', bearerChallenge(error, options))
  }
  return new Response(JSON.stringify({ error: error.refusal }), { status: error.status, headers })
}

function bearerChallenge(error: InboundAuthError, options: ChallengeOptions): string {
  const parts = [parameter('realm', 'api')] // at least one parameter must follow the scheme
  if (error.refusal === 'invalid_token') {
    parts.push(parameter('error', 'invalid_token'))
    parts.push(parameter('error_description', 'The access token is not acceptable'))
  }
  if (error.refusal === 'insufficient_scope') {
    parts.push(parameter('error', 'insufficient_scope'))
    parts.push(parameter('error_description', 'The access token lacks a required scope'))
    if (error.requiredScopes) parts.push(parameter('scope', error.requiredScopes.join(' ')))
  }
  if (options.resourceMetadata) parts.push(parameter('resource_metadata', options.resourceMetadata))
  return `Bearer ${parts.join(', ')}`
}

/** A quoted parameter. Whatever could end the quotes or the header is left out (RFC 6750 §3 forbids it anyway). */
function parameter(name: string, value: string): string {
  return `${name}="${value.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '')}"`
}
