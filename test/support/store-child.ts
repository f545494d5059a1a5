/**
 * A process of its own that writes to a store, told by its one argument in JSON:
 *
 * - `increments`: reads, adds one to the version and writes, until it has won that often. Prints `wins <n>`.
 * - otherwise it does so until it is killed, and prints every version that the store said was written.
 */
import { writeSync } from 'node:fs'
import { openStore, type StoreSpec } from './open-store.js'
import { sealedOf } from './sealed-of.js'

export interface ChildTask extends StoreSpec {
  readonly id: string
  readonly increments?: number
}

const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const { store, close } = await openStore(task)

let wins = 0
while (task.increments === undefined || wins < task.increments) {
  const version = (await store.get(task.id))?.version ?? 0
  const next = { sealed: sealedOf(version + 1), version: version + 1 }
  if (!(await store.put(task.id, next, { replaces: version }))) continue
  wins++
  if (task.increments === undefined) writeSync(1, `${version + 1}\n`)
}
writeSync(1, `wins ${wins}\n`)
await close()
