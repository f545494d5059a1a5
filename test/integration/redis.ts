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
  close(): Promise<void>
}

/** Starts a Redis server in memory, in a folder of its own. Needs {@link redisServer}. */
export async function startRedis(): Promise<RunningRedis> {
  if (redisServer === undefined) throw new Error('redis-server: not found')
  const folder = mkdtempSync(join(tmpdir(), 'deputize-redis-'))
  const port = await freePort()
  const child = await startServer(redisServer, {
    cwd: folder,
    args: ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    ready: /ready to accept connections/i,
  })
  return {
    url: `redis://127.0.0.1:${port}`,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    kill: () => endServer(child, 'SIGKILL'),
    async close() {
      await endServer(child, 'SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
