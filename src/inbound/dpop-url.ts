/**
 * Whether `htu` is the address that was called ([RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3), rule
 * 9): without query and fragment, and after syntax- and scheme-based normalisation (RFC 3986 §6.2.2 and §6.2.3).
 *
 * @param resource The URL of this service. Its origin counts: the Host header is the caller's to choose.
 * @param target The request target.
 */
export function sameResource(htu: unknown, resource: string | undefined, target: string): boolean {
  if (typeof htu !== 'string' || !/^https?:\/\//i.test(htu) || /[\\\s]/.test(htu)) return false
  if (resource === undefined) return false
  const path = target.startsWith('/') ? target : pathOf(target)
  if (path === undefined) return false
  const named = normalise(htu)
  return named !== undefined && named === normalise(new URL(resource).origin + path)
}

/** Of a target in absolute form (RFC 9112 §3.2.2). */
function pathOf(target: string): string | undefined {
  return /^https?:\/\//i.test(target) && URL.canParse(target) ? new URL(target).pathname : undefined
}

function normalise(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  const url = new URL(address)
  if (url.username !== '' || url.password !== '') return undefined
  // The URL parser has folded case, default ports and dot segments; what is left is RFC 3986 §6.2.2.1 and §6.2.2.2.
  const path = url.pathname.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escaped.toUpperCase()
  })
  return url.origin + path
}
