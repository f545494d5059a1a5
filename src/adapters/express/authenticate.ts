import type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
import { keepCaller } from '../../inbound/kept-caller.js'
import { checkObject } from '../../option-names.js'
import {
  authenticateConnect,
  type ConnectMiddleware,
  type ConnectRequest,
} from '../node/connect-middleware.js'
import { keepBody } from '../node/kept-body.js'

/**
 * Middleware of Express (or Connect) that lets in whom `verifier` accepts, and answers everybody else as the verifier
 * says: 401, 403 or 503. Handlers behind it find the caller with `callerOf(request)`. Errors that are no refusals go to
 * `next()`.
 *
 * Signatures are checked over the target as it was sent, also in a router that is mounted somewhere. Those that cover a
 * body need {@link keepRawBody}.
 */
export function authenticate<R extends ConnectRequest = ConnectRequest>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<R> = {},
): ConnectMiddleware<NoInfer<R>> {
  return authenticateConnect(verifier, options, keepCaller)
}

/**
 * Keeps the bytes of bodies that Express parses, for signatures: `express.json({ verify: keepRawBody })` in front of
 * `authenticate()`. Whoever signs does not compress: Express inflates bodies before it shows them.
 */
export function keepRawBody(request: object, _response: unknown, bytes: Uint8Array): void {
  checkObject(request, 'keepRawBody()', 'what express.json({ verify: keepRawBody }) gives it')
  keepBody(request, bytes)
}
