export type { ClientAuthMethod, ServerEndpoints } from '../oauth/server.js'
export { type ApiKeyOptions, apiKey } from './api-key.js'
export { type OAuth2Options, oauth2 } from './oauth2.js'
export type { ApiKeyProvider, Flow, OAuth2Provider, Provider } from './provider.js'
