/** Kills processes that write to a file store, and looks at the row that each left. */
import { fileStore } from '../../src/vault/file-store.js'
import { sealedOf } from './sealed-of.js'
import type { ChildTask } from './store-child.js'
import { newId, startChild } from './store-children.js'

/** Of one kill. */
export interface KillOutcome {
  /** The row is complete: the last version that was confirmed, or the next. */
  readonly whole: boolean
  /** It is the next: the write was done and its writer died before it heard. */
  readonly unconfirmed: boolean
}

/** `lanes` rows at once; the writer of each is killed `kills` times. `program` is what `buildChild` built. */
export async function killWriters(
  program: string,
  at: string,
  lanes: number,
  kills: number,
): Promise<KillOutcome[]> {
  const store = fileStore(at)
  const one = async () => {
    const id = newId()
    const outcomes: KillOutcome[] = []
    let written = 0
    for (let kill = 0; kill < kills; kill++) {
      const confirmed = await killedWriter(program, { kind: 'file', at, id })
      const row = await store.get(id)
      const version = row?.version ?? 0
      const unconfirmed = version === confirmed + 1
      const whole =
        confirmed > written &&
        (version === confirmed || unconfirmed) &&
        Buffer.from(sealedOf(version)).equals(row?.sealed ?? new Uint8Array())
      outcomes.push({ whole, unconfirmed })
      written = version
    }
    // What a killed writer left in its place stops no later writer.
    await store.put(id, { sealed: sealedOf(1), version: 1 })
    return outcomes
  }
  return (await Promise.all(Array.from({ length: lanes }, one))).flat()
}

/** Starts a writer, kills it some milliseconds after its first write, and gives the last version it was confirmed. */
async function killedWriter(program: string, task: ChildTask): Promise<number> {
  const child = startChild(program, task)
  let output = ''
  const closed = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk
      resolve(undefined)
    })
    child.once('close', resolve)
  })
  // Wherever it is in its write by then: the more kills, the more places.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 8))
  child.kill('SIGKILL')
  await closed
  return Number(output.trim().split('\n').at(-1))
}
