import { InboundAuthError } from '../errors/inbound.js'
import { checkPlainQuery, type findSignature, readSignature } from '../sigv4/authorization.js'
import { HeaderFields } from '../sigv4/header-fields.js'
import { HeaderLayouts } from '../sigv4/header-layout.js'
import { ambiguous, malformed } from '../sigv4/refusal.js'
import { ScopeReader } from '../sigv4/scope.js'
import { type SplitTarget, splitTarget, TargetReader } from '../sigv4/target.js'
import type { SignedRequest } from '../sigv4/verify.js'
import type { InboundRequest } from './authenticator.js'
import type { SigV4Rules } from './sigv4-options.js'

/** What was read of earlier requests, for those that are like them. Of what is kept nothing is a verdict. */
export interface Memory {
  readonly scopes: ScopeReader
  readonly targets: TargetReader
  readonly layouts: HeaderLayouts
}

export function makeMemory(): Memory {
  return { scopes: new ScopeReader(), targets: new TargetReader(), layouts: new HeaderLayouts() }
}

/**
 * Reads a signed request, without judging it.
 *
 * @throws `InboundAuthError`
 */
export function readRequest(
  request: InboundRequest,
  form: NonNullable<ReturnType<typeof findSignature>>,
  memory: Memory,
): SignedRequest {
  if (form === 'both') throw ambiguous('there is a signature in the header and one in the query')
  const fields = new HeaderFields(request.headers, memory.layouts)
  if (!request.raw && fields.get('host') === undefined) {
    throw new InboundAuthError('ERR_RAW_REQUEST_REQUIRED', {
      reason: 'the Web Request has no host header',
    })
  }
  const target =
    form === 'header' ? readTarget(request.target, memory.targets) : splitTarget(request.target)
  const presented = readSignature(form, fields, target, memory.scopes)
  return { method: request.method, target, fields, body: request.body, presented }
}

/** The target of a request whose signature stands in the header. */
function readTarget(text: string, targets: TargetReader): SplitTarget {
  const known = targets.known(text)
  if (known) return known
  const target = splitTarget(text)
  checkPlainQuery(target.query)
  targets.remember(text, target)
  return target
}

/**
 * Refuses a Web `Request` unless it tells what was on the wire: its URL was parsed and its headers were merged.
 * Percent-encoded bytes that the parser itself could have written, and merged values, cannot be told from real ones.
 */
export function requireUntouched(
  request: InboundRequest,
  signed: SignedRequest,
  rules: SigV4Rules,
): void {
  const { target, fields, presented } = signed
  const refuse = (reason: string): never => {
    throw new InboundAuthError('ERR_RAW_REQUEST_REQUIRED', { reason })
  }
  if (rules.pathStyle === 's3') refuse('a Web Request does not keep dots and slashes of its path')
  // Bytes that the URL parser writes encoded, where they came bare (URL standard, path percent-encode set).
  if (/%(?:[01][0-9a-f]|2[023]|3[cef]|5[ce]|60|7[b-df]|[89a-f][0-9a-f])/i.test(target.path)) {
    refuse('the path could have been encoded when the Web Request was made')
  }
  for (const name of presented.scope.signedNames) {
    const value = fields.get(name) ?? ''
    if (value.includes(',')) refuse('a signed header could be several merged ones')
    // Some platforms decode UTF-8, others give a character for each byte.
    if (!/^[\x20-\x7e]*$/.test(value)) refuse('a signed header is not ASCII')
  }
  if (!request.target.startsWith('/')) throw malformed('the request target is not a path')
}
