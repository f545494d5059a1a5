export type { JwsAlgorithm } from '../jwt/algorithm.js'
export type { JsonWebKeySet } from '../jwt/key-list.js'
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
export type { ErrorBody } from './challenge.js'
export type { ClaimRule } from './claim-rules.js'
export type { DpopOptions } from './dpop.js'
export { type Guard, requireAll, requireAny, requireScopes } from './guards.js'
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
export type { TokenProfile } from './token-profile.js'
export { InboundVerifier, type InboundVerifierOptions } from './verifier.js'
export { type WorkloadTokenOptions, workloadToken } from './workload-token.js'
