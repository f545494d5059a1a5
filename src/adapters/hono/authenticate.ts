import { ConfigurationError } from '../../errors/outbound.js'
import {
  type AuthenticateOptions,
  admit,
  type CallerVerifier,
  checkAdmission,
} from '../../inbound/admission.js'
import type { RawBody, RawRequest } from '../../inbound/authenticator.js'
import { keepCaller } from '../../inbound/kept-caller.js'
import { isPrincipal } from '../../principal.js'
import { hasBody } from '../node/has-body.js'
import { type NodeMessage, rawRequest } from '../node/raw-request.js'

/** What is used of a context of Hono. */
export interface HonoContextLike {
  readonly req: { readonly raw: Request }
  /** Bindings; the server of `@hono/node-server` puts the message of `node:http` there. */
  readonly env: unknown
}

/**
 * Middleware of Hono that lets in whom `verifier` accepts, and answers everybody else as the verifier says: 401, 403 or
 * 503. Handlers behind it find the caller with `callerOf(c)`. Errors that are no refusals are thrown, for `onError`.
 *
 * On `@hono/node-server` signatures are checked over the request as it stood on the wire. Elsewhere there is a
 * `Request` alone, and what a signature cannot be judged by is refused.
 */
export function authenticate<C extends HonoContextLike = HonoContextLike>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<C> = {},
): (c: NoInfer<C>, next: () => Promise<void>) => Promise<Response | undefined> {
  const admission = checkAdmission(verifier, options)
  return async (c, next) => {
    const outcome = await admit(verifier, requestOf(c), c, admission)
    if (!isPrincipal(outcome)) return outcome
    keepCaller(c, outcome)
    await next()
    return undefined
  }
}

function requestOf({ req, env }: HonoContextLike): Request | RawRequest {
  const message = (env as { incoming?: unknown } | undefined | null)?.incoming
  if (!isNodeMessage(message)) return req.raw
  return { ...rawRequest(message), body: bodyOf(req.raw, message) }
}

/** The body beside the one that the application reads. */
function bodyOf(request: Request, message: NodeMessage): RawBody | undefined {
  if (!hasBody(message)) return undefined
  // A Request has no body here, so the application cannot miss what is read of it.
  if (request.method === 'GET' || request.method === 'HEAD') return message
  return () => {
    if (request.bodyUsed) {
      throw new ConfigurationError(
        'The signature covers the body, which was read before. Put authenticate() in front of the middleware that reads it.',
      )
    }
    return request.clone().body as unknown as AsyncIterable<Uint8Array>
  }
}

function isNodeMessage(value: unknown): value is NodeMessage {
  const message = value as Partial<NodeMessage> | undefined | null
  return Array.isArray(message?.rawHeaders) && typeof message.url === 'string'
}
