import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Clock, HOUR_MS, MINUTE_MS, readClock } from '../clock.js'
import { ConfigurationError } from '../errors/outbound.js'
import { checkOptionNames, kindOf } from '../option-names.js'
import { type Head, headFor, readHead } from './file-head.js'
import { IdPages } from './id-pages.js'
import type { VaultRow, VaultScan, VaultStore } from './store.js'
import { readTimeoutMs, StoreCall } from './store-call.js'

const SCAN_PAGE_ROWS = 10_000
const SWEEP_EVERY_MS = 10 * MINUTE_MS
const SWEEP_ROWS = 1_000
const LEFTOVER_AGE_MS = HOUR_MS
const MAX_PAUSE_MS = 5

export interface FileStoreOptions {
  /** Milliseconds for one call, waiting for other writers included. Default: 5,000; 1 to 60,000. */
  readonly timeoutMs?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * A store in a directory, for the processes of one machine; for Linux and macOS, and local file systems. The directory
 * is made at the first call, for this account alone (0700, files 0600); one that others may enter, that belongs to
 * another account, or that is a symbolic link is refused with a `ConfigurationError`.
 *
 * A process may be killed at any moment: a row is the old one or the new one, never part of one. What was written
 * is on the disk when `put` resolves. There are no locks, so none is ever left behind.
 *
 * @throws `TypeError` naming the option.
 */
export function fileStore(directory: string, options: FileStoreOptions = {}): VaultStore {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw new TypeError(
      `directory must be the path of a directory; got ${kindOf(directory)}. Write: fileStore('/var/lib/agent/vault').`,
    )
  }
  checkOptionNames(options, 'fileStore()', { timeoutMs: true, clock: true })
  return new FileStore(resolve(directory), options)
}

/*
 * How it works. The row of an id is what stands at
 *
 *     <directory>/<id>/<head>/<file>        head = <version>~<keepUntilMs or nothing>~<file>
 *
 * There is at most one head under an id, and its name, being random, never comes back. So a rename of the head is a
 * compare-and-set: of all who saw it, one finds it still there; the others get ENOENT and look again. A lock would have
 * to know whether its holder is dead or only slow; here a slow writer just loses.
 *
 *   replace   write and sync <head>/<new file>, rename <head> to <new head>, then remove what was in it before
 *   create    build .new-<file>/<head>/<file>, rename .new-<file> to <id>: fails where <id> has a head
 *   delete    rename <head> to .old-<file>, remove that; rmdir <id>, which fails if somebody was quicker
 *
 * What a writer left in a head and did not come to rename is never read: its rename would need a head that is gone. The
 * next writer removes it. Ages decide nothing: .new- directories are left alone for an hour, but then renamed before they
 * are removed, so that a slow creator fails instead of creating half a row.
 */
class FileStore implements VaultStore {
  readonly #directory: string
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #pages = new IdPages(SCAN_PAGE_ROWS)
  #checked = false
  #sweptMs = 0
  #sweptTo = ''

  constructor(directory: string, options: FileStoreOptions) {
    this.#directory = directory
    this.#timeoutMs = readTimeoutMs(options.timeoutMs)
    this.#clock = readClock(options.clock)
  }

  async get(id: string): Promise<VaultRow | undefined> {
    return this.#repeat('get', async () => {
      const head = await this.#headOf(id)
      if (head === AGAIN) return AGAIN
      if (head === undefined || this.#isPast(head)) return { done: undefined }
      const sealed = await unlessGone(() => readFile(this.#at(id, head.name, head.file)))
      if (sealed === GONE) return AGAIN // replaced meanwhile
      const { version, keepUntilMs } = head
      return { done: { sealed, version, ...(keepUntilMs === undefined ? {} : { keepUntilMs }) } }
    })
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const { replaces } = options
    const sealed = row.sealed.slice()
    const wrote = await this.#repeat('put', async () => {
      const head = await this.#headOf(id)
      if (head === AGAIN) return AGAIN
      const version = head === undefined || this.#isPast(head) ? 0 : head.version
      if (replaces !== undefined && replaces !== version) return { done: false }
      const next = headFor(row)
      const wrote = head
        ? await this.#replace(id, head, next, sealed)
        : await this.#create(id, next, sealed)
      return wrote ? { done: true } : AGAIN
    })
    this.#sweep()
    return wrote
  }

  async delete(id: string): Promise<void> {
    await this.#repeat('delete', async () => {
      const head = await this.#headOf(id)
      if (head === AGAIN) return AGAIN
      return head === undefined || (await this.#remove(id, head)) ? { done: undefined } : AGAIN
    })
  }

  async scan(cursor = ''): Promise<VaultScan> {
    const list = async () => {
      const names = await unlessGone(() => readdir(this.#directory))
      return names === GONE ? [] : names.filter((name) => ROW_ID.test(name))
    }
    return this.#repeat('scan', async () => ({ done: await this.#pages.page(cursor, list) }))
  }

  /** `false`: somebody replaced or removed it before. */
  async #replace(id: string, head: Head, next: Head, sealed: Uint8Array): Promise<boolean> {
    const [before, after] = [this.#at(id, head.name), this.#at(id, next.name)]
    const old = await unlessGone(async () => {
      const names = await readdir(before)
      await writeFile(join(before, next.file), sealed)
      await sync(before)
      await rename(before, after)
      return names
    })
    if (old === GONE) return false
    // Written. What is removed now is in nobody's way if it stays.
    await unlessGone(() => sync(this.#at(id)))
    for (const name of old) await rm(join(after, name), { force: true }).catch(() => {})
    return true
  }

  /** `false`: somebody created it before. */
  async #create(id: string, next: Head, sealed: Uint8Array): Promise<boolean> {
    const making = this.#at(`${NEW}${next.file}`)
    try {
      await mkdir(join(making, next.name), { recursive: true, mode: 0o700 })
      await writeFile(join(making, next.name, next.file), sealed)
      await sync(join(making, next.name))
      await sync(making)
      await rename(making, this.#at(id))
    } catch (error) {
      await rm(making, { recursive: true, force: true }).catch(() => {})
      if (TAKEN.has(codeOf(error)) || codeOf(error) === 'ENOENT') return false
      throw error
    }
    await sync(this.#directory)
    return true
  }

  /** `false`: somebody replaced or removed it before. */
  async #remove(id: string, head: Head): Promise<boolean> {
    const old = this.#at(`${OLD}${head.file}`)
    if ((await unlessGone(() => rename(this.#at(id, head.name), old))) === GONE) return false
    await unlessGone(() => sync(this.#at(id)))
    await rmdir(this.#at(id)).catch(() => {}) // somebody created it anew
    await sync(this.#directory)
    await rm(old, { recursive: true, force: true }).catch(() => {}) // a sweep does it
    return true
  }

  /** The head of an id; `undefined` when there is no row. */
  async #headOf(id: string): Promise<Head | undefined | typeof AGAIN> {
    if (!ROW_ID.test(id)) throw new TypeError('The id of a row is 64 hexadecimal characters.')
    const names = await unlessGone(() => readdirOfOurs(this.#at(id)))
    if (names === GONE) return undefined
    const heads = names.map(readHead).filter((head) => head !== undefined)
    if (heads.length === 1) return heads[0]
    // A listing may show a head that is being renamed twice, or not at all. Only what is empty can be removed.
    if (heads.length > 1) return AGAIN
    const removed = await unlessGone(() => rmdir(this.#at(id))).catch(() => AGAIN)
    return removed === AGAIN ? AGAIN : undefined
  }

  #at(...names: readonly string[]): string {
    return join(this.#directory, ...names)
  }

  #isPast(head: Head): boolean {
    return head.keepUntilMs !== undefined && head.keepUntilMs < this.#clock()
  }

  /** Removes, nobody waiting, a bounded number of rows past their time and what killed processes left behind. */
  #sweep(): void {
    const nowMs = this.#clock()
    if (nowMs - this.#sweptMs < SWEEP_EVERY_MS) return
    this.#sweptMs = nowMs
    const sweep = async () => {
      const names = (await readdir(this.#directory)).sort()
      for (const name of names.filter((name) => name.startsWith(NEW))) {
        const { mtimeMs } = await lstat(this.#at(name))
        const old = this.#at(name.replace(NEW, OLD))
        if (Date.now() - mtimeMs > LEFTOVER_AGE_MS) await rename(this.#at(name), old)
      }
      for (const name of (await readdir(this.#directory)).filter((name) => name.startsWith(OLD))) {
        await rm(this.#at(name), { recursive: true, force: true })
      }
      const rows = names.filter((name) => ROW_ID.test(name) && name > this.#sweptTo)
      for (const id of rows.slice(0, SWEEP_ROWS)) {
        const head = await this.#headOf(id)
        if (head && head !== AGAIN && this.#isPast(head)) await this.#remove(id, head)
      }
      this.#sweptTo = rows.length > SWEEP_ROWS ? (rows[SWEEP_ROWS - 1] ?? '') : ''
    }
    sweep().catch(() => {}) // the next one does what this one could not
  }

  async #repeat<T>(operation: string, attempt: () => Promise<Attempt<T>>): Promise<T> {
    const call = new StoreCall(operation, this.#timeoutMs)
    if (!this.#checked) await call.run(() => this.#check())
    for (;;) {
      const outcome = await call.run(attempt)
      if (outcome !== AGAIN) return outcome.done
      await call.wait(new Promise((again) => setTimeout(again, Math.random() * MAX_PAUSE_MS)))
    }
  }

  async #check(): Promise<void> {
    const made = await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    if (made !== undefined) await sync(dirname(made))
    const facts = await lstat(this.#directory)
    const uid = process.getuid?.()
    if (!facts.isDirectory() || facts.mode & 0o077 || (uid !== undefined && facts.uid !== uid)) {
      throw new ConfigurationError(
        'The directory of fileStore() must be a directory, not a symbolic link, that belongs to the account of this process and that nobody else may enter: chmod 700 it, or name one that does not exist yet.',
      )
    }
    this.#checked = true
  }
}

const NEW = '.new-'
const OLD = '.old-'
const ROW_ID = /^[0-9a-f]{64}$/

const AGAIN = Symbol('again')
const GONE = Symbol('gone')
type Attempt<T> = { readonly done: T } | typeof AGAIN

/** ENOTEMPTY, or what other file systems say. */
const TAKEN: ReadonlySet<string> = new Set(['ENOTEMPTY', 'EEXIST'])

const codeOf = (error: unknown) => String((error as { code?: unknown } | null)?.code)

async function unlessGone<T>(work: () => Promise<T>): Promise<T | typeof GONE> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return GONE
    throw error
  }
}

/** The names in a directory, which must not be a symbolic link to one. */
async function readdirOfOurs(path: string): Promise<string[]> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
  await (await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)).close()
  return readdir(path)
}

async function readFile(path: string): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}

/** A file that was not there before, written and on the disk. Nothing of it is left when that fails. */
async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** What a directory holds is on the disk. */
async function sync(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
