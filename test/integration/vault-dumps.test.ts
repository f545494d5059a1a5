/** What lies on the disk after secrets were written through the vault: none of them, in whatever spelling. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { localKeys } from '../../src/vault/key-ring.js'
import type { VaultStore } from '../../src/vault/store.js'
import { tokenVault } from '../../src/vault/token-vault.js'
import { nodeSqlite, openStore } from '../support/open-store.js'
import { spellings } from '../support/spellings.js'
import { needs, postgresServer, redisServer } from './binaries.js'
import { startPostgres } from './postgres.js'
import { startRedis } from './redis.js'

const canary = 'canary-5f1c7a90-refresh-token'
const user = 'canary-user@example.com'

/** The files below `folder` that hold one of the canaries, and how many bytes were looked at. */
function findings(folder: string) {
  const wanted = [...spellings(canary), ...spellings(user)].map((text) => Buffer.from(text))
  const found: string[] = []
  let bytes = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name)
    if (wanted.some((text) => Buffer.from(name).includes(text))) found.push(name)
    if (!statSync(path).isFile()) continue
    const content = readFileSync(path)
    bytes += content.length
    if (wanted.some((text) => content.includes(text))) found.push(name)
  }
  return { found, bytes }
}

const rows = 20

/** Writes rows twice, so that old versions are there to be found too. */
async function fill(store: VaultStore): Promise<void> {
  const vault = tokenVault({ store, keys: localKeys(randomBytes(32)) })
  for (let at = 0; at < rows; at++) {
    const key = { kind: 'grant', owner: ['https://idp.example', user, `${at}`] } as const
    const value = { refreshToken: canary, accessTokens: [`${canary} ${'x'.repeat(2_000)}`] }
    const version = (await vault.write(key, value, { replaces: 0 }))!
    expect(await vault.write(key, { ...value, at }, { replaces: version })).toBe(version + 1)
    expect((await vault.read<typeof value>(key))?.value.refreshToken).toBe(canary)
  }
}

const MIN_BYTES = rows * 2_000

describe('V26 raw dumps hold no secret', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'deputize-dumps-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('is noticed when it is there', () => {
    const text = Buffer.from(`{"a":"${canary}"}`)
    for (const way of ['utf8', 'hex', 'base64', 'base64url', 'utf16le'] as const) {
      const dumped = way === 'utf16le' ? text.toString('utf8') : text.toString(way)
      expect(
        spellings(canary).some((part) => dumped.includes(part)),
        way,
      ).toBe(true)
    }
  })

  it.skipIf(!redisServer)(
    needs(redisServer, 'redis-server', 'Redis, its log and its snapshot'),
    async () => {
      const redis = await startRedis({ keep: true })
      const { store, close } = await openStore({ kind: 'redis', at: redis.url })
      await fill(store)
      const client = createClient({ url: redis.url })
      await client.connect()
      await client.sendCommand(['SAVE'])
      const dumps = findings(redis.folder)
      expect(dumps.bytes).toBeGreaterThan(MIN_BYTES)
      expect(dumps.found).toEqual([])
      client.destroy()
      await close()
      await redis.close()
    },
  )

  it.skipIf(!postgresServer)(
    needs(postgresServer, 'postgresql', 'PostgreSQL, its tables and its log'),
    async () => {
      const postgres = await startPostgres()
      const { store, close } = await openStore({ kind: 'postgres', at: postgres.uri })
      await fill(store)
      const admin = new pg.Client({ connectionString: postgres.uri })
      await admin.connect()
      await admin.query('checkpoint')
      await admin.end()
      const dumps = findings(postgres.folder)
      expect(dumps.bytes).toBeGreaterThan(MIN_BYTES)
      expect(dumps.found).toEqual([])
      await close()
      await postgres.close()
    },
  )

  // On a Node without it, sqlite-store.test.ts runs this file in one that has it.
  const sqliteHere = async () => {
    const directory = mkdtempSync(join(folder, 'sqlite-'))
    const { store, close } = await openStore({ kind: 'sqlite', at: join(directory, 'vault.db') })
    await fill(store)
    const dumps = findings(directory)
    expect(dumps.bytes).toBeGreaterThan(MIN_BYTES)
    expect(dumps.found).toEqual([])
    await close()
  }
  if (nodeSqlite()) it('SQLite, its file and its log', sqliteHere)

  it('files', async () => {
    const at = join(folder, 'files')
    const { store } = await openStore({ kind: 'file', at })
    await fill(store)
    const dumps = findings(at)
    expect(dumps.bytes).toBeGreaterThan(MIN_BYTES)
    expect(dumps.found).toEqual([])
  })
})
