/**
 * A process of its own that writes to a store, told by its one argument in JSON:
 *
 * - `increments`: reads, adds one to the version and writes, until it has won that often. Prints `wins <n>`.
 * - `turns`: creates the row, checks by a file that it is alone, and deletes the row, that often. Prints `turns <n>`
 *   with the number of times that it was alone.
 * - otherwise it adds until it is killed, and prints every version that the store said was written.
 */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { openStore, type StoreSpec } from './open-store.js'
import { sealedOf } from './sealed-of.js'

export interface ChildTask extends StoreSpec {
  readonly id: string
  readonly increments?: number
  readonly turns?: number
  /** Of the file that shows who has the turn. */
  readonly marker?: string
}

const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const { store, close } = await openStore(task)

async function increment(until: number): Promise<number> {
  let wins = 0
  while (wins < until) {
    const version = (await store.get(task.id))?.version ?? 0
    const next = { sealed: sealedOf(version + 1), version: version + 1 }
    if (!(await store.put(task.id, next, { replaces: version }))) continue
    wins++
    if (task.increments === undefined) writeSync(1, `${version + 1}\n`)
  }
  return wins
}

async function takeTurns(turns: number, marker: string): Promise<number> {
  let alone = 0
  for (let turn = 0; turn < turns; turn++) {
    while (!(await store.put(task.id, { sealed: sealedOf(1), version: 1 }, { replaces: 0 })));
    try {
      closeSync(openSync(marker, 'wx'))
      await store.put(task.id, { sealed: sealedOf(2), version: 2 }, { replaces: 1 })
      unlinkSync(marker)
      alone++
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error
    }
    await store.delete(task.id)
  }
  return alone
}

if (task.turns !== undefined) {
  writeSync(1, `turns ${await takeTurns(task.turns, task.marker ?? '')}\n`)
} else {
  writeSync(1, `wins ${await increment(task.increments ?? Number.POSITIVE_INFINITY)}\n`)
}
await close()
