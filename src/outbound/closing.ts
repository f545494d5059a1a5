import { SECOND_MS } from '../clock.js'
import type { Assembly } from './assembly.js'
import { type GrantName, grantName } from './grant.js'

/** What `close()` could not write. */
export interface NotWritten {
  /** Grants whose refresh token was spent, and whose new one is lost. */
  readonly grants: readonly GrantName[]
  /** How many consents that users had given. */
  readonly consents: number
}

const CLOSE_MS = 15 * SECOND_MS

/** Ends an `OutboundCredentialProvider`; see its `close()`. Never rejects. */
export async function closeParts(parts: Assembly): Promise<NotWritten> {
  const { waiters, kept, cache, engine } = parts
  waiters.close()
  cache?.clear()
  const [left = [], consents = 0] = await Promise.all([
    within(CLOSE_MS, engine.close()),
    within(CLOSE_MS, kept.flush()),
  ])
  kept.close()
  return { grants: left.map(({ row }) => grantName(row)), consents }
}

/** What `work` gives, or `undefined` where it fails or takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([work, late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
