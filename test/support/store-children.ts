import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import { root } from '../../scripts/subpaths.js'
import { nodeSqlite, openStore, type StoreSpec } from './open-store.js'
import type { ChildTask } from './store-child.js'

/** A fresh id of a row. */
export function newId(): string {
  return createHash('sha256').update(randomUUID()).digest('hex')
}

/** `store-child.ts` as one file that any Node runs and that starts at once. */
export async function buildChild(): Promise<{ readonly file: string; [Symbol.dispose](): void }> {
  const cache = join(root, '.cache') // inside the project, so that it finds the packages
  mkdirSync(cache, { recursive: true })
  const outDir = mkdtempSync(join(cache, 'store-child-'))
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: { ssr: join(root, 'test/support/store-child.ts'), outDir, target: 'node20' },
  })
  return {
    file: join(outDir, 'store-child.js'),
    [Symbol.dispose]: () => rmSync(outDir, { recursive: true, force: true }),
  }
}

/** Starts what {@link buildChild} built. */
export function startChild(file: string, task: ChildTask, node = process.execPath): ChildProcess {
  return spawn(node, ['--no-warnings', file, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

export interface FourOptions {
  /** Each stands still now and then, for longer than the others take for a write. Default: false. */
  readonly stopped?: boolean
  /** The Node that they run in. Default: this one. */
  readonly node?: string
}

/** Runs four processes over one row, and gives the number that each printed last. */
async function four(task: ChildTask, { stopped, node }: FourOptions): Promise<number[]> {
  using program = await buildChild()
  return await Promise.all(
    Array.from({ length: 4 }, async () => {
      const child = startChild(program.file, task, node)
      let output = ''
      child.stdout?.on('data', (chunk) => {
        output += chunk
      })
      const stopping = setInterval(
        () => {
          if (!stopped) return
          child.kill('SIGSTOP')
          setTimeout(() => child.kill('SIGCONT'), 60)
        },
        100 + Math.random() * 50,
      )
      await new Promise((resolve) => child.once('close', resolve))
      clearInterval(stopping)
      return Number(/^(?:wins|turns) (\d+)$/m.exec(output)?.[1])
    }),
  )
}

/** Has four processes add to one row at once. Gives what each won, and the version in the end, where this Node can open the store. */
export async function hammer(spec: StoreSpec, increments: number, options: FourOptions = {}) {
  const id = newId()
  const wins = await four({ ...spec, id, increments }, options)
  if (spec.kind === 'sqlite' && !nodeSqlite()) return { wins, version: undefined }
  const { store, close } = await openStore(spec)
  const version = (await store.get(id))?.version
  await close()
  return { wins, version }
}

/** Has four processes create and delete one row in turns. Gives how often each was alone. */
export async function takeTurns(spec: StoreSpec, turns: number, options: FourOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'deputize-turns-'))
  const marker = join(folder, 'marker')
  try {
    return await four({ ...spec, id: newId(), turns, marker }, options)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
