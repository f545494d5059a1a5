export type { JwsAlgorithm } from '../jwt/algorithm.js'
export type { JsonWebKeySet } from '../jwt/key-list.js'
export type { AssertedUserOptions, MayActForUser } from './asserted-user.js'
export type {
  Authenticator,
  AuthenticatorContext,
  InboundRequest,
  RawBody,
  RawHeaders,
  RawRequest,
  Recognition,
} from './authenticator.js'
export type { ClaimRule } from './claim-rules.js'
export { jwtBearer } from './jwt-bearer.js'
export type { JwtBearerOptions } from './jwt-bearer-options.js'
export {
  type MemoryReplayGuardOptions,
  memoryReplayGuard,
  type ReplayGuard,
} from './replay-guard.js'
export { sigv4 } from './sigv4.js'
export type { SigV4Caller, SigV4Key, SigV4Options } from './sigv4-options.js'
export { InboundVerifier, type InboundVerifierOptions } from './verifier.js'
