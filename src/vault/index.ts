export { type KeyRing, type LocalKey, localKeys, type VaultKey } from './key-ring.js'
export type { KeyvLike } from './keyv-like.js'
export { type KeyvStoreOptions, keyvStore } from './keyv-store.js'
export { type MemoryStoreOptions, memoryStore } from './memory-store.js'
export {
  type PostgresPoolLike,
  type PostgresStoreOptions,
  postgresStore,
} from './postgres-store.js'
export type { IoRedisLike, NodeRedisLike, RedisLike } from './redis-like.js'
export { type RedisStoreOptions, redisStore } from './redis-store.js'
export {
  type SqliteLike,
  type SqliteStatementLike,
  type SqliteStoreOptions,
  sqliteStore,
} from './sqlite-store.js'
export type { VaultRow, VaultScan, VaultStore } from './store.js'
export { type TokenVault, type TokenVaultOptions, tokenVault } from './token-vault.js'
