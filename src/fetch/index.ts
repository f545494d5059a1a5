export { type AuthenticatedFetchOptions, authenticatedFetch } from './authenticated-fetch.js'
