import type { SignedRequest, UnsignedRequest } from '../aws/sign-request.js'
import type { Fetch } from '../http.js'

/**
 * Sends one request as it was signed. A redirect is never followed: the signature is for this address, and another one
 * is the server's choice.
 */
export async function signedCall(
  request: UnsignedRequest & {
    readonly init: RequestInit
    readonly redirect: RequestRedirect
  },
  send: Fetch,
  sign: (request: UnsignedRequest) => Promise<SignedRequest>,
): Promise<Response> {
  const { url, method, headers, body } = await sign(request)
  const { duplex: _duplex, ...init } = request.init as RequestInit & { duplex?: unknown }
  const answer = await send(url.href, { ...init, method, headers, body, redirect: 'manual' })
  const redirected =
    answer.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(answer.status)
  if (!redirected || request.redirect === 'manual') return answer
  await answer.body?.cancel().catch(() => {})
  throw new TypeError(
    'The service answered a signed request with a redirect; it is not followed. Check the region and the endpoint.',
  )
}
