import { printable } from '../errors/base.js'
import { jwsAlgorithms } from '../jwt/algorithm.js'
import { checkWebRequest } from '../option-names.js'
import type { Authenticator } from './authenticator.js'
import { checkScopes, wrong } from './option-checks.js'

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
/** The most entries of a scope mapping. */
const MAX_MAPPED_SCOPES = 50

/** What is published about a protected resource. */
export interface ResourceFacts {
  readonly resource: string | undefined
  readonly authenticators: readonly Authenticator[]
  /** Scopes besides those that the authenticators ask for. */
  readonly scopes: readonly string[]
  readonly advertised: ReadonlyMap<string, string>
}

/** Scopes in the words of clients, each once. */
export function advertise(
  scopes: readonly string[],
  mapping: ReadonlyMap<string, string>,
): readonly string[] {
  return [...new Set(scopes.map((scope) => mapping.get(scope) ?? scope))]
}

/**
 * Serves the metadata of a resource ([RFC 9728 §3](https://www.rfc-editor.org/rfc/rfc9728#section-3)) at its one address;
 * 404 for anything else.
 */
export function serveResourceMetadata(request: Request, facts: ResourceFacts): Response {
  checkWebRequest(request, 'metadataHandler()')
  const { resource } = facts
  if (resource === undefined) return new Response('Not found', { status: 404 })
  const { pathname, search } = new URL(request.url)
  const own = new URL(resourceMetadataUrl(resource))
  if (pathname !== own.pathname || search !== own.search) {
    return new Response('Not found', { status: 404 })
  }
  // The document is public, and MCP clients in browsers read it.
  const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' }
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: cors })
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return new Response('Method not allowed', { status: 405, headers: { allow: 'GET, HEAD' } })
  }
  return new Response(request.method === 'HEAD' ? null : JSON.stringify(document(facts)), {
    headers: {
      ...cors,
      'content-type': 'application/json',
      'cache-control': 'public, max-age=300',
      'x-content-type-options': 'nosniff',
    },
  })
}

/** [RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2). */
function document(facts: ResourceFacts): object {
  const offers = facts.authenticators.flatMap((one) => one.advertise?.() ?? [])
  const servers = [...new Set(offers.flatMap((one) => one.authorizationServer ?? []))]
  const scopes = advertise(scopesOffered(facts), facts.advertised)
  const dpop = offers.some((one) => one.dpop !== undefined)
  return {
    resource: facts.resource, // exactly as configured: clients compare it with what they called (§3.3)
    ...(servers.length > 0 ? { authorization_servers: servers } : {}),
    ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
    bearer_methods_supported: ['header'],
    ...(dpop ? { dpop_signing_alg_values_supported: jwsAlgorithms } : {}),
    ...(dpop && offers.every((one) => one.dpop === 'required')
      ? { dpop_bound_access_tokens_required: true }
      : {}),
  }
}

/** Every scope that a caller may be asked for. */
export function scopesOffered(facts: ResourceFacts): readonly string[] {
  return [...facts.authenticators.flatMap((one) => one.advertise?.().scopes ?? []), ...facts.scopes]
}

/** RFC 9728 §3.1: the well-known part stands between host and path. */
export function resourceMetadataUrl(resource: string): string {
  const url = URL.canParse(resource) ? new URL(resource) : undefined
  if (!url || !['https:', 'http:'].includes(url.protocol) || url.hash !== '' || url.username) {
    throw new TypeError(
      `resource must be the URL of this service, without a fragment; got "${printable(resource)}".`,
    )
  }
  const path = url.pathname === '/' ? '' : url.pathname
  return `${url.origin}${WELL_KNOWN}${path}${url.search}`
}

/** @throws `TypeError` naming the option. */
export function checkScopeMapping(mapping: unknown): ReadonlyMap<string, string> {
  if (mapping === undefined) return new Map()
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) {
    throw wrong('advertisedScopeMapping', mapping, 'must be an object of scopes')
  }
  const entries = Object.entries(mapping as Record<string, string>)
  if (entries.length > MAX_MAPPED_SCOPES) {
    throw wrong(
      'advertisedScopeMapping',
      entries.length,
      `has at most ${MAX_MAPPED_SCOPES} entries`,
    )
  }
  for (const pair of entries) checkScopes('advertisedScopeMapping', pair)
  return new Map(entries)
}
