import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import { Redis } from 'ioredis'
import Keyv from 'keyv'
import pg from 'pg'
import { keyvStore } from '../../src/vault/keyv-store.js'
import { memoryStore } from '../../src/vault/memory-store.js'
import type { VaultStore } from '../../src/vault/store.js'
import { initdb, postgresServer, redisServer } from '../integration/binaries.js'
import { startPostgres } from '../integration/postgres.js'
import { startRedis } from '../integration/redis.js'

/** A place where rows rest, and all that can be read there by whoever has it. */
export interface DumpPlace {
  readonly name: string
  /** What is missing here to open it. */
  readonly missing?: string | undefined
  open(): Promise<OpenPlace>
}

export interface OpenPlace {
  readonly store: VaultStore
  dump(): Promise<Uint8Array>
  close(): Promise<void>
}

/** A new store wants one entry here. */
export const dumpPlaces: readonly DumpPlace[] = [
  {
    name: 'memory',
    async open() {
      const store = memoryStore()
      return {
        store,
        async dump() {
          const { ids } = await store.scan()
          const rows = await Promise.all(ids.map((id) => store.get(id)))
          const parts = rows.flatMap((row, at) => [
            Buffer.from(JSON.stringify({ ...row, id: ids[at], sealed: undefined })),
            row?.sealed ?? Buffer.alloc(0),
          ])
          return Buffer.concat(parts)
        },
        async close() {},
      }
    },
  },
  {
    name: 'Keyv over Redis',
    missing: redisServer ? undefined : 'redis-server',
    async open() {
      const redis = await startRedis()
      const adapter = new KeyvRedis(redis.url)
      const reader = new Redis(redis.url)
      return {
        store: keyvStore(new Keyv(adapter), { processes: 'one' }),
        async dump() {
          const parts: Buffer[] = []
          for (const key of await reader.keys('*')) {
            parts.push(Buffer.from(key))
            // Not by DUMP or from the file: both compress, which would hide what is there.
            if ((await reader.type(key)) === 'string') parts.push((await reader.getBuffer(key))!)
            else parts.push(Buffer.from((await reader.smembers(key)).join('\n')))
          }
          return Buffer.concat(parts)
        },
        async close() {
          reader.disconnect()
          await adapter.disconnect(true)
          await redis.close()
        },
      }
    },
  },
  {
    name: 'Keyv over PostgreSQL',
    missing: postgresServer && initdb ? undefined : 'postgresql',
    async open() {
      const postgres = await startPostgres()
      const adapter = new KeyvPostgres({ uri: postgres.uri })
      const reader = new pg.Client(postgres.uri)
      reader.on('error', () => {}) // the server ends before its clients
      await reader.connect()
      return {
        store: keyvStore(new Keyv(adapter), { processes: 'one' }),
        async dump() {
          const { rows } = await reader.query('SELECT * FROM keyv')
          return Buffer.from(JSON.stringify(rows))
        },
        async close() {
          await reader.end()
          await adapter.disconnect()
          await postgres.close()
        },
      }
    },
  },
]
