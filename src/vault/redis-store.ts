import { isWellFormed, randomId, textOf } from '../bytes.js'
import { type Clock, readClock } from '../clock.js'
import { VaultCorruptError } from '../errors/vault.js'
import { checkOptionNames } from '../option-names.js'
import {
  ownPrefixOf,
  partsOf,
  type RedisLike,
  type RunScript,
  redisErrorCode,
  scriptRunner,
} from './redis-like.js'
import { decodeRow, encodeRow } from './row-text.js'
import type { VaultRow, VaultScan, VaultStore } from './store.js'
import { readTimeoutMs, StoreCall } from './store-call.js'

const DEFAULT_PREFIX = 'deputize:'
const MAX_PREFIX_LENGTH = 200
const SCAN_PAGE_KEYS = 1_000

export interface RedisStoreOptions {
  /** Stands before the id of a row in its key. Default: `deputize:`; 1 to 200 characters. */
  readonly prefix?: string
  /** Milliseconds for one call. Default: 5,000; 1 to 60,000. */
  readonly timeoutMs?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

// Each script touches one key, so a cluster can run it. Reads are scripts too: clients send plain reads to replicas,
// which may be behind.
const GET = "return redis.call('GET', KEYS[1])"
const DELETE = "return redis.call('DEL', KEYS[1])"
/**
 * ARGV: the value, the version that it replaces or '', the time to live in milliseconds or ''. Versions are compared as
 * text: a number of Lua is a double. A client that lost the reply may send the script again; every value is written
 * by one call only, so one that is there already was this call's.
 */
const PUT = `
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then return 1 end
if ARGV[2] ~= '' then
  local version = '0'
  if held then version = string.match(held, '^1%.%x+%.(%d+)%.') end
  if version ~= ARGV[2] then return 0 end
end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
return 1`
// A server that was started anew keeps its keys in another order: its cursors are others, too.
const SCAN = `
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if ARGV[4] ~= '' and ARGV[4] ~= run then return {} end
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
return {page[1], page[2], run}`

/**
 * A store on Redis 6 or later, or Valkey, for any number of processes: one string a row, compared and set by a script.
 * Takes a connected client of `redis` (node-redis, 5 or later) or `ioredis`, also of a cluster.
 *
 * `-LOADING`, `-READONLY`, `-OOM` and every other error, a closed client and one that does not answer in time are a
 * `VaultUnavailableError`. A write that timed out may still arrive, where it stood in the client's queue: with
 * `replaces` it then does nothing to a newer row.
 *
 * Keep `maxmemory-policy` at `noeviction`, or grants go when memory is short, and `appendfsync` at `always` where the
 * loss of the last second's writes is too much. The client's `error` event wants a listener of yours.
 *
 * A listing of a cluster goes through its masters one by one, and rejects when they change meanwhile: start it again.
 *
 * @throws `TypeError` naming the option.
 */
export function redisStore(client: RedisLike, options: RedisStoreOptions = {}): VaultStore {
  return new RedisStore(client, options)
}

class RedisStore implements VaultStore {
  readonly #client: RedisLike
  readonly #run: RunScript
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #clock: Clock

  constructor(client: RedisLike, options: RedisStoreOptions) {
    checkOptionNames(
      options,
      'redisStore()',
      { prefix: true, timeoutMs: true, clock: true },
      'a client and an object of options',
    )
    const { prefix = DEFAULT_PREFIX, timeoutMs } = options
    const clock = readClock(options.clock)
    const fits = typeof prefix === 'string' && prefix !== '' && prefix.length <= MAX_PREFIX_LENGTH
    if (!fits || !isWellFormed(prefix)) {
      throw new TypeError(`prefix must be text of 1 to ${MAX_PREFIX_LENGTH} characters.`)
    }
    this.#client = client
    this.#run = scriptRunner(client)
    this.#prefix = prefix
    this.#timeoutMs = readTimeoutMs(timeoutMs)
    this.#clock = clock
  }

  async get(id: string): Promise<VaultRow | undefined> {
    const reply = await this.#call('get').run(() => this.#run(GET, [this.#prefix + id], []))
    if (reply === null || reply === undefined) return undefined
    const value = textOfReply(reply)
    const found = decodeRow(value.slice(0, value.lastIndexOf('.')))
    if (found === undefined) throw new VaultCorruptError({ reason: 'not_a_vault_row' })
    if (found.id !== id) throw new VaultCorruptError({ reason: 'row_of_another_id' })
    return found.row
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const { replaces } = options
    const { keepUntilMs } = row
    const value = `${encodeRow(id, row)}.${randomId()}`
    // By this machine's clock, as everything else; the server's may be another.
    const ttlMs =
      keepUntilMs === undefined ? '' : `${Math.max(1, Math.ceil(keepUntilMs - this.#clock()))}`
    const wrote = await this.#call('put').run(() =>
      this.#run(PUT, [this.#prefix + id], [value, `${replaces ?? ''}`, ttlMs]),
    )
    return Number(wrote) === 1
  }

  async delete(id: string): Promise<void> {
    await this.#call('delete').run(() => this.#run(DELETE, [this.#prefix + id], []))
  }

  async scan(cursor?: string): Promise<VaultScan> {
    const call = this.#call('scan')
    const parts = await call.run(() => partsOf(this.#client))
    const names = parts.map(({ name }) => name).join()
    const from = readCursor(cursor)
    const part = parts[from.part]
    if (part === undefined || (cursor !== undefined && from.names !== names)) {
      throw call.failure('cluster_changed')
    }
    const stem = ownPrefixOf(this.#client) + this.#prefix
    const pattern = `${stem.replace(/[*?[\]\\^-]/g, '\\$&')}*`
    const run = from.at === '0' ? '' : from.run
    const arguments_ = [from.at, pattern, `${SCAN_PAGE_KEYS}`, run]
    const [next, keys, ranOn] = (await call.run(() => part.run(SCAN, [], arguments_))) as unknown[]
    if (!Array.isArray(keys)) throw call.failure('server_restarted')
    const ids = keys
      .map(textOfReply)
      .filter((key) => key.startsWith(stem))
      .map((key) => key.slice(stem.length))
      .filter((id) => /^[0-9a-f]{64}$/.test(id))
    const at = textOfReply(next)
    const on = at === '0' ? { ...from, part: from.part + 1, at } : { ...from, at }
    if (on.part >= parts.length) return { ids }
    return { ids, cursor: `${on.part} ${on.at} ${textOfReply(ranOn)} ${names}` }
  }

  #call(operation: string): StoreCall {
    return new StoreCall(operation, this.#timeoutMs, redisErrorCode)
  }
}

/** Where a listing goes on: which server, the server's own cursor, and the servers that there were. */
function readCursor(cursor = '0 0  ') {
  const [part, at = '0', run = '', names = ''] = cursor.split(' ')
  return { part: Number(part), at, run, names }
}

/** Clients give text, or bytes where they were set so. */
function textOfReply(reply: unknown): string {
  return (reply instanceof Uint8Array ? textOf(reply) : undefined) ?? String(reply)
}
