export type { JwsAlgorithm } from '../jwt/algorithm.js'
export type { JsonWebKeySet } from '../jwt/key-list.js'
export type { MayActForUser } from './asserted-user.js'
export type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  RawBody,
  RawHeaders,
  RawRequest,
  Recognition,
} from './authenticator.js'
export { type AwsWebIdentityOptions, awsWebIdentity } from './aws-web-identity.js'
export type { ClaimRule } from './claim-rules.js'
export type { AllowedIamCallers } from './iam-rules.js'
export { jwtBearer } from './jwt-bearer.js'
export type { JwtBearerOptions } from './jwt-bearer-options.js'
export { stsIdentity } from './sts-identity.js'
export type { StsIdentityOptions } from './sts-identity-options.js'
export { InboundVerifier, type InboundVerifierOptions } from './verifier.js'
