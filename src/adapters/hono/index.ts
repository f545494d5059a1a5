export type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
export { callerOf } from '../../inbound/kept-caller.js'
export { authenticate, type HonoContextLike } from './authenticate.js'
