import { InboundAuthError } from '../errors/inbound.js'

/** `.` or `..` between separators, each of them bare or percent-encoded. Decoded once, as routers do. */
const dotSegment = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\]|%2f|%5c)/i

/**
 * Refuses a path that a signature covers and that routers and proxies do not all take for the same one: some resolve
 * `.` and `..` ([RFC 3986 §5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)), also encoded ones or those
 * between encoded slashes, some take a backslash for a slash, some merge slashes. The caller would sign one path, and the
 * application would serve another. All other paths pass, `/models:run` and `/a%2Fb` among them.
 *
 * @param path As it stood on the wire, without the query.
 * @param slashes `merged`: what was signed does not tell `//` from `/`, so that an empty segment is refused as well.
 * @throws {@link InboundAuthError} `ERR_AMBIGUOUS_PATH`
 */
export function refuseAmbiguousPath(path: string, slashes: 'kept' | 'merged'): void {
  if (dotSegment.test(path)) throw ambiguous('the path has a segment that is . or ..')
  if (path.includes('\\')) throw ambiguous('the path has a backslash')
  if (slashes === 'merged' && path.includes('//')) throw ambiguous('the path has an empty segment')
}

function ambiguous(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_AMBIGUOUS_PATH', { reason })
}
