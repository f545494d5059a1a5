import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runtimeFile } from '../../scripts/runtime-list.js'
import { root } from '../../scripts/subpaths.js'
import { ConfigurationError } from '../../src/errors/outbound.js'
import { VaultUnavailableError } from '../../src/errors/vault.js'
import { describeVaultStore } from '../../src/testing/store-contract.js'
import { type SqliteStoreOptions, sqliteStore } from '../../src/vault/sqlite-store.js'
import { betterSqlite, nodeSqlite } from '../support/open-store.js'
import { hammer, newId, takeTurns } from '../support/store-children.js'

const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }

/** Another Node, which `npm run runtimes` brings. */
function otherNode(name: 'node22' | 'node24'): string | undefined {
  const file = runtimeFile(name)
  return existsSync(file) ? file : undefined
}

const handles = { 'node:sqlite': nodeSqlite(), 'better-sqlite3': betterSqlite() }

for (const [name, Database] of Object.entries(handles)) {
  // node:sqlite: see the end of this file. better-sqlite3 is not among our packages.
  if (Database === undefined) continue

  describe(`sqliteStore over ${name}`, () => {
    let folder: string
    const open: { close(): void }[] = []

    const connect = (file: string) => {
      const handle = new Database(file === ':memory:' ? file : join(folder, file))
      open.push(handle)
      return handle
    }
    const store = (file: string, options: SqliteStoreOptions = {}) =>
      sqliteStore(connect(file), options)

    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'deputize-sqlite-'))
    })
    afterEach(() => {
      for (const handle of open.splice(0)) {
        try {
          handle.close()
        } catch {
          // Closed before.
        }
      }
    })
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    describeVaultStore({ describe, it }, () => store('contract.db'), { scanRows: 1_200 })
    describeVaultStore({ describe, it }, () => store(':memory:'), { name: 'in memory' })

    it('V23 two handles of one file see each other, and it is in order afterwards', async () => {
      const [one, two] = [store('two.db'), store('two.db')]
      const id = newId()
      const wrote = await Promise.all([one, two].map((each) => each.put(id, row, { replaces: 0 })))
      expect(wrote.toSorted()).toEqual([false, true])
      expect(await two.get(id)).toEqual(await one.get(id))
      const [check] = connect('two.db').prepare('pragma integrity_check').all()
      expect(check).toMatchObject({ integrity_check: 'ok' })
      const [mode] = connect('two.db').prepare('pragma journal_mode').all()
      expect(mode).toMatchObject({ journal_mode: 'wal' })
    })

    it('V20 V23 four processes lose no step', async () => {
      const kind = name === 'node:sqlite' ? 'sqlite' : 'better-sqlite3'
      const { wins, version } = await hammer({ kind, at: join(folder, 'hammered.db') }, 25)
      expect(wins).toEqual([25, 25, 25, 25])
      expect(version).toBe(100)
      const turns = await takeTurns({ kind, at: join(folder, 'turns.db') }, 10)
      expect(turns).toEqual([10, 10, 10, 10])
    })

    it('V23 waits for a writer without holding the process up, and not for ever', async () => {
      const other = connect('busy.db')
      const hasty = store('busy.db', { timeoutMs: 300 })
      const patient = store('busy.db', { timeoutMs: 60_000 })
      const [id, next] = [newId(), newId()]
      await patient.put(id, row)
      other.exec('begin immediate')
      let ticks = 0
      const ticking = setInterval(() => ticks++, 10)
      await expect(hasty.put(next, row)).rejects.toMatchObject({
        name: 'VaultUnavailableError',
        reason: 'timeout',
      })
      expect(ticks).toBeGreaterThan(0) // a wait that blocks the process would let none through
      clearInterval(ticking)
      expect(await hasty.get(id)).toEqual(row) // a writer does not stop readers
      const waiting = patient.put(next, row, { replaces: 0 })
      setTimeout(() => other.exec('commit'), 200)
      expect(await waiting).toBe(true)
    })

    it('refuses a handle inside a transaction', async () => {
      const handle = connect('transaction.db')
      const own = sqliteStore(handle)
      await own.put(newId(), row)
      handle.exec('begin')
      await expect(own.put(newId(), row)).rejects.toBeInstanceOf(ConfigurationError)
      handle.exec('rollback')
      expect(await own.put(newId(), row)).toBe(true)
    })

    it('V16 is unavailable, not empty, once the handle is closed', async () => {
      const handle = connect('closed.db')
      const own = sqliteStore(handle)
      const id = newId()
      await own.put(id, row)
      handle.close()
      for (const call of [
        () => own.get(id),
        () => own.put(id, row),
        () => own.delete(id),
        () => own.scan(),
      ]) {
        await expect(call()).rejects.toBeInstanceOf(VaultUnavailableError)
      }
    })

    it('P15 a full file is an error, and every row stays as it was', async () => {
      const handle = connect('full.db')
      const own = sqliteStore(handle)
      const [id, next] = [newId(), newId()]
      await own.put(id, row)
      handle.exec('pragma max_page_count = 20')
      const large = { sealed: new Uint8Array(200_000), version: 2 }
      for (const call of [() => own.put(next, large), () => own.put(id, large, { replaces: 1 })]) {
        await expect(call()).rejects.toMatchObject({
          reason: expect.stringMatching(/^sqlite_13|FULL$/),
        })
      }
      expect(await own.get(id)).toEqual(row)
      expect(await own.get(next)).toBeUndefined()
    })

    it('deletes rows past their time now and then, a bounded number', async () => {
      let nowMs = 10_000_000
      const handle = connect('passing.db')
      const own = sqliteStore(handle, { table: 'passing', clock: () => nowMs })
      const ids = Array.from({ length: 5 }, newId)
      for (const id of ids) await own.put(id, { ...row, keepUntilMs: nowMs + 5_000 })
      nowMs += 6_000
      expect(await own.get(ids[0] ?? '')).toBeUndefined()
      expect(await own.scan()).toEqual({ ids: [] })
      // A row past its time is no row to a writer either.
      const [again = '', never = ''] = ids
      expect(await own.put(never, { ...row, version: 2 }, { replaces: 1 })).toBe(false)
      expect(await own.put(again, { ...row, version: 3 }, { replaces: 0 })).toBe(true)
      expect(await own.get(again)).toEqual({ ...row, version: 3 })
      await own.delete(again)
      nowMs += 60_000
      const last = newId()
      await own.put(last, { ...row, keepUntilMs: nowMs + 5_000 })
      expect(handle.prepare('select id from passing').all()).toEqual([{ id: last }])
    })
  })
}

// This Node has no node:sqlite: the tests above run in one that has.
if (handles['node:sqlite'] === undefined) {
  for (const major of [22, 24] as const) {
    const node = otherNode(`node${major}`)
    const title = node
      ? `on Node ${major}`
      : `on Node ${major} (needs Node ${major}: npm run runtimes)`
    it.skipIf(node === undefined)(`sqliteStore over node:sqlite, ${title}`, async () => {
      const files = ['sqlite-store', 'vault-dumps'].map((it) => `test/integration/${it}.test.ts`)
      const args = ['node_modules/vitest/vitest.mjs', 'run', ...files, '--reporter=json']
      const options = { cwd: root, env: { ...process.env, NODE_NO_WARNINGS: '1' } }
      const run = promisify(execFile)(node ?? '', args, { ...options, maxBuffer: 10_000_000 })
      const { stdout } = await run.catch((error) => error as { stdout: string })
      const report = JSON.parse(stdout.slice(stdout.indexOf('{"')))
      const failures = report.testResults.flatMap((result: { assertionResults: object[] }) =>
        result.assertionResults.filter((test) => (test as { status: string }).status === 'failed'),
      )
      expect(failures).toEqual([])
      expect(report.numPassedTests).toBeGreaterThan(50)
    })
  }
}
