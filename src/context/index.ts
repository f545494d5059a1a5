export type { CallerOptions } from './caller.js'
export type {
  AwsCredentialsRequest,
  CredentialSource,
  OnAuthorizationRequired,
  TokenRequest,
} from './credential-source.js'
export { accessToken, currentActing } from './run-context.js'
