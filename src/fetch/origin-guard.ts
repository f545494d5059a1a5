import { isLoopback } from '../address.js'
import { OriginNotAllowedError } from '../errors/outbound.js'
import type { Provider } from '../providers/provider.js'

/**
 * Checks that a credential of `provider` may go to `url`, before it is fetched at all: a URL may come from a model.
 *
 * @throws {@link OriginNotAllowedError}
 */
export function guardOrigin(name: string, provider: Provider, url: URL): void {
  const refuse = (reason: string) =>
    new OriginNotAllowedError({
      provider: name,
      origin: url.origin,
      allowed: provider.origins,
      reason,
    })
  if (url.username !== '' || url.password !== '') throw refuse('the URL carries user info')
  if (!provider.origins.includes(url.origin)) throw refuse('not one of its origins')
  const insecure =
    url.protocol === 'http:' && provider.allowInsecureLoopback && isLoopback(url.hostname)
  if (url.protocol !== 'https:' && !insecure) throw refuse('not https')
}
