import { type Clock, SECOND_MS } from '../clock.js'

const MAX_RETRY_AFTER_MS = 600 * SECOND_MS

/** `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), at most ten minutes. */
export function retryAfter(
  headers: Pick<Headers, 'get'> | undefined,
  clock: Clock,
): { retryAfterMs?: number } {
  const value = headers?.get('retry-after')?.trim()
  if (!value) return {}
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * SECOND_MS : Date.parse(value) - clock()
  return Number.isFinite(ms) ? { retryAfterMs: Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) } : {}
}
