import { type PresentedSignature, SIGNATURE_PARAMETER } from './authorization.js'
import type { HeaderFields } from './header-fields.js'
import { malformed } from './refusal.js'
import { canonicalTarget, type PathStyle, type SplitTarget } from './target.js'

/** What the canonical request is made of, but the body. */
export interface CanonicalParts {
  readonly method: string
  readonly target: SplitTarget
  readonly fields: HeaderFields
  readonly presented: PresentedSignature
}

/**
 * The canonical request, up to the hash of the body.
 *
 * @throws `InboundAuthError`
 * @see {@link https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request}
 */
export function canonicalHead(parts: CanonicalParts, pathStyle: PathStyle): string {
  const { method, target, fields, presented } = parts
  if (method !== 'POST' && method !== 'GET' && !/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$/.test(method)) {
    throw malformed('the method is no token')
  }
  const without = presented.form === 'query' ? SIGNATURE_PARAMETER : undefined
  const { signedHeaders } = presented.scope
  const { slots, before } = presented.signed
  const { values } = fields
  let head = `${method}\n${canonicalTarget(target, pathStyle, without)}`
  for (let at = 0; at < slots.length; at++) head += before[at]! + values[slots[at]!]!
  return `${head}\n\n${signedHeaders}\n`
}
