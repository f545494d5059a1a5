import type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
import {
  authenticateConnect,
  type ConnectMiddleware,
  type ConnectRequest,
} from '../node/connect-middleware.js'
import { type AuthInfo, authInfoOf } from './auth-info.js'

/** A request on its way to the transport of the SDK. */
export interface McpRequest extends ConnectRequest {
  auth?: AuthInfo
}

/**
 * Middleware for an MCP server on Express: lets in whom `verifier` accepts, and answers everybody else as the verifier
 * says. The SDK's transport passes `request.auth` on to tools, which call `callerOf(extra)`.
 *
 * It stands in place of the SDK's `requireBearerAuth`, and knows more: every method of the verifier, challenges that
 * name the scopes to ask for, and 503 when a caller cannot be judged now.
 */
export function authenticate<R extends McpRequest = McpRequest>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<R> = {},
): ConnectMiddleware<NoInfer<R>> {
  return authenticateConnect(verifier, options, (request, caller) => {
    request.auth = authInfoOf(caller)
  })
}
