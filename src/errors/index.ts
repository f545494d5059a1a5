export { AwsCredentialsError } from './aws.js'
export { DeputizeError, isDeputizeError, type SystemCause } from './base.js'
export {
  type AuthorizationRequired,
  AuthorizationRequiredError,
  ConsentDeniedError,
  ConsentExpiredError,
  ConsentFailedError,
  ConsentSessionError,
  ConsentWrongUserError,
  findAuthorizationRequired,
} from './consent.js'
export { InboundAuthError, type InboundAuthErrorCode, type RefusalClass } from './inbound.js'
export {
  AccountAmbiguousError,
  ConfigurationError,
  NetworkError,
  type NetworkErrorReason,
  OAuthRefusedError,
  OriginNotAllowedError,
  ScopeNotGrantedError,
  ServerResponseError,
  ServerUnavailableError,
} from './outbound.js'
export { KeyUnavailableError, VaultCorruptError, VaultUnavailableError } from './vault.js'
export { NoActingContextError, NoUserError } from './workload.js'
