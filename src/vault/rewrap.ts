import { isDeputizeError } from '../errors/base.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { checkFunction, checkOptionNames } from '../option-names.js'
import type { Envelope } from './envelope.js'
import type { VaultRow, VaultStore } from './store.js'

/** How far `rewrap()` is. */
export interface RewrapProgress {
  /** Rows that were looked at. */
  readonly seen: number
  /** Sealed anew with the newest key. */
  readonly rewrapped: number
  /** On the newest key already, or gone. */
  readonly skipped: number
  /** Left as they were: corrupt, on a key that the ring does not have, or written by others all the time. */
  readonly failed: number
}

/** Where an earlier run has come to, and what it had counted. */
export interface RewrapPlace {
  readonly cursor: string
  /** The newest key when the run began. Where it is not current any more, the next run begins at the first row. */
  readonly keyId: string
  readonly progress: RewrapProgress
}

/** What `rewrap()` takes. */
export interface RewrapOptions {
  /** Stops between rows; what was rewrapped stays so, and the next run goes on near there. */
  readonly signal?: AbortSignal
  /** Called every few rows, and at the end. */
  readonly onProgress?: (progress: RewrapProgress) => void
}

/** What rewrapping needs of a vault. */
export interface RewrapTools {
  readonly envelope: Envelope
  /** The methods of the store, with their deadline. */
  readonly store: Pick<VaultStore, 'get' | 'scan'> & {
    put(id: string, row: VaultRow, replaces: number): Promise<boolean>
  }
  /** Kept in the vault over a crash. */
  readonly place: {
    read(): Promise<RewrapPlace | undefined>
    write(place: RewrapPlace | undefined): Promise<unknown>
  }
}

type Outcome = 'rewrapped' | 'skipped' | 'failed'

const ROWS_AT_ONCE = 64
/** How often another writer may come first before a row is left for the next run. */
const MAX_ATTEMPTS = 5

/**
 * Seals every row that is not on the newest key anew, page by page. Reads and writes go on meanwhile: a row is written
 * by compare-and-set, so whoever writes it in between wins. After each page the place is kept in the vault, so that a run
 * that was killed goes on there.
 */
export async function rewrapRows(
  tools: RewrapTools,
  options: RewrapOptions = {},
): Promise<RewrapProgress> {
  checkOptionNames(options, 'rewrap()', { signal: true, onProgress: true })
  const { signal, onProgress } = options
  checkFunction(onProgress, 'onProgress')
  signal?.throwIfAborted()
  const { page: first, keyId, progress } = await firstPage(tools)
  const count = { ...progress }
  for (let page = first; ; ) {
    await rewrapPage(tools, page.ids, { count, signal, onProgress })
    const { cursor } = page
    if (cursor === undefined) break
    await tools.place.write({ cursor, keyId, progress: { ...count } })
    signal?.throwIfAborted()
    page = await tools.store.scan(cursor)
    if (page.cursor === cursor) {
      throw new VaultUnavailableError({ operation: 'scan', reason: 'its cursor does not move' })
    }
  }
  await tools.place.write(undefined)
  return { ...count }
}

/** The page where a run for the same key was stopped, if the store still knows its cursor; else the first of all. */
async function firstPage({ envelope, store, place }: RewrapTools) {
  const kept = await place.read()
  if (kept && (await envelope.isCurrent(kept.keyId))) {
    const page = await store.scan(kept.cursor).catch(() => undefined)
    if (page) return { page, keyId: kept.keyId, progress: kept.progress }
  }
  const keyId = await envelope.newestKeyId()
  const progress = { seen: 0, rewrapped: 0, skipped: 0, failed: 0 }
  return { page: await store.scan(), keyId, progress }
}

interface PageRun {
  readonly count: { seen: number; rewrapped: number; skipped: number; failed: number }
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: RewrapProgress) => void) | undefined
}

/** Many rows at a time: each worker takes the next one that is left. Ends when no row is being written any more. */
async function rewrapPage(tools: RewrapTools, ids: readonly string[], run: PageRun): Promise<void> {
  const { count, signal, onProgress } = run
  let next = 0
  let stopped = false
  const work = async () => {
    while (next < ids.length && !stopped && !signal?.aborted) {
      const id = ids[next++]!
      try {
        const outcome = await rewrapRow(tools, id)
        count[outcome]++
        count.seen++
      } catch (error) {
        stopped = true
        throw error
      }
      if (count.seen % ROWS_AT_ONCE === 0) {
        onProgress?.({ ...count })
        await breath()
      }
    }
  }
  const workers = Array.from({ length: Math.min(ROWS_AT_ONCE, ids.length) }, work)
  await Promise.allSettled(workers)
  await Promise.all(workers)
  signal?.throwIfAborted()
  onProgress?.({ ...count })
}

/** Lets others have the thread: with a store in memory nothing else would. */
function breath(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

async function rewrapRow({ envelope, store }: RewrapTools, id: string): Promise<Outcome> {
  if (!/^[0-9a-f]{64}$/.test(id)) return 'failed'
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const row = await store.get(id)
      if (row === undefined || row === null) return 'skipped'
      if (await envelope.isCurrent(envelope.keyIdOf(row.sealed))) return 'skipped'
      const plain = await envelope.open(row.sealed, id, row.version)
      const version = row.version + 1
      const sealed = await envelope.seal(plain, id, version)
      plain.fill(0)
      const { keepUntilMs } = row
      const next = { sealed, version, ...(keepUntilMs === undefined ? {} : { keepUntilMs }) }
      if (await store.put(id, next, row.version)) return 'rewrapped'
    }
    return 'failed'
  } catch (error) {
    // What may pass ends the run: it can be started again. What stays is this row's own trouble.
    if (isDeputizeError(error) && !error.retryable) return 'failed'
    throw error
  }
}
