import {
  type AuthenticateOptions,
  admit,
  type CallerVerifier,
  checkAdmission,
} from '../../inbound/admission.js'
import { keepCaller } from '../../inbound/kept-caller.js'
import { checkObject } from '../../option-names.js'
import { isPrincipal } from '../../principal.js'
import { hasBody } from '../node/has-body.js'
import { type BodyStream, keepWhilePassing, keptBody } from '../node/kept-body.js'
import { type NodeMessage, rawRequest } from '../node/raw-request.js'

/** What is used of a request of Fastify. */
export interface FastifyRequestLike {
  readonly raw: NodeMessage
  readonly originalUrl: string
  readonly routeOptions: { readonly bodyLimit?: number | undefined }
}

/** What is used of a reply of Fastify. */
export interface FastifyReplyLike {
  code(status: number): unknown
  header(name: string, value: string): unknown
  send(payload: string): unknown
}

/**
 * A hook of Fastify that lets in whom `verifier` accepts, and answers everybody else as the verifier says: 401, 403 or
 * 503. Handlers find the caller with `callerOf(request)`. Errors that are no refusals are thrown, for the error handler.
 *
 * Add it as `onRequest`, before bodies are read, or as `preHandler` behind {@link keepRawBody} where callers sign
 * bodies.
 */
export function authenticate<R extends FastifyRequestLike = FastifyRequestLike>(
  verifier: CallerVerifier,
  options: AuthenticateOptions<R> = {},
): (request: NoInfer<R>, reply: FastifyReplyLike) => Promise<unknown> {
  const admission = checkAdmission(verifier, options)
  return async (request, reply) => {
    const raw = { ...rawRequest(request.raw), target: request.originalUrl }
    const asked = { ...raw, body: keptBody(request.raw) }
    const outcome = await admit(verifier, asked, request, admission)
    if (isPrincipal(outcome)) {
      keepCaller(request, outcome)
      return undefined
    }
    reply.code(outcome.status)
    outcome.headers.forEach((value, name) => {
      reply.header(name, value)
    })
    reply.send(await outcome.text())
    return reply
  }
}

/** Fastify's own default for bodies. */
const DEFAULT_BODY_LIMIT_BYTES = 1_048_576

/**
 * A `preParsing` hook that keeps the bytes of bodies for signatures, up to the route's `bodyLimit`. Add it before hooks
 * that decompress.
 */
export async function keepRawBody<B extends BodyStream>(
  request: FastifyRequestLike,
  _reply: unknown,
  body: B,
): Promise<BodyStream> {
  const raw = (request as FastifyRequestLike | undefined)?.raw
  checkObject(raw, 'keepRawBody()', "what addHook('preParsing', keepRawBody) gives it")
  if (!hasBody(request.raw)) return body
  const limit = request.routeOptions.bodyLimit ?? DEFAULT_BODY_LIMIT_BYTES
  return keepWhilePassing(request.raw, body, limit)
}
