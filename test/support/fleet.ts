/** Starts the processes of a fleet, and the servers that hold their stores. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from 'deputize'
import { build } from 'vite'
import { runtimeFile } from '../../scripts/runtime-list.js'
import { root } from '../../scripts/subpaths.js'
import { initdb, postgresServer, redisServer } from '../integration/binaries.js'
import { startPostgres } from '../integration/postgres.js'
import { type RunningRedis, startRedis } from '../integration/redis.js'
import type { FleetAnswer, FleetConfig, FleetOrder, FleetTask } from './fleet-process.js'
import { serveStore } from './fleet-store.js'
import { nodeSqlite, type StoreSpec } from './open-store.js'

/** A store that several processes open, each for itself. */
export interface FleetStore {
  readonly name: string
  readonly spec: StoreSpec | 'parent'
  /** The Node that the processes run in. */
  readonly node: string
  /** The server behind it, where it can be made to stand still. */
  readonly redis?: RunningRedis
  close(): Promise<void>
}

/** A Node with `node:sqlite`: this one, or what `npm run runtimes` brings. */
function nodeWithSqlite(): string | undefined {
  if (nodeSqlite()) return process.execPath
  return [runtimeFile('node22'), runtimeFile('node24')].find((file) => existsSync(file))
}

function inFolder(name: string, node: string, kind: 'sqlite' | 'file', file: string): FleetStore {
  const folder = mkdtempSync(join(tmpdir(), `deputize-${kind}-`))
  return {
    name,
    node,
    spec: { kind, at: join(folder, file) },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

export async function redisFleetStore(timeoutMs?: number): Promise<FleetStore> {
  const redis = await startRedis()
  const spec = { kind: 'redis', at: redis.url, ...(timeoutMs ? { timeoutMs } : {}) } as const
  return { name: 'Redis', node: process.execPath, spec, redis, close: () => redis.close() }
}

/** Every kind of store that processes can share, and why one of them is not there. */
export const fleetStores: readonly {
  readonly name: string
  readonly missing: string | undefined
  open(): Promise<FleetStore>
}[] = [
  {
    name: 'memory of a parent',
    missing: undefined,
    open: async () => ({
      name: 'memory of a parent',
      spec: 'parent',
      node: process.execPath,
      close: async () => {},
    }),
  },
  {
    name: 'file',
    missing: undefined,
    open: async () => inFolder('file', process.execPath, 'file', 'vault'),
  },
  {
    name: 'Redis',
    missing: redisServer ? undefined : 'there is no redis-server',
    open: redisFleetStore,
  },
  {
    name: 'PostgreSQL',
    missing: initdb && postgresServer ? undefined : 'there is no PostgreSQL',
    async open() {
      const server = await startPostgres()
      const spec = { kind: 'postgres', at: server.uri } as const
      return { name: 'PostgreSQL', node: process.execPath, spec, close: () => server.close() }
    },
  },
  {
    name: 'SQLite',
    missing: nodeWithSqlite() ? undefined : 'there is no Node with node:sqlite (npm run runtimes)',
    open: async () => inFolder('SQLite', nodeWithSqlite()!, 'sqlite', 'vault.db'),
  },
]

/** `fleet-process.ts` as one file that any Node runs and that starts at once. */
export async function buildFleetProgram(): Promise<{ readonly file: string } & Disposable> {
  const cache = join(root, '.cache') // inside the project, so that it finds the packages
  mkdirSync(cache, { recursive: true })
  const outDir = mkdtempSync(join(cache, 'fleet-'))
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { deputize: join(root, 'src/index.ts') } },
    build: { ssr: join(root, 'test/support/fleet-process.ts'), outDir, target: 'node20' },
  })
  return {
    file: join(outDir, 'fleet-process.js'),
    [Symbol.dispose]: () => rmSync(outDir, { recursive: true, force: true }),
  }
}

const parentStores = new WeakMap<FleetStore, ReturnType<typeof memoryStore>>()

/** One process, and what it is asked. */
export class FleetMember {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, (results: readonly string[] | undefined) => void>()
  #last = 0
  #output = ''

  private constructor(child: ChildProcess) {
    this.child = child
    child.on('message', (message: FleetAnswer) => {
      if (message.kind !== 'answer') return
      this.#waiting.get(message.id)?.(message.results)
      this.#waiting.delete(message.id)
    })
    child.once('exit', () => {
      for (const resolve of this.#waiting.values()) resolve(undefined)
    })
    child.stdout?.on('data', (chunk) => {
      this.#output += chunk
    })
  }

  static async start(
    program: { readonly file: string },
    at: FleetStore,
    config: Omit<FleetConfig, 'store'>,
  ): Promise<FleetMember> {
    const argument = JSON.stringify({ ...config, store: at.spec })
    const child = spawn(at.node, ['--no-warnings', program.file, argument], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    if (at.spec === 'parent') {
      const store = parentStores.get(at) ?? memoryStore()
      parentStores.set(at, store)
      serveStore(child, store)
    }
    const member = new FleetMember(child)
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message: { kind: string }) => message.kind === 'ready' && resolve())
      child.once('exit', (code) => reject(new Error(`A process of the fleet ended with ${code}`)))
    })
    return member
  }

  /** The results; `undefined` when the process ended first. */
  ask(
    task: FleetTask,
    rest: Pick<FleetOrder, 'aheadMs' | 'stop' | 'storeFailsMs'> = {},
  ): Promise<readonly string[] | undefined> {
    const id = ++this.#last
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.child.send({ kind: 'order', id, ...task, ...rest } satisfies FleetOrder)
    })
  }

  /** Resolves once the process stands still at its point. */
  async stopped(): Promise<void> {
    while (!this.#output.includes('stopped')) await new Promise((resolve) => setTimeout(resolve, 5))
    this.#output = ''
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await ended
  }
}

/** Counts of a proof: full, or few where PROOF_COUNT is `small`; a number is taken as it is. */
export function proofCount(full: number, small: number): number {
  const given = process.env.PROOF_COUNT
  if (given === undefined || given === '') return full
  return given === 'small' ? small : Math.min(full, Number(given))
}

/** Prints a figure beside what was promised; the command fails when it is not met. */
export function report(what: string, seen: number, promised: string, kept: boolean): void {
  if (!kept) process.exitCode = 1
  console.log(`${kept ? ' ' : '!'} ${what.padEnd(66)} ${String(seen).padStart(7)}  (${promised})`)
}

/** Prints figures that must be exactly so. */
export const reportExactly = (what: string, seen: number, promised: number): void =>
  report(what, seen, `must be ${promised}`, seen === promised)
