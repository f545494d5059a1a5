import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'
import { root } from '../../scripts/subpaths.js'
import { openStore, type StoreSpec } from './open-store.js'
import type { ChildTask } from './store-child.js'

/** A fresh id of a row. */
export function newId(): string {
  return createHash('sha256').update(randomUUID()).digest('hex')
}

/** `store-child.ts` as one file that any Node runs and that starts at once. */
export async function buildChild(): Promise<{ readonly file: string; close(): void }> {
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
    close: () => rmSync(outDir, { recursive: true, force: true }),
  }
}

/** Starts what {@link buildChild} built. */
export function startChild(file: string, task: ChildTask, node = process.execPath): ChildProcess {
  return spawn(node, ['--no-warnings', file, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Has four processes add to one row at once. Gives what each won, and the version in the end. */
export async function hammer(spec: StoreSpec, increments: number) {
  const id = newId()
  const program = await buildChild()
  try {
    const wins = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = startChild(program.file, { ...spec, id, increments })
        let output = ''
        child.stdout?.on('data', (chunk) => {
          output += chunk
        })
        await new Promise((resolve) => child.once('close', resolve))
        return Number(/^wins (\d+)$/m.exec(output)?.[1])
      }),
    )
    const { store, close } = await openStore(spec)
    const version = (await store.get(id))?.version
    await close()
    return { wins, version }
  } finally {
    program.close()
  }
}
