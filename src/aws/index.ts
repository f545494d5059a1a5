export type { AwsCredentials, AwsCredentialsInput, AwsCredentialsLike } from './aws-credentials.js'
export type { KmsClient } from './kms-client.js'
export { type KmsKeysOptions, kmsKeys } from './kms-keys.js'
export {
  type CallerIdentityHeaders,
  type SignCallerIdentityOptions,
  signCallerIdentity,
} from './sign-caller-identity.js'
export type { SignedRequest, UnsignedRequest } from './sign-request.js'
export type { StsFlavour } from './sts-hosts.js'
