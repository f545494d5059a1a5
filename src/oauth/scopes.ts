/** How a server spells scopes, where it differs from RFC 6749 §3.3. */
export interface ScopeDialect {
  readonly scopeSeparator?: string | undefined
  /** What the server calls a scope, and what it was asked as. */
  readonly scopeAliases?: Readonly<Record<string, string>> | undefined
}

/** The most scopes that one list may hold. */
export const MAX_SCOPES = 1_000
/** The most characters that they may have together. */
const MAX_SCOPES_LENGTH = 65_536

/** Whether `text` is one scope: visible ASCII without quote and backslash, at most 255 characters (RFC 6749 §3.3). */
export function isScope(text: unknown): text is string {
  return typeof text === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/.test(text)
}

/** The `scope` parameter of a request. */
export function writeScopes(scopes: readonly string[], dialect: ScopeDialect): string {
  return scopes.join(dialect.scopeSeparator ?? ' ')
}

/**
 * Reads the `scope` member of an answer: the order is kept, repeats are dropped.
 *
 * @param requested What an empty or absent member means (RFC 6749 §5.1). It also tells a list that a server has joined
 *   by commas, as some do though they were asked with spaces: one of the parts was asked for, and the whole was not.
 * @returns `undefined` for what is no list of at most {@link MAX_SCOPES} scopes.
 */
export function readScopes(
  value: unknown,
  requested: readonly string[],
  dialect: ScopeDialect,
): readonly string[] | undefined {
  if (value === undefined || value === '') return [...requested]
  if (typeof value !== 'string' || value.length > MAX_SCOPES_LENGTH) return undefined
  const { scopeSeparator = ' ', scopeAliases = {} } = dialect
  const asked = new Set(requested)
  const words = value.split(' ').flatMap((word) => {
    if (scopeSeparator !== ' ') return word.split(scopeSeparator)
    const parts = word.split(',')
    return !asked.has(word) && parts.some((part) => asked.has(part)) ? parts : [word]
  })
  const scopes = new Set<string>()
  for (const word of words) {
    if (word === '') continue
    const scope = Object.hasOwn(scopeAliases, word) ? scopeAliases[word]! : word
    if (!isScope(scope)) return undefined
    scopes.add(scope)
  }
  if (scopes.size > MAX_SCOPES) return undefined
  return scopes.size === 0 ? [...requested] : [...scopes]
}
