import { type Clock, MINUTE_MS, readClock } from '../clock.js'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultCorruptError } from '../errors/vault.js'
import { checkOptionNames } from '../option-names.js'
import type { VaultRow, VaultScan, VaultStore } from './store.js'
import { readTimeoutMs, StoreCall } from './store-call.js'

const DEFAULT_TABLE = 'deputize_vault'
const SCAN_PAGE_ROWS = 1_000
const PURGE_EVERY_MS = MINUTE_MS
const PURGE_ROWS = 100
/** How long a statement may hold up this process while another one writes; then it waits without holding it up. */
const BUSY_TIMEOUT_MS = 20
const MAX_PAUSE_MS = 20

/** What is used of a handle of `node:sqlite` or `better-sqlite3`, by structure: nothing here imports one. */
export interface SqliteLike {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatementLike
}

export interface SqliteStatementLike {
  run(...values: (string | number | null | Uint8Array)[]): { readonly changes: number | bigint }
  get(...values: (string | number | null | Uint8Array)[]): unknown
  all(...values: (string | number | null | Uint8Array)[]): unknown[]
}

export interface SqliteStoreOptions {
  /** Lower-case letters, digits and underscores, at most 63. Default: `deputize_vault`. */
  readonly table?: string
  /** Milliseconds for one call, waiting for other writers included. Default: 5,000; 1 to 60,000. */
  readonly timeoutMs?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * A store in one SQLite file, for the processes of one machine. Takes a `DatabaseSync` of `node:sqlite` (Node 22.5 or
 * later) or a handle of `better-sqlite3`; give it one of its own, since it sets `journal_mode` to WAL, `synchronous` to
 * FULL and `busy_timeout` to 20 ms on it. The table is made at the first call. Every step is one statement; one that
 * finds the file locked is made again until the deadline, and the process goes on meanwhile.
 *
 * Not for a file on a network: SQLite's locks do not hold there.
 *
 * @throws `TypeError` naming the option.
 */
export function sqliteStore(handle: SqliteLike, options: SqliteStoreOptions = {}): VaultStore {
  const given = handle as Partial<SqliteLike> | null | undefined
  for (const method of ['exec', 'prepare'] as const) {
    if (typeof given?.[method] !== 'function') {
      throw new TypeError(
        `handle must be a DatabaseSync of node:sqlite or a Database of better-sqlite3; it has no ${method}(). Write: sqliteStore(new DatabaseSync('vault.db')).`,
      )
    }
  }
  return new SqliteStore(handle, options)
}

function statementsFor(table: string) {
  if (typeof table !== 'string' || !/^[a-z_][a-z0-9_]{0,62}$/.test(table)) {
    throw new TypeError(
      `table must be lower-case letters, digits and underscores, at most 63, got ${JSON.stringify(table)}.`,
    )
  }
  const live = '(keep_until_ms is null or keep_until_ms >= ?)'
  const insert = `insert into "${table}" (id, sealed, version, keep_until_ms) values (?, ?, ?, ?)`
  const overwrite =
    'do update set sealed = excluded.sealed, version = excluded.version, keep_until_ms = excluded.keep_until_ms'
  return {
    create: [
      `create table if not exists "${table}" (id text primary key, sealed blob not null, version integer not null, keep_until_ms integer)`,
      `create index if not exists "${table}_keep_until" on "${table}" (keep_until_ms) where keep_until_ms is not null`,
    ],
    get: `select sealed, version, keep_until_ms from "${table}" where id = ? and ${live}`,
    write: `${insert} on conflict (id) ${overwrite}`,
    createRow: `${insert} on conflict (id) ${overwrite} where "${table}".keep_until_ms < ?`,
    replace: `update "${table}" set sealed = ?, version = ?, keep_until_ms = ? where id = ? and version = ? and ${live}`,
    delete: `delete from "${table}" where id = ?`,
    scan: `select id from "${table}" where id > ? and ${live} order by id limit ${SCAN_PAGE_ROWS}`,
    purge: `delete from "${table}" where id in (select id from "${table}" where keep_until_ms < ? limit ${PURGE_ROWS})`,
  }
}

type Statements = ReturnType<typeof statementsFor>
type StatementName = Exclude<keyof Statements, 'create'>

class SqliteStore implements VaultStore {
  readonly #handle: SqliteLike
  readonly #sql: Statements
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #prepared = new Map<StatementName, SqliteStatementLike>()
  #ready = false
  #purgedMs = 0

  constructor(handle: SqliteLike, options: SqliteStoreOptions) {
    checkOptionNames(
      options,
      'sqliteStore()',
      { table: true, timeoutMs: true, clock: true },
      'a database and an object of options',
    )
    const { table = DEFAULT_TABLE, timeoutMs } = options
    const clock = readClock(options.clock)
    this.#handle = handle
    this.#sql = statementsFor(table)
    this.#timeoutMs = readTimeoutMs(timeoutMs)
    this.#clock = clock
  }

  async get(id: string): Promise<VaultRow | undefined> {
    const found = await this.#call('get', () => this.#prepare('get').get(id, this.#clock()))
    return found === undefined || found === null ? undefined : rowOf(found)
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const { replaces } = options
    const { version, keepUntilMs = null } = row
    const sealed = bytesOf(row.sealed)
    return this.#call('put', () => {
      const nowMs = this.#clock()
      if (replaces === undefined) {
        this.#prepare('write').run(id, sealed, version, keepUntilMs)
      } else {
        const { changes } =
          replaces === 0
            ? this.#prepare('createRow').run(id, sealed, version, keepUntilMs, nowMs)
            : this.#prepare('replace').run(sealed, version, keepUntilMs, id, replaces, nowMs)
        if (Number(changes) === 0) return false
      }
      if (keepUntilMs !== null) this.#purge(nowMs)
      return true
    })
  }

  async delete(id: string): Promise<void> {
    await this.#call('delete', () => this.#prepare('delete').run(id))
  }

  async scan(cursor = ''): Promise<VaultScan> {
    const rows = await this.#call('scan', () => this.#prepare('scan').all(cursor, this.#clock()))
    const ids = rows.map((row) => String((row as { id: unknown }).id))
    const last = ids.at(-1)
    return ids.length < SCAN_PAGE_ROWS || last === undefined ? { ids } : { ids, cursor: last }
  }

  /** Rows past their time go a few at a time. The next one does what this one could not. */
  #purge(nowMs: number): void {
    if (nowMs - this.#purgedMs < PURGE_EVERY_MS) return
    this.#purgedMs = nowMs
    try {
      this.#prepare('purge').run(nowMs)
    } catch {
      // What was to be written is written.
    }
  }

  async #call<T>(operation: string, step: () => T): Promise<T> {
    const call = new StoreCall(operation, this.#timeoutMs, sqliteErrorCode)
    for (;;) {
      const done = await call.run(async () => {
        try {
          this.#open()
          return { value: step() }
        } catch (error) {
          if (!isBusy(error)) throw error
          await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_PAUSE_MS))
          return undefined
        }
      })
      if (done !== undefined) return done.value
    }
  }

  #open(): void {
    const { isTransaction, inTransaction } = this.#handle as {
      isTransaction?: unknown
      inTransaction?: unknown
    }
    if (isTransaction === true || inTransaction === true) {
      throw new ConfigurationError(
        "The vault's SQLite handle is inside a transaction, and a rollback would take the vault's rows with it. Give the vault a handle of its own.",
      )
    }
    if (this.#ready) return
    this.#handle.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}`)
    this.#handle.exec('pragma journal_mode = wal')
    // better-sqlite3 is built with less for WAL: a power failure would take the last refresh tokens.
    this.#handle.exec('pragma synchronous = full')
    for (const statement of this.#sql.create) this.#handle.exec(statement)
    this.#ready = true
  }

  #prepare(name: StatementName): SqliteStatementLike {
    let statement = this.#prepared.get(name)
    if (statement === undefined) {
      statement = this.#handle.prepare(this.#sql[name])
      this.#prepared.set(name, statement)
    }
    return statement
  }
}

/** better-sqlite3 takes a Buffer and no other bytes. */
function bytesOf(bytes: Uint8Array): Uint8Array {
  const { Buffer } = globalThis as { Buffer?: { from(bytes: Uint8Array): Uint8Array } }
  return Buffer === undefined ? bytes.slice() : Buffer.from(bytes)
}

function rowOf(found: unknown): VaultRow {
  const { sealed, version, keep_until_ms: until } = found as Record<string, unknown>
  if (!(sealed instanceof Uint8Array)) throw new VaultCorruptError({ reason: 'not_a_vault_row' })
  return {
    sealed: new Uint8Array(sealed),
    version: Number(version),
    ...(until === null || until === undefined ? {} : { keepUntilMs: Number(until) }),
  }
}

/** SQLITE_BUSY and SQLITE_LOCKED; the upper bytes of a code say more, which nobody here needs. */
const BUSY: ReadonlySet<number> = new Set([5, 6])

function isBusy(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return BUSY.has(errcode & 0xff)
  return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(code)
}

/** Such as `SQLITE_FULL` (better-sqlite3) or `sqlite_13` (node:sqlite). */
function sqliteErrorCode(error: unknown): string | undefined {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return `sqlite_${errcode}`
  return typeof code === 'string' && /^SQLITE_[A-Z_]{2,40}$/.test(code) ? code : undefined
}
