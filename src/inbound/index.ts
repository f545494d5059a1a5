export type { JwsAlgorithm } from '../jwt/algorithm.js'
export type { JsonWebKeySet } from '../jwt/key-list.js'
export type { ClientAuthMethod } from '../oauth/client-auth.js'
export type { AssertedUserOptions, MayActForUser } from './asserted-user.js'
export type {
  Advertisement,
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  RawBody,
  RawHeaders,
  RawRequest,
  Recognition,
} from './authenticator.js'
export { type AwsWebIdentityOptions, awsWebIdentity } from './aws-web-identity.js'
export type { ErrorBody } from './challenge.js'
export type { ClaimRule } from './claim-rules.js'
export type { DpopOptions } from './dpop.js'
export { type Guard, requireAll, requireAny, requireScopes } from './guards.js'
export type { AllowedIamCallers } from './iam-rules.js'
export { type IntrospectionOptions, introspection } from './introspection.js'
export { jwtBearer } from './jwt-bearer.js'
export type { JwtBearerOptions } from './jwt-bearer-options.js'
export { type Auth0Options, auth0Tokens } from './presets/auth0.js'
export { type CognitoOptions, cognitoTokens } from './presets/cognito.js'
export { type EntraIdOptions, entraIdTokens } from './presets/entra-id.js'
export { type GoogleServiceAccountOptions, googleServiceAccountTokens } from './presets/google.js'
export { type KeycloakOptions, keycloakTokens } from './presets/keycloak.js'
export { type OktaOptions, oktaTokens } from './presets/okta.js'
export type { PresetOptions } from './presets/preset-options.js'
export { type Rfc9068Options, rfc9068Tokens } from './presets/rfc9068.js'
export {
  type MemoryReplayGuardOptions,
  memoryReplayGuard,
  type ReplayGuard,
} from './replay-guard.js'
export { sigv4 } from './sigv4.js'
export type { SigV4Caller, SigV4Key, SigV4Options } from './sigv4-options.js'
export { stsIdentity } from './sts-identity.js'
export type { StsIdentityOptions } from './sts-identity-options.js'
export type { TokenProfile } from './token-profile.js'
export { InboundVerifier, type InboundVerifierOptions } from './verifier.js'
export { type WorkloadTokenOptions, workloadToken } from './workload-token.js'
