import { base64url, fromBase64url } from '../bytes.js'
import type { VaultRow } from './store.js'

/**
 * A row as one string of ASCII, which every client and serializer keeps as it is: format, id, version, keepUntilMs,
 * sealed bytes. The id is in it because iterators of Keyv give keys with and without prefix, and so that a row that
 * turns up under another id is noticed.
 */
export function encodeRow(id: string, row: VaultRow): string {
  return `1.${id}.${row.version}.${row.keepUntilMs ?? ''}.${base64url(row.sealed)}`
}

const shape = /^1\.([0-9a-f]{64})\.([1-9][0-9]{0,15})\.([0-9]{0,16})\.([A-Za-z0-9_-]*)$/

/** The row and its id; `undefined` for anything that {@link encodeRow} would not have written. */
export function decodeRow(value: unknown): { id: string; row: VaultRow } | undefined {
  if (typeof value !== 'string') return undefined
  const [, id, version, keepUntilMs, text] = shape.exec(value) ?? []
  if (id === undefined || version === undefined || text === undefined) return undefined
  const sealed = fromBase64url(text)
  if (sealed === undefined) return undefined
  const until = keepUntilMs ? { keepUntilMs: Number(keepUntilMs) } : {}
  return { id, row: { sealed, version: Number(version), ...until } }
}
