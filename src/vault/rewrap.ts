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

/** What `rewrap()` takes. */
export interface RewrapOptions {
  /** Stops between rows; what was rewrapped stays so. */
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
}

type Outcome = 'rewrapped' | 'skipped' | 'failed'

const ROWS_AT_ONCE = 16
/** How often another writer may come first before a row is left for the next run. */
const MAX_ATTEMPTS = 5

/**
 * Seals every row that is not on the newest key anew, page by page. Reads and writes go on meanwhile: a row is written
 * by compare-and-set, so whoever writes it in between wins.
 */
export async function rewrapRows(
  tools: RewrapTools,
  options: RewrapOptions = {},
): Promise<RewrapProgress> {
  checkOptionNames(options, 'rewrap()', { signal: true, onProgress: true })
  const { signal, onProgress } = options
  checkFunction(onProgress, 'onProgress')
  const count = { seen: 0, rewrapped: 0, skipped: 0, failed: 0 }
  let cursor: string | undefined
  do {
    signal?.throwIfAborted()
    const page = await tools.store.scan(cursor)
    for (let at = 0; at < page.ids.length; at += ROWS_AT_ONCE) {
      signal?.throwIfAborted()
      const ids = page.ids.slice(at, at + ROWS_AT_ONCE)
      const outcomes = await settled(ids.map((id) => rewrapRow(tools, id)))
      for (const outcome of outcomes) count[outcome]++
      count.seen += ids.length
      onProgress?.({ ...count })
      await breath()
    }
    if (page.cursor !== undefined && page.cursor === cursor) {
      throw new VaultUnavailableError({ operation: 'scan', reason: 'its cursor does not move' })
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return { ...count }
}

/** Lets others have the thread: with a store in memory nothing else would. */
function breath(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

/** Waits for all, so that no row is being written any more when one has failed. */
async function settled(running: readonly Promise<Outcome>[]): Promise<Outcome[]> {
  await Promise.allSettled(running)
  return Promise.all(running)
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
