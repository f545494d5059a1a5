/** At most so many scopes are taken from a challenge. */
const MAX_SCOPES = 32

/**
 * Asks for the scopes that a resource says are missing (RFC 6750 §3.1, `insufficient_scope`): the user is asked, nothing
 * is widened without that.
 *
 * @param ask Gets the scopes; throws {@link AuthorizationRequiredError} unless the user has granted them by now.
 * @returns `undefined` when the answer is no such challenge.
 */
export async function stepUp<T>(
  answer: Response,
  ask: (scopes: readonly string[]) => Promise<T>,
): Promise<T | undefined> {
  const scopes = missingScopes(answer.headers.get('www-authenticate') ?? '')
  return scopes.length > 0 ? ask(scopes) : undefined
}

function missingScopes(challenge: string): string[] {
  if (challenge.length > 4096 || !/\berror="?insufficient_scope"?(?:[\s,]|$)/.test(challenge))
    return []
  const scope = /\bscope="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"/.exec(challenge)?.[1] ?? ''
  return scope
    .split(' ')
    .filter((item) => item !== '' && item.length <= 255)
    .slice(0, MAX_SCOPES)
}
