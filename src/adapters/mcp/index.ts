export type { AuthenticateOptions, CallerVerifier } from '../../inbound/admission.js'
export {
  type ConnectMiddleware,
  type ConnectRequest,
  type MetadataSource,
  metadataRoute,
} from '../node/connect-middleware.js'
export { type AuthInfo, authInfoOf, callerOf } from './auth-info.js'
export { authenticate, type McpRequest } from './authenticate.js'
export { calledTools } from './called-tools.js'
export {
  consentElicitation,
  type UrlElicitation,
  type UrlElicitationRequired,
  type WithConsent,
} from './consent-elicitation.js'
export { type McpAuthErrors, type McpTokenVerifier, mcpTokenVerifier } from './token-verifier.js'
