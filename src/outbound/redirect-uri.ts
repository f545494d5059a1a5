import type { OAuth2Provider, Provider } from '../providers/provider.js'

/** Where a provider sends the user back to: its own `redirectUri`, or the callback URL with its name at the end. */
export function redirectUriOf(
  name: string,
  provider: Pick<OAuth2Provider, 'redirectUri'>,
  callbackUrl: string | undefined,
): string | undefined {
  return provider.redirectUri ?? (callbackUrl && `${callbackUrl}/${name}`)
}

/**
 * Whether a request came to this provider's redirect URI, and so to no other provider's: an answer that one server sends to
 * another's URI is a mix-up. Of its own `redirectUri` path and query are compared whole; the origin is not, which a proxy may
 * change. Otherwise the last segment of the path is the provider's name.
 */
export function cameBackTo(
  name: string,
  provider: Pick<OAuth2Provider, 'redirectUri'>,
  url: URL,
): boolean {
  if (provider.redirectUri === undefined) return lastSegment(url) === name
  const own = new URL(provider.redirectUri)
  return (
    own.pathname === url.pathname &&
    [...own.searchParams.keys()].every((parameter) => sameValues(own, url, parameter))
  )
}

/**
 * Checks that no callback can have come to the redirect URIs of two providers.
 *
 * @throws `TypeError` naming both.
 */
export function checkRedirectUris(providers: ReadonlyMap<string, Provider>): void {
  const all = [...providers].flatMap(([name, provider]) =>
    provider.kind === 'oauth2' ? [{ name, own: provider.redirectUri }] : [],
  )
  for (const [at, one] of all.entries()) {
    if (one.own === undefined) continue
    const url = new URL(one.own)
    for (const [otherAt, other] of all.entries()) {
      if (otherAt === at || (other.own !== undefined && otherAt < at)) continue
      const meets =
        other.own === undefined
          ? lastSegment(url) === other.name
          : mayBeOne(url, new URL(other.own))
      if (!meets) continue
      throw new TypeError(
        `redirectUri of provider "${one.name}" could be taken for that of provider "${other.name}". Give them other paths, or one query parameter with another value in each.`,
      )
    }
  }
}

/** Whether one request can carry both: no parameter has one value here and another there. */
function mayBeOne(a: URL, b: URL): boolean {
  return (
    a.pathname === b.pathname &&
    [...a.searchParams.keys()].every(
      (parameter) => !b.searchParams.has(parameter) || sameValues(a, b, parameter),
    )
  )
}

function sameValues(a: URL, b: URL, parameter: string): boolean {
  const values = (url: URL) => JSON.stringify(url.searchParams.getAll(parameter))
  return values(a) === values(b)
}

function lastSegment({ pathname }: URL): string | undefined {
  return pathname.split('/').at(-1)
}
