import type { PublicJwk } from '../jwt/sign.js'

const headers = {
  'content-type': 'application/json',
  // Verifiers may keep keys this long; a new key must be published at least as long before it signs.
  'cache-control': 'public, max-age=600',
  'x-content-type-options': 'nosniff',
}

/** Where the keys of `issuer` are. */
export function jwksUri(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`
}

/**
 * Answers for a workload's metadata (OpenID Connect Discovery §4) and its JWKS; 503 while the keys cannot be had, and 404
 * for anything else.
 *
 * @param publicKeys Asked for only when the JWKS is.
 */
export async function publish(
  request: Request,
  issuer: string,
  publicKeys: () => Promise<readonly PublicJwk[]>,
): Promise<Response> {
  const { pathname } = new URL(request.url)
  const base = new URL(issuer).pathname.replace(/\/$/, '')
  const keys = pathname === `${base}/.well-known/jwks.json`
  if (!keys && pathname !== `${base}/.well-known/openid-configuration`) {
    return new Response('Not found', { status: 404 })
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return new Response('Method not allowed', { status: 405, headers: { allow: 'GET, HEAD' } })
  }
  let document: object
  try {
    document = keys ? { keys: await publicKeys() } : metadata(issuer)
  } catch {
    // The vault that keeps the key is down: whoever asks has kept the keys of the last time.
    const retry = { 'retry-after': '5', 'cache-control': 'no-store' }
    return new Response('Try again', { status: 503, headers: retry })
  }
  return new Response(request.method === 'HEAD' ? null : JSON.stringify(document), { headers })
}

function metadata(issuer: string): object {
  return {
    issuer,
    jwks_uri: jwksUri(issuer),
    response_types_supported: ['none'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  }
}
