export type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
export { callerOf } from '../../inbound/kept-caller.js'
export {
  type ConnectMiddleware,
  type ConnectRequest,
  type MetadataSource,
  metadataRoute,
} from '../node/connect-middleware.js'
export { authenticate, keepRawBody } from './authenticate.js'
