import type { Authenticator, RawRequest } from './authenticator.js'
import type { ChallengeScheme } from './challenge.js'
import { inboundRequest } from './request.js'

/** The schemes of the access tokens that are taken, the preferred one first. */
export function schemesOf(authenticators: readonly Authenticator[]): readonly ChallengeScheme[] {
  const dpop = authenticators.flatMap((one) => {
    const offer = one.advertise?.()
    return offer ? [offer.dpop] : []
  })
  const bearer = dpop.length === 0 || dpop.some((one) => one !== 'required')
  return [
    ...(bearer ? (['Bearer'] as const) : []),
    ...(dpop.some((one) => one !== undefined) ? (['DPoP'] as const) : []),
  ]
}

/** The scheme that the request used. */
export function schemeOf(request: Request | RawRequest): ChallengeScheme | undefined {
  try {
    const scheme = inboundRequest(request).authorization?.scheme
    return scheme === 'dpop' ? 'DPoP' : scheme === 'bearer' ? 'Bearer' : undefined
  } catch {
    return undefined // no scheme can be told, which is why it was refused
  }
}
