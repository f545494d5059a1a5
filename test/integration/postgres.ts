import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endServer, freePort, initdb, postgresServer, startServer } from './binaries.js'

export interface RunningPostgres {
  /** Such as `postgresql://postgres@127.0.0.1:40002/postgres`. */
  readonly uri: string
  /** Ends at once; clients see their connections break. */
  kill(): Promise<void>
  /** Starts again after {@link RunningPostgres.kill}, at the same address. */
  restart(): Promise<void>
  /** All of its processes stand still. */
  pause(): void
  resume(): void
  /** The folder that it keeps its rows in. */
  readonly folder: string
  close(): Promise<void>
}

/** PostgreSQL does not run as root: it gets the user that its package made. */
function account(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** Starts a PostgreSQL server in a folder of its own. Needs {@link postgresServer} and {@link initdb}. */
export async function startPostgres(): Promise<RunningPostgres> {
  if (postgresServer === undefined || initdb === undefined) throw new Error('postgres: not found')
  const folder = mkdtempSync(join(tmpdir(), 'deputize-postgres-'))
  const data = join(folder, 'data')
  const who = account()
  // The other user must get through to its own folder.
  chmodSync(folder, 0o711)
  mkdirSync(data, { mode: 0o700 })
  if (who.uid !== undefined && who.gid !== undefined) chownSync(data, who.uid, who.gid)
  execFileSync(
    initdb,
    ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync', '-E', 'UTF8', '--locale=C'],
    { cwd: data, stdio: ['ignore', 'ignore', 'inherit'], ...who },
  )
  const port = await freePort()
  const binary = postgresServer
  const start = () =>
    startServer(binary, {
      cwd: data,
      args: ['-D', data, '-p', `${port}`, '-k', data, '-h', '127.0.0.1', '-c', 'fsync=off'],
      ready: /ready to accept connections/,
      ...who,
    })
  let child = await start()
  const signal = (name: NodeJS.Signals) => {
    const ids = execFileSync('ps', ['-o', 'pid=', '--ppid', `${child.pid}`], { encoding: 'utf8' })
    for (const id of ids.trim().split(/\s+/)) process.kill(Number(id), name)
  }
  return {
    uri: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    folder: data,
    pause() {
      child.kill('SIGSTOP') // first, or it makes new ones
      signal('SIGSTOP')
    },
    resume() {
      signal('SIGCONT')
      child.kill('SIGCONT')
    },
    async restart() {
      child = await start()
    },
    kill: () => endServer(child, 'SIGQUIT'),
    async close() {
      await endServer(child, 'SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
