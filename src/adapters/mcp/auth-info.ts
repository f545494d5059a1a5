import { keepCaller, callerOf as keptCallerOf } from '../../inbound/kept-caller.js'
import { isPrincipal, type Principal, presentedToken } from '../../principal.js'
import type { Secret } from '../../secret.js'

/** `AuthInfo` of the MCP SDK. */
export interface AuthInfo {
  token: string
  clientId: string
  scopes: string[]
  /** Seconds since the epoch. */
  expiresAt?: number
  resource?: URL
  extra?: Record<string, unknown>
}

class VerifiedAuthInfo {
  readonly #token: Secret | undefined
  declare readonly clientId: string
  declare readonly scopes: string[]

  constructor(facts: Omit<AuthInfo, 'token'>, token: Secret | undefined) {
    this.#token = token
    Object.assign(this, facts)
  }

  /** On the prototype, so that printing and JSON do not show it. */
  get token(): string {
    return this.#token?.reveal() ?? ''
  }
}

/**
 * The caller as the MCP SDK hands it to tools: for `transport.handleRequest(request, { authInfo })`. Tools get the
 * `Principal` back with {@link callerOf}. `clientId` is empty where a user's token names no client; `token` is empty for
 * callers who presented none, and is not printed.
 */
export function authInfoOf(caller: Principal): AuthInfo {
  if (!isPrincipal(caller)) {
    throw new TypeError('authInfoOf() takes a Principal as an InboundVerifier returned it.')
  }
  const { method, issuer, subject, user, clientId, scopes, audience, expiresAtMs } = caller
  const [only, another] = audience
  const info = new VerifiedAuthInfo(
    {
      clientId: clientId ?? (user ? '' : subject),
      scopes: [...scopes],
      ...(expiresAtMs === undefined ? {} : { expiresAt: Math.floor(expiresAtMs / 1000) }),
      ...(only !== undefined && another === undefined && isResource(only)
        ? { resource: new URL(only) }
        : {}),
      extra: { method, issuer, subject },
    },
    presentedToken(caller),
  )
  keepCaller(info, caller)
  return info
}

/** RFC 8707 §2: an absolute URI. */
function isResource(audience: string): boolean {
  return /^https?:\/\//.test(audience) && URL.canParse(audience)
}

/**
 * Who called a tool, from the `extra` that the SDK gives to its callback.
 *
 * @throws {@link ConfigurationError} Nothing in front of the transport authenticated the request.
 */
export function callerOf(extra: { readonly authInfo?: object | undefined }): Principal {
  return keptCallerOf((extra as typeof extra | undefined)?.authInfo ?? extra)
}
