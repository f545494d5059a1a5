import { printable } from '../errors/base.js'
import type { RawRequest } from './authenticator.js'

/** @throws `TypeError` naming the option `pathPrefix`. */
export function checkPathPrefix(value: unknown): string {
  if (value === undefined) return ''
  const isPrefix =
    typeof value === 'string' &&
    /^(?:\/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+$/.test(value) &&
    !/\/\.\.?(?:\/|$)/.test(value)
  if (isPrefix) return value
  throw new TypeError(
    `pathPrefix must be a path such as "/api", without a slash at its end; got "${printable(value)}".`,
  )
}

/** The request as the caller sent it to the proxy, which cut `prefix` off its path. */
export function behindPrefix<R extends Request | RawRequest>(request: R, prefix: string): R {
  if (prefix === '') return request
  if ('target' in request) return { ...request, target: prefixed(request.target, prefix) }
  const shown: Pick<Request, 'url' | 'method' | 'headers' | 'body' | 'clone'> = {
    url: prefixed(request.url, prefix),
    method: request.method,
    headers: request.headers,
    body: request.body,
    clone: () => request.clone(),
  }
  return shown as R
}

/** A target in origin or absolute form ([RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)); `*` has no path. */
function prefixed(target: string, prefix: string): string {
  if (target.startsWith('/')) return prefix + target
  return target.replace(/^https?:\/\/[^/?#\\]*/i, (origin) => origin + prefix)
}
