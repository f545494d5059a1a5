/**
 * What is written to a shared store stays whole: under four processes at once, under kill -9, and on a full disk.
 *
 *   npm run proof store-kills
 *   PROOF_COUNT=small npm run proof store-kills    fewer steps, turns and kills
 *
 * It needs redis-server, PostgreSQL, a Node with node:sqlite (npm run runtimes), and, for the full disk, the right to
 * mount a tmpfs (root). Whatever is missing makes it fail: it says what was not tried.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStore } from 'deputize/vault/file'
import { fleetStores, proofCount, report, reportExactly } from '../test/support/fleet.js'
import type { StoreSpec } from '../test/support/open-store.js'
import { buildChild, hammer, newId, takeTurns } from '../test/support/store-children.js'
import { killWriters } from '../test/support/store-kills.js'

const STEPS = proofCount(250, 25)
const TURNS = proofCount(40, 10)
const KILLS = proofCount(200, 20)
const LANES = 4
const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)

function notTried(what: string, why: string): void {
  process.exitCode = 1
  console.log(`! ${what}: not tried, ${why}`)
}

async function together(name: string, spec: StoreSpec, node: string): Promise<void> {
  for (const stopped of [false, true]) {
    const how = stopped ? ', standing still now and then' : ''
    const { wins, version } = await hammer(spec, STEPS, { stopped, node })
    reportExactly(`${name}: steps of ${LANES} processes${how}`, total(wins), LANES * STEPS)
    if (version !== undefined) reportExactly(`${name}: version in the end`, version, LANES * STEPS)
    const turns = await takeTurns(spec, TURNS, { stopped, node })
    reportExactly(`${name}: turns alone with the row${how}`, total(turns), LANES * TURNS)
  }
}

for (const { name, missing, open } of fleetStores) {
  if (missing !== undefined) {
    notTried(name, missing)
    continue
  }
  const { spec, node, close } = await open()
  try {
    if (spec === 'parent') continue // one process has it
    await together(name, spec, node)
    if (spec.kind === 'redis') await together('Redis, ioredis', { ...spec, kind: 'ioredis' }, node)
  } finally {
    await close()
  }
}

const folder = mkdtempSync(join(tmpdir(), 'deputize-kills-'))
using program = await buildChild()
try {
  await killed(join(folder, 'killed'))
  await fullDisk(join(folder, 'small'))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Writers are killed in the middle of a write: the row is the one that was confirmed, or the one being written. */
async function killed(at: string): Promise<void> {
  const outcomes = await killWriters(program.file, at, LANES, KILLS / LANES)
  const whole = outcomes.filter(({ whole }) => whole).length
  reportExactly('file: kill -9 in the middle of writing, rows that are whole', whole, KILLS)
  const next = outcomes.filter(({ unconfirmed }) => unconfirmed).length
  console.log(`    ${next} of them were the row that was being written`)
}

async function fullDisk(at: string): Promise<void> {
  mkdirSync(at, { mode: 0o700 })
  const options = ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', at]
  if (spawnSync('mount', options, { stdio: 'ignore' }).status !== 0)
    return notTried('file: a full disk', 'this account may not mount a tmpfs (run it as root)')
  const unmount = () => execFileSync('umount', [at])
  const interrupted = () => {
    unmount()
    process.exit(1)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted)
  try {
    await fill(at)
  } finally {
    unmount()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted)
  }
}

async function fill(at: string): Promise<void> {
  const store = fileStore(at)
  const row = { sealed: new Uint8Array(60_000).fill(1), version: 1 }
  const large = { sealed: new Uint8Array(200_000).fill(2), version: 2 }
  const ids: string[] = []
  const errorOf = (work: Promise<unknown>) =>
    work.then(
      () => undefined,
      (error: unknown) => error as { name: string; cause?: { code?: string } },
    )
  let full: Awaited<ReturnType<typeof errorOf>>
  while (full === undefined) {
    const id = newId()
    full = await errorOf(store.put(id, row))
    if (full === undefined) ids.push(id)
  }
  const first = ids[0] ?? ''
  const over = await errorOf(store.put(first, large, { replaces: 1 }))
  const typed = [full, over].filter(
    (error) => error?.name === 'VaultUnavailableError' && error.cause?.code === 'ENOSPC',
  )
  reportExactly('file: writes to a full disk that end in a typed error', typed.length, 2)
  report('file: rows that fit', ids.length, 'more than 10', ids.length > 10)
  let kept = 0
  for (const id of ids) {
    const found = await store.get(id)
    if (found?.version === 1 && Buffer.from(row.sealed).equals(found.sealed)) kept++
  }
  reportExactly('file: rows that a full disk left as they were', kept, ids.length)
  const strangers = readdirSync(at).filter((name) => !ids.includes(name)).length
  const inside = readdirSync(join(at, first), { recursive: true }).length
  reportExactly('file: what failed writes left behind', strangers + inside - 2, 0)
  for (const id of ids.slice(1, 5)) await store.delete(id)
  const roomy = ids[5] ?? ''
  await store.put(roomy, large, { replaces: 1 })
  const after = (await store.get(roomy))?.version ?? 0
  reportExactly('file: version of a row written after rows were deleted', after, 2)
}
