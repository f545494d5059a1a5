import { refuseAmbiguousPath } from './signed-path.js'

/**
 * Whether `htu` is the address that was called ([RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3), rule
 * 9): without query and fragment, and after syntax- and scheme-based normalisation (RFC 3986 §6.2.2 and §6.2.3).
 *
 * @param resource The URL of this service. Its origin counts: the Host header is the caller's to choose.
 * @param target The request target, in origin form or in absolute form (RFC 9112 §3.2).
 * @throws `InboundAuthError` `ERR_AMBIGUOUS_PATH`: the URL parser would resolve dots in one of the two.
 */
export function sameResource(htu: unknown, resource: string | undefined, target: string): boolean {
  if (typeof htu !== 'string' || !/^https?:\/\//i.test(htu) || /\s/.test(htu)) return false
  if (resource === undefined) return false
  const path = pathOf(target)
  // No request target has a fragment. Routers differ in whether they cut it off.
  if (path === undefined || target.includes('#')) return false
  refuseAmbiguousPath(path, 'kept')
  refuseAmbiguousPath(pathOf(htu)!, 'kept')
  const named = normalise(htu)
  return named !== undefined && named === normalise(new URL(resource).origin + path)
}

/** The path as it is spelled. */
function pathOf(target: string): string | undefined {
  if (!target.startsWith('/') && !/^https?:\/\//i.test(target)) return undefined
  return target.replace(/^https?:\/\/[^/\\?#]*/i, '').replace(/[?#].*$/s, '') || '/'
}

function normalise(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  const url = new URL(address)
  if (url.username !== '' || url.password !== '') return undefined
  // The URL parser has folded case and default ports; what is left is RFC 3986 §6.2.2.1 and §6.2.2.2.
  const path = url.pathname.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escaped.toUpperCase()
  })
  return url.origin + path
}
