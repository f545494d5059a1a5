import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fileStore } from '../../src/vault/file-store.js'
import { sealedOf } from '../support/sealed-of.js'
import type { ChildTask } from '../support/store-child.js'
import { buildChild, hammer, newId, startChild } from '../support/store-children.js'

let folder: string
let program: Awaited<ReturnType<typeof buildChild>>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'deputize-files-'))
  program = await buildChild()
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  program.close()
})

/** A small file system of its own; `undefined` where this account may not mount one. */
function mountSmall(at: string): (() => void) | undefined {
  mkdirSync(at, { mode: 0o700 })
  const options = ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', at]
  if (spawnSync('mount', options, { stdio: 'ignore' }).status !== 0) return undefined
  return () => void execFileSync('umount', [at])
}

/** Starts a writer, kills it some milliseconds after its first write, and gives the last version that it was told. */
async function killedWriter(task: ChildTask): Promise<number> {
  const child = startChild(program.file, task)
  let output = ''
  const closed = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk
      resolve(undefined)
    })
    child.once('close', resolve)
  })
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 8))
  child.kill('SIGKILL')
  await closed
  return Number(output.trim().split('\n').at(-1))
}

describe('fileStore between processes', () => {
  it('V20 four processes lose no step', async () => {
    const spec = { kind: 'file', at: join(folder, 'hammered') } as const
    const { wins, version } = await hammer(spec, 100)
    expect(wins).toEqual([100, 100, 100, 100])
    expect(version).toBe(400)
  })

  it('V22 kill -9 in the middle of writing, 200 times: the old row or the new one', async () => {
    const at = join(folder, 'killed')
    const store = fileStore(at)
    const lanes = Array.from({ length: 4 }, async () => {
      const id = newId()
      let written = 0
      for (let round = 0; round < 50; round++) {
        const told = await killedWriter({ kind: 'file', at, id })
        expect(told).toBeGreaterThan(written)
        const row = await store.get(id)
        // What it was told is there; what it was writing when it died may be.
        expect([told, told + 1]).toContain(row?.version)
        expect(row?.sealed).toEqual(sealedOf(row?.version ?? 0))
        written = row?.version ?? 0
      }
      await store.put(id, { sealed: sealedOf(1), version: 1 })
    })
    await Promise.all(lanes)
    const left = readdirSync(at, { recursive: true, encoding: 'utf8' })
    expect(left.filter((name) => !name.startsWith('.new-'))).toHaveLength(4 * 3)
  }, 120_000)

  it('V22 gives no access to others, also where the umask would', () => {
    const at = join(folder, 'umask')
    const task = { kind: 'file', at, id: newId(), increments: 3 }
    execFileSync('sh', [
      '-c',
      'umask 0 && exec "$0" "$@"',
      process.execPath,
      program.file,
      JSON.stringify(task),
    ])
    const names = ['', ...readdirSync(at, { recursive: true, encoding: 'utf8' })]
    const modes = names.map((name) => statSync(join(at, name)).mode & 0o777)
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o600])
  })

  it('V22 P15 a full disk is an error, and every row stays as it was', async ({ skip }) => {
    const at = join(folder, 'small')
    const unmount = mountSmall(at)
    if (unmount === undefined) return skip('needs the right to mount')
    try {
      const store = fileStore(at)
      const first = newId()
      const ids = [first]
      await store.put(first, { sealed: new Uint8Array(60_000).fill(1), version: 1 })
      let full: unknown
      while (full === undefined) {
        const id = newId()
        const row = { sealed: new Uint8Array(60_000).fill(1), version: 1 }
        full = await store.put(id, row).then(
          () => void ids.push(id),
          (error: unknown) => error,
        )
      }
      expect(full).toMatchObject({
        name: 'VaultUnavailableError',
        cause: { code: 'ENOSPC', syscall: 'write' },
      })
      expect(ids.length).toBeGreaterThan(10)
      const over = { sealed: new Uint8Array(200_000).fill(2), version: 2 }
      await expect(store.put(first, over, { replaces: 1 })).rejects.toMatchObject({
        name: 'VaultUnavailableError',
      })
      for (const id of ids) {
        const row = await store.get(id)
        expect(row?.version).toBe(1)
        expect(row?.sealed).toEqual(new Uint8Array(60_000).fill(1))
      }
      expect(readdirSync(at).sort()).toEqual(ids.sort())
      // Nothing of what failed takes the room.
      expect(readdirSync(join(at, first), { recursive: true })).toHaveLength(2)
      for (const id of ids.slice(1, 5)) await store.delete(id)
      await store.put(ids[5] ?? '', over, { replaces: 1 })
      expect((await store.get(ids[5] ?? ''))?.sealed).toEqual(over.sealed)
    } finally {
      unmount()
    }
  })
})
