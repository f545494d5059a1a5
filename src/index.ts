export { AccessToken, type AccessTokenFacts } from './access-token.js'
export type { AuditActing, AuditEvent, AuditSink } from './audit.js'
export type { Clock } from './clock.js'
export * from './context/index.js'
export * from './errors/index.js'
export * from './fetch/index.js'
export type { Fetch } from './http.js'
export * from './inbound/index.js'
export * from './outbound/index.js'
export type { Actor, IamIdentity, Principal, TokenVerifier, UserRef } from './principal.js'
// The files and not the index: awsIam() names optional packages, at which a bundler of a program without them would stumble.
export { apiKey } from './providers/api-key.js'
export type {
  ApiKeyOptions,
  ApiKeyProvider,
  AwsIamOptions,
  AwsIamProvider,
  AwsPolicy,
  ClientAuthMethod,
  Flow,
  OAuth2Options,
  OAuth2Provider,
  Provider,
  ServerEndpoints,
} from './providers/index.js'
export { oauth2 } from './providers/oauth2.js'
export { Secret, type SecretInput } from './secret.js'
export * from './tools/index.js'
export * from './vault/index.js'
export * from './workload/index.js'
