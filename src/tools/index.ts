export { type RequireApiKey, type RequireApiKeyOptions, requireApiKey } from './require-api-key.js'
export {
  type RequireAwsCredentials,
  type RequireAwsCredentialsOptions,
  requireAwsCredentials,
} from './require-aws-credentials.js'
export { type RequireToken, type RequireTokenOptions, requireToken } from './require-token.js'
