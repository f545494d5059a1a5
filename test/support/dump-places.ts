import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
import { nodeSqlite, openStore } from './open-store.js'

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
  {
    name: 'redisStore: its values, its log and its snapshot',
    missing: redisServer ? undefined : 'redis-server',
    async open() {
      const redis = await startRedis({ keep: true })
      const reader = new Redis(redis.url)
      const { store, close } = await openStore({ kind: 'ioredis', at: redis.url })
      return {
        store,
        async dump() {
          const keys = await reader.keys('*')
          const values = await Promise.all(keys.map((key) => reader.getBuffer(key)))
          await reader.save()
          const read = values.map((value) => value ?? Buffer.alloc(0))
          return Buffer.concat([Buffer.from(keys.join('\n')), ...read, filesBelow(redis.folder)])
        },
        async close() {
          reader.disconnect()
          await close()
          await redis.close()
        },
      }
    },
  },
  {
    name: 'postgresStore: its tables and its log',
    missing: postgresServer && initdb ? undefined : 'postgresql',
    async open() {
      const postgres = await startPostgres()
      const { store, close } = await openStore({ kind: 'postgres', at: postgres.uri })
      return {
        store,
        async dump() {
          const admin = new pg.Client(postgres.uri)
          await admin.connect()
          await admin.query('checkpoint')
          await admin.end()
          return filesBelow(postgres.folder)
        },
        async close() {
          await close()
          await postgres.close()
        },
      }
    },
  },
  {
    name: 'sqliteStore: its file and its log',
    missing: nodeSqlite() ? undefined : 'Node 22.5 or later',
    open: () => openInFolder('sqlite', (folder) => join(folder, 'vault.db')),
  },
  {
    name: 'fileStore',
    open: () => openInFolder('file', (folder) => join(folder, 'vault')),
  },
]

async function openInFolder(
  kind: 'sqlite' | 'file',
  place: (folder: string) => string,
): Promise<OpenPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'deputize-dump-'))
  const { store, close } = await openStore({ kind, at: place(folder) })
  return {
    store,
    dump: async () => filesBelow(folder),
    async close() {
      await close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The names and contents of all files below a folder. */
function filesBelow(folder: string): Buffer {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const contents = names
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path))
  return Buffer.concat([Buffer.from(names.join('\n')), ...contents])
}
