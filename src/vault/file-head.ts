import { randomId } from '../bytes.js'
import type { VaultRow } from './store.js'

/** What the name of a directory says of the row in it: version, keepUntilMs, and which file is the sealed row. */
export interface Head {
  readonly name: string
  readonly version: number
  readonly keepUntilMs: number | undefined
  readonly file: string
}

/** A head for a row, with a name that was never there and never will be again. */
export function headFor({ version, keepUntilMs }: VaultRow): Head {
  const file = randomId()
  return { name: `${version}~${keepUntilMs ?? ''}~${file}`, version, keepUntilMs, file }
}

const shape = /^([1-9][0-9]{0,15})~([0-9]{0,16})~([A-Za-z0-9_-]{43})$/

/** The head of that name; `undefined` for anything that {@link headFor} would not have named. */
export function readHead(name: string): Head | undefined {
  const [, version, until, file] = shape.exec(name) ?? []
  if (file === undefined) return undefined
  return { name, version: Number(version), keepUntilMs: until ? Number(until) : undefined, file }
}
