import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endServer, freePort, redisServer, startServer } from './binaries.js'

export interface RunningRedis {
  /** Such as `redis://127.0.0.1:40001`. */
  readonly url: string
  /** The process stands still: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** Ends at once, without closing anything in order. */
  kill(): Promise<void>
  /** Starts again after {@link RunningRedis.kill}, at the same address. */
  restart(): Promise<void>
  /** The folder that it writes to, where it keeps rows. */
  readonly folder: string
  /** Where the other nodes of its cluster reach it. */
  readonly busPort: number | undefined
  close(): Promise<void>
}

export interface RedisOptions {
  /** Part of a cluster, without slots yet. */
  readonly cluster?: boolean
  /** Writes every row to disk at once; otherwise it is in memory only. */
  readonly keep?: boolean
}

/** Starts a Redis server in a folder of its own. Needs {@link redisServer}. */
export async function startRedis(options: RedisOptions = {}): Promise<RunningRedis> {
  if (redisServer === undefined) throw new Error('redis-server: not found')
  const folder = mkdtempSync(join(tmpdir(), 'deputize-redis-'))
  const port = await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '']
  args.push('--appendonly', options.keep ? 'yes' : 'no', '--appendfsync', 'always')
  const busPort = options.cluster ? await freePort() : undefined
  if (busPort !== undefined) args.push('--cluster-enabled', 'yes', '--cluster-port', `${busPort}`)
  const binary = redisServer
  const start = () =>
    startServer(binary, { cwd: folder, args, ready: /ready to accept connections/i })
  let child = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    folder,
    busPort,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    kill: () => endServer(child, 'SIGKILL'),
    async restart() {
      child = await start()
    },
    async close() {
      await endServer(child, 'SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
