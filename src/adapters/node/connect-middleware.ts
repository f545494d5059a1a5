import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type AuthenticateOptions,
  admit,
  type CallerVerifier,
  checkAdmission,
} from '../../inbound/admission.js'
import type { RawRequest } from '../../inbound/authenticator.js'
import { kindOf } from '../../option-names.js'
import { isPrincipal, type Principal } from '../../principal.js'
import { keptBody } from './kept-body.js'
import { rawRequest } from './raw-request.js'
import { sendResponse } from './send-response.js'

/** A request of `node:http` as Connect and Express hand it on: routers cut `url`, and keep what was asked for. */
export interface ConnectRequest extends IncomingMessage {
  readonly originalUrl?: string
}

/** Middleware of Connect and Express. */
export type ConnectMiddleware<R = ConnectRequest> = (
  request: R,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/** Lets callers in, or answers for the verifier. `admitted` keeps the caller for the handlers behind. */
export function authenticateConnect<R extends ConnectRequest>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<R>,
  admitted: (request: R, caller: Principal) => void,
): ConnectMiddleware<R> {
  const admission = checkAdmission(verifier, options)
  return (request, response, next) => {
    const decide = async () => {
      const outcome = await admit(verifier, rawConnectRequest(request), request, admission)
      if (isPrincipal(outcome)) {
        admitted(request, outcome)
        return true
      }
      // It fails only when the client is gone, which is nobody's error.
      await sendResponse(outcome, request, response).catch(() => response.destroy())
      return false
    }
    decide().then(
      (passes) => {
        if (passes) next()
      },
      (error: unknown) => next(error),
    )
  }
}

function rawConnectRequest(request: ConnectRequest): RawRequest {
  const raw = rawRequest(request)
  return { ...raw, target: request.originalUrl ?? raw.target, body: keptBody(request) }
}

/** What a metadata route serves: an `InboundVerifier`. */
export interface MetadataSource {
  metadataHandler(request: Request): Response | Promise<Response>
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

/**
 * Middleware that serves the metadata of the verifier's `resource` at its address
 * ([RFC 9728 §3](https://www.rfc-editor.org/rfc/rfc9728#section-3)), to everybody. Put it in front of
 * `authenticate()`. Servers that speak `Request` and `Response` serve `verifier.metadataHandler` itself.
 */
export function metadataRoute(verifier: MetadataSource): ConnectMiddleware {
  if (typeof (verifier as MetadataSource | null)?.metadataHandler !== 'function') {
    throw new TypeError(`metadataRoute() takes an InboundVerifier; got ${kindOf(verifier)}.`)
  }
  return (request, response, next) => {
    const target = request.originalUrl ?? request.url ?? ''
    if (!target.startsWith(WELL_KNOWN)) {
      next()
      return
    }
    const serve = async () => {
      // Some methods no Request can have; what is not served is refused all the same.
      const method = /^(GET|HEAD|OPTIONS)$/.test(request.method ?? '') ? request.method! : 'POST'
      const asked = new Request(`http://localhost${target}`, { method })
      const answer = await verifier.metadataHandler(asked)
      if (answer.status === 404) return false
      await sendResponse(answer, request, response).catch(() => response.destroy())
      return true
    }
    serve().then(
      (served) => {
        if (!served) next()
      },
      (error: unknown) => next(error),
    )
  }
}
