import { type Clock, MINUTE_MS, readClock } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultCorruptError } from '../errors/vault.js'
import { checkOptionNames } from '../option-names.js'
import type { VaultRow, VaultScan, VaultStore } from './store.js'
import { readTimeoutMs, StoreCall } from './store-call.js'

const DEFAULT_TABLE = 'deputize_vault'
const SCAN_PAGE_ROWS = 1_000
/** Rows past their time go a few at a time, and not more often than this. */
const PURGE_EVERY_MS = MINUTE_MS
const PURGE_ROWS = 1_000
/** How often a call is made again that the server could not put in order with others, or that met a missing table. */
const MAX_ATTEMPTS = 20

/** What is used of a pool of `pg`, by structure: nothing here imports it. */
export interface PostgresPoolLike {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

export interface PostgresStoreOptions {
  /** `table` or `schema.table`, in lower-case letters, digits and underscores. Default: `deputize_vault`. */
  readonly table?: string
  /** Milliseconds for one call, waiting for a connection included. Default: 5,000; 1 to 60,000. */
  readonly timeoutMs?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * A store on PostgreSQL 12 or later, for any number of processes: one table, one statement a step, in the transaction
 * of that statement alone. Takes a `Pool` of `pg`, or what has its `query(text, values)`; not a single client, which
 * does not come back once its connection broke.
 *
 * The table is made when a call finds it missing, so an account that may only read and write it is enough where it is
 * there already. Rows past their time are not given any more, and are deleted now and then.
 *
 * Whatever the server or the pool says, and what does not answer in time, is a `VaultUnavailableError`; the next call
 * has a new connection. Set `connectionTimeoutMillis` and `query_timeout` of the pool as well: a call that was given up
 * keeps its connection until the server answers. The pool's `error` event wants a listener of yours.
 *
 * @throws `TypeError` naming the option.
 */
export function postgresStore(
  pool: PostgresPoolLike,
  options: PostgresStoreOptions = {},
): VaultStore {
  if (typeof (pool as Partial<PostgresPoolLike> | null | undefined)?.query !== 'function') {
    throw new TypeError(
      'pool must be a Pool of pg; it has no query(). Write: postgresStore(new Pool({ connectionString })).',
    )
  }
  return new PostgresStore(pool, options)
}

const TABLE = /^(?:([a-z_][a-z0-9_]{0,62})\.)?([a-z_][a-z0-9_]{0,62})$/

/** Every name is checked and quoted; everything else goes as a parameter. */
function statementsFor(table: string) {
  const [, schema, name = ''] = TABLE.exec(table) ?? []
  if (name === '') {
    throw new TypeError(
      `table must be "table" or "schema.table" of lower-case letters, digits and underscores, each at most 63 characters, got ${JSON.stringify(table)}.`,
    )
  }
  const full = schema === undefined ? `"${name}"` : `"${schema}"."${name}"`
  const live = (at: string) => `(t.keep_until_ms is null or t.keep_until_ms >= ${at})`
  const insert = `insert into ${full} as t (id, sealed, version, keep_until_ms) values ($1, $2, $3, $4)`
  const overwrite =
    'do update set sealed = excluded.sealed, version = excluded.version, keep_until_ms = excluded.keep_until_ms'
  return {
    create: [
      `create table if not exists ${full} (id text collate "C" primary key, sealed bytea not null, version bigint not null, keep_until_ms bigint)`,
      `create index if not exists "${name.slice(0, 50)}_keep_until" on ${full} (keep_until_ms) where keep_until_ms is not null`,
    ],
    get: `select sealed, version::text as version, keep_until_ms::text as keep_until_ms from ${full} as t where id = $1 and ${live('$2')}`,
    write: `${insert} on conflict (id) ${overwrite} returning id`,
    createRow: `${insert} on conflict (id) ${overwrite} where t.keep_until_ms < $5 returning id`,
    replace: `update ${full} as t set sealed = $2, version = $3, keep_until_ms = $4 where id = $1 and version = $6 and ${live('$5')} returning id`,
    delete: `delete from ${full} where id = $1`,
    scan: `select id from ${full} as t where id > $1 and ${live('$2')} order by id limit ${SCAN_PAGE_ROWS}`,
    purge: `delete from ${full} where id in (select id from ${full} where keep_until_ms < $1 limit ${PURGE_ROWS} for update skip locked)`,
  }
}

class PostgresStore implements VaultStore {
  readonly #pool: PostgresPoolLike
  readonly #table: string
  readonly #sql: ReturnType<typeof statementsFor>
  readonly #timeoutMs: number
  readonly #clock: Clock
  #purgedMs = 0

  constructor(pool: PostgresPoolLike, options: PostgresStoreOptions) {
    checkOptionNames(
      options,
      'postgresStore()',
      { table: true, timeoutMs: true, clock: true },
      'a pool and an object of options',
    )
    const { table = DEFAULT_TABLE, timeoutMs } = options
    const clock = readClock(options.clock)
    this.#pool = pool
    this.#table = table
    this.#sql = statementsFor(table)
    this.#timeoutMs = readTimeoutMs(timeoutMs)
    this.#clock = clock
  }

  async get(id: string): Promise<VaultRow | undefined> {
    const [found] = await this.#query('get', this.#sql.get, [id, this.#clock()])
    return found === undefined ? undefined : rowOf(found)
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const { replaces } = options
    const values: unknown[] = [id, row.sealed.slice(), row.version, row.keepUntilMs ?? null]
    let sql = this.#sql.write
    if (replaces === 0) {
      sql = this.#sql.createRow
      values.push(this.#clock())
    } else if (replaces !== undefined) {
      sql = this.#sql.replace
      values.push(this.#clock(), replaces)
    }
    const wrote = (await this.#query('put', sql, values)).length > 0
    if (wrote && row.keepUntilMs !== undefined) this.#purge()
    return wrote
  }

  async delete(id: string): Promise<void> {
    await this.#query('delete', this.#sql.delete, [id])
  }

  async scan(cursor = ''): Promise<VaultScan> {
    const rows = await this.#query('scan', this.#sql.scan, [cursor, this.#clock()])
    const ids = rows.map((row) => String((row as { id: unknown }).id))
    const last = ids.at(-1)
    return ids.length < SCAN_PAGE_ROWS || last === undefined ? { ids } : { ids, cursor: last }
  }

  /** Nobody waits for it, and the next one does what this one could not. */
  #purge(): void {
    const nowMs = this.#clock()
    if (nowMs - this.#purgedMs < PURGE_EVERY_MS) return
    this.#purgedMs = nowMs
    this.#query('delete', this.#sql.purge, [nowMs]).catch(() => {})
  }

  async #query(operation: string, sql: string, values: unknown[]): Promise<readonly unknown[]> {
    const call = new StoreCall(operation, this.#timeoutMs, sqlState)
    const send = async (text: string, parameters: unknown[]) =>
      (await this.#pool.query(text, parameters)).rows
    for (let attempt = 1; ; attempt++) {
      const reply = await call.run(async () => {
        try {
          return await send(sql, values)
        } catch (error) {
          const state = sqlState(error)
          if (attempt >= MAX_ATTEMPTS || state === undefined) throw error
          if (!(MISSING.has(state) || UNORDERED.has(state))) throw this.#explained(error, state)
          return state
        }
      })
      if (typeof reply !== 'string') return reply
      if (MISSING.has(reply)) await call.run(() => this.#create(send))
    }
  }

  async #create(send: (text: string, values: unknown[]) => Promise<unknown>): Promise<void> {
    for (const statement of this.#sql.create) {
      try {
        await send(statement, [])
      } catch (error) {
        const state = sqlState(error)
        // Two that create at once: one of them is told that the name is taken. Then it is there.
        if (state === undefined || !TAKEN.has(state)) throw this.#explained(error, state)
      }
    }
  }

  /** Waiting does not mend these: somebody must change something. */
  #explained(error: unknown, state: string | undefined): unknown {
    if (isDeputizeError(error) || state === undefined || !MISFITS.has(state)) return error
    return new ConfigurationError(
      `The vault's table ${this.#table} cannot be used (SQLSTATE ${state}). The account needs SELECT, INSERT, UPDATE and DELETE on it, and where it is missing the schema and CREATE there; a table of that name that is not the vault's needs another place.`,
    )
  }
}

/** undefined_table */
const MISSING: ReadonlySet<string> = new Set(['42P01'])
/** serialization_failure, deadlock_detected: nothing was written, also with an isolation level above the default. */
const UNORDERED: ReadonlySet<string> = new Set(['40001', '40P01'])
/** unique_violation in the catalogue, duplicate_table, duplicate_object */
const TAKEN: ReadonlySet<string> = new Set(['23505', '42P07', '42710'])
/** invalid_schema_name, insufficient_privilege, undefined_column, wrong_object_type, datatype_mismatch, no such unique key */
const MISFITS: ReadonlySet<string> = new Set(['3F000', '42501', '42703', '42809', '42804', '42P10'])

/** The five characters by which PostgreSQL names an error. */
function sqlState(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
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
