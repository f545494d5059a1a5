export type { KmsClient } from './kms-client.js'
export { type KmsKeysOptions, kmsKeys } from './kms-keys.js'
