import { isDeputizeError } from '../../errors/base.js'
import type { InboundAuthError } from '../../errors/inbound.js'
import { checkOptionNames, kindOf } from '../../option-names.js'
import type { TokenVerifier } from '../../principal.js'
import { type AuthInfo, authInfoOf } from './auth-info.js'

/** The SDK's classes of errors, by which its middleware tells refusals apart. */
export interface McpAuthErrors {
  readonly InvalidTokenError: new (message: string) => Error
  readonly InsufficientScopeError: new (message: string) => Error
}

/** `OAuthTokenVerifier` of the MCP SDK. */
export interface McpTokenVerifier {
  verifyAccessToken(token: string): Promise<AuthInfo>
}

/**
 * An `InboundVerifier` for the SDK's `requireBearerAuth`. `errors` is the module
 * `@modelcontextprotocol/sdk/server/auth/errors.js`.
 *
 * That middleware names only its own `requiredScopes` to refused callers, has no 403 that asks for nothing, answers 500 when a caller cannot be judged
 * now, and takes no token without `exp`; `authenticate()` of this subpath does better.
 */
export function mcpTokenVerifier(options: {
  readonly verifier: TokenVerifier
  readonly errors: McpAuthErrors
}): McpTokenVerifier {
  checkOptionNames(
    options,
    'mcpTokenVerifier()',
    { verifier: true, errors: true },
    '{ verifier, errors }',
  )
  const { verifier, errors } = options
  for (const name of ['InvalidTokenError', 'InsufficientScopeError'] as const) {
    if (typeof errors?.[name] !== 'function') {
      throw new TypeError(
        `errors must have ${name}: pass the module @modelcontextprotocol/sdk/server/auth/errors.js.`,
      )
    }
  }
  if (typeof verifier?.verifyToken !== 'function') {
    throw new TypeError(`verifier must be an InboundVerifier; got ${kindOf(verifier)}.`)
  }
  return {
    async verifyAccessToken(token) {
      try {
        return authInfoOf(await verifier.verifyToken(token))
      } catch (error) {
        if (!isDeputizeError(error) || error.name !== 'InboundAuthError') throw error
        // Static texts: the reason would be an oracle.
        switch ((error as InboundAuthError).refusal) {
          case 'temporarily_unavailable':
            throw error
          case 'forbidden':
            throw new errors.InsufficientScopeError('The caller is not permitted')
          case 'insufficient_scope':
            throw new errors.InsufficientScopeError('The access token lacks a required scope')
          default:
            throw new errors.InvalidTokenError('The access token is not acceptable')
        }
      }
    },
  }
}
