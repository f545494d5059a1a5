/** Opens any store by a description that can be passed to another process. */
import { createRequire } from 'node:module'
import { fileStore } from '../../src/vault/file-store.js'
import { postgresStore } from '../../src/vault/postgres-store.js'
import { redisStore } from '../../src/vault/redis-store.js'
import { type SqliteLike, sqliteStore } from '../../src/vault/sqlite-store.js'
import type { VaultStore } from '../../src/vault/store.js'

export interface StoreSpec {
  readonly kind: 'redis' | 'ioredis' | 'postgres' | 'sqlite' | 'better-sqlite3' | 'file'
  /** A URL, a file or a folder. */
  readonly at: string
  readonly timeoutMs?: number
}

export interface OpenStore {
  readonly store: VaultStore
  close(): Promise<void>
}

export interface SqliteClass {
  new (path: string): SqliteLike & { close(): void }
}

/** `node:sqlite`, which Node has from 22.5 on. */
export function nodeSqlite(): SqliteClass | undefined {
  return loaded('node:sqlite')?.DatabaseSync as SqliteClass | undefined
}

/** `better-sqlite3`, which is built natively and so is not among our packages; used where somebody installed it. */
export function betterSqlite(): SqliteClass | undefined {
  return loaded('better-sqlite3') as SqliteClass | undefined
}

function loaded(name: string): Record<string, unknown> | undefined {
  try {
    return createRequire(import.meta.url)(name)
  } catch {
    return undefined
  }
}

export async function openStore(spec: StoreSpec): Promise<OpenStore> {
  const { kind, at, timeoutMs = 20_000 } = spec
  if (kind === 'redis') {
    const { createClient } = await import('redis') // not all processes need all clients
    const client = createClient({ url: at })
    client.on('error', () => {})
    await client.connect()
    return { store: redisStore(client, { timeoutMs }), close: async () => client.destroy() }
  }
  if (kind === 'ioredis') {
    const { Redis } = await import('ioredis')
    const client = new Redis(at)
    client.on('error', () => {})
    return { store: redisStore(client, { timeoutMs }), close: async () => client.disconnect() }
  }
  if (kind === 'postgres') {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ connectionString: at })
    pool.on('error', () => {})
    return { store: postgresStore(pool, { timeoutMs }), close: () => pool.end() }
  }
  if (kind === 'sqlite' || kind === 'better-sqlite3') {
    const Database = kind === 'sqlite' ? nodeSqlite() : betterSqlite()
    if (Database === undefined) throw new Error(`${kind}: not found`)
    const handle = new Database(at)
    return { store: sqliteStore(handle, { timeoutMs }), close: async () => handle.close() }
  }
  return { store: fileStore(at, { timeoutMs }), close: async () => {} }
}
