export type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
export { callerOf } from '../../inbound/kept-caller.js'
export {
  authenticate,
  type FastifyReplyLike,
  type FastifyRequestLike,
  keepRawBody,
} from './authenticate.js'
