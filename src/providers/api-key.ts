import { checkOptionNames } from '../option-names.js'
import { checkSecretInput, hideSecret, type SecretInput } from '../secret.js'
import { checkFlag, checkOrigins } from './options.js'
import type { ApiKeyProvider } from './provider.js'

/** What {@link apiKey} takes. */
export interface ApiKeyOptions {
  /** The key, or a function that gives it at each use. */
  readonly key: SecretInput
  /** The header that `authenticatedFetch()` puts it in. Default `X-Api-Key`. */
  readonly header?: string
  /** Where the key may go: `authenticatedFetch()` sends it to these origins only. */
  readonly origins?: readonly string[]
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean
}

/** Headers that say something else than who calls, or that frame the message. */
const refused: ReadonlySet<string> = new Set([
  'host',
  'cookie',
  'content-length',
  'content-type',
  'transfer-encoding',
  'connection',
  'te',
  'upgrade',
  'origin',
  'referer',
])

/**
 * A provider of one fixed API key.
 *
 * @throws `TypeError` An option is wrong; it is named.
 */
export function apiKey(options: ApiKeyOptions): ApiKeyProvider {
  checkOptionNames(options, 'apiKey()', {
    key: true,
    header: true,
    origins: true,
    allowInsecureLoopback: true,
  })
  checkSecretInput(options.key, 'key')
  const header = options.header ?? 'X-Api-Key'
  if (
    typeof header !== 'string' ||
    !/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(header) ||
    refused.has(header.toLowerCase())
  ) {
    throw new TypeError(
      `header must be the name of a header that carries a key, such as X-Api-Key; the key itself goes into the option key.`,
    )
  }
  const insecure = checkFlag(options.allowInsecureLoopback, 'allowInsecureLoopback')
  return Object.freeze({
    kind: 'api-key',
    key: hideSecret(options.key),
    header,
    origins: checkOrigins(options.origins, insecure),
    allowInsecureLoopback: insecure,
  })
}
