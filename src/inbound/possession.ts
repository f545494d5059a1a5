import { equalBytes, utf8 } from '../bytes.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isJsonObject, type JsonObject, seal } from '../strict-json.js'
import type { AuthenticatorContext, InboundRequest } from './authenticator.js'
import type { DpopVerifier } from './dpop.js'

/**
 * Checks that whoever sent the request holds the keys that its token is bound to
 * ([RFC 7800](https://www.rfc-editor.org/rfc/rfc7800)): DPoP (`jkt`) and mutual TLS (`x5t#S256`). A token bound in a
 * way that is not known here is refused. The answer holds for this request alone: never cache it.
 *
 * @throws {@link InboundAuthError} `ERR_PROOF_REQUIRED`, `ERR_BAD_PROOF`, `ERR_NONCE_REQUIRED`, `ERR_REPLAYED`.
 */
export async function provePossession(
  claims: JsonObject,
  token: string,
  request: InboundRequest,
  dpop: DpopVerifier | undefined,
  context: AuthenticatorContext,
): Promise<void> {
  const binding = bindingOf(claims.cnf)
  if (binding['x5t#S256'] !== undefined) {
    checkCertificate(binding['x5t#S256'], request.clientCertificateThumbprint)
  }
  const usesProof = request.authorization?.scheme === 'dpop'
  if (binding.jkt === undefined) {
    if (usesProof) {
      throw new InboundAuthError('ERR_BAD_PROOF', { reason: 'the token is bound to no DPoP key' })
    }
    return
  }
  if (!dpop) throw missing('the token is bound to a DPoP key, and the option dpop is not set')
  // RFC 9449 §7.2: as a bearer, the token is refused even with a proof beside it.
  if (!usesProof) throw missing('the token is bound to a DPoP key, and was sent as a bearer')
  const { iss, sub } = claims
  const holder = typeof sub === 'string' ? [String(iss), sub] : [binding.jkt]
  await dpop.verify({ request, token, thumbprint: binding.jkt, holder, context })
}

/**
 * Refuses a token that is bound to no DPoP key, where that is required. A rule about the token, not about the request.
 *
 * @throws {@link InboundAuthError} `ERR_PROOF_REQUIRED`
 */
export function requireBinding(claims: JsonObject, dpop: DpopVerifier | undefined): void {
  if (dpop?.required && bindingOf(claims.cnf).jkt === undefined) {
    throw missing('only tokens that are bound to a DPoP key are accepted')
  }
}

interface Binding {
  readonly jkt?: string
  readonly 'x5t#S256'?: string
}

function bindingOf(open: unknown): Binding {
  const cnf = seal(open)
  if (cnf === undefined) return {}
  const names = isJsonObject(cnf) ? Object.keys(cnf) : []
  if (!isJsonObject(cnf) || names.length === 0) throw missing('cnf is not an object with a key')
  for (const name of names) {
    if (name !== 'jkt' && name !== 'x5t#S256') {
      throw missing('the token is bound to a key in a way that cannot be checked here (cnf)')
    }
    if (typeof cnf[name] !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(cnf[name])) {
      throw missing(`cnf.${name} is not a SHA-256 thumbprint`)
    }
  }
  return cnf as Binding
}

/** [RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1). */
function checkCertificate(bound: string, presented: string | undefined): void {
  if (presented === undefined) {
    throw missing('the token is bound to a client certificate, and the connection shows none')
  }
  if (!equalBytes(utf8(bound), utf8(presented))) {
    throw missing('the token is bound to another client certificate')
  }
}

function missing(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_PROOF_REQUIRED', { reason })
}
