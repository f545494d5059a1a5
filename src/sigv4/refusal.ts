import { InboundAuthError } from '../errors/inbound.js'

/** What is signed is not in the one form that is accepted. */
export function malformed(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_MALFORMED_SIGNATURE', { reason })
}

/** A signature of a kind that is not accepted. */
export function unsupported(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_UNSUPPORTED_ALGORITHM', { reason })
}

/** The request names its caller in two ways. */
export function ambiguous(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_AMBIGUOUS_CREDENTIALS', { reason })
}
