export type { AuthorizationSettled, IdentifyUser } from './consent-callback.js'
export type { AuthorizationStatus } from './consents.js'
export { OutboundCredentialProvider, type TokenResult } from './credential-provider.js'
export type { OutboundCredentialProviderOptions } from './options.js'
