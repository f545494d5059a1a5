/** The servers and browsers that integration tests start when this machine has them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'

/** Folders beside those of PATH where distributions put servers. */
function folders(): string[] {
  const debianPostgres = '/usr/lib/postgresql'
  let versions: string[] = []
  try {
    versions = readdirSync(debianPostgres).sort((a, b) => Number(b) - Number(a))
  } catch {
    // Not such a machine.
  }
  return [
    ...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''),
    '/usr/sbin',
    '/usr/bin',
    ...versions.map((version) => join(debianPostgres, version, 'bin')),
  ]
}

/** The first of `names` that can be run, as a full path. */
export function findBinary(...names: readonly string[]): string | undefined {
  for (const name of names) {
    for (const folder of folders()) {
      const path = join(folder, name)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // Look on.
      }
    }
  }
  return undefined
}

export const redisServer = findBinary('redis-server', 'valkey-server')
export const initdb = findBinary('initdb')
/** Of no use without {@link initdb}. */
export const postgresServer = initdb && findBinary('postgres')
export const chromium = findBinary('chromium', 'chromium-browser', 'google-chrome')

/** The title of a suite that needs `binary`. Without it the title says what is missing, and the suite is to be skipped. */
export function needs(binary: string | undefined, name: string, title: string): string {
  return binary === undefined ? `${title} (needs ${name})` : title
}

/** A port of 127.0.0.1 that is free now. Another process may take it first: start again with a new one then. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface StartOptions {
  readonly args: readonly string[]
  /** What it prints once it serves. */
  readonly ready: RegExp
  readonly cwd: string
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

const START_TIMEOUT_MS = 100_000

/** Starts a server and waits until it serves. */
export async function startServer(binary: string, options: StartOptions): Promise<ChildProcess> {
  const { args, ready, cwd, uid, gid } = options
  const child = spawn(binary, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => {
      child.kill('SIGKILL')
      reject(new Error(`${binary} ${why}:\n${output}`))
    }
    const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS)
    const onOutput = (chunk: Buffer) => {
      // Only the beginning is needed, but the pipe must go on being read.
      if (output.length < 100_000) output += chunk
      if (ready.test(output)) {
        clearTimeout(timer)
        resolve()
      }
    }
    child.stdout.on('data', onOutput)
    child.stderr.on('data', onOutput)
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code) => {
      clearTimeout(timer)
      fail(`ended with ${code}`)
    })
  })
  return child
}

/** Ends what {@link startServer} started, also when it is stopped, and waits for its end. */
export async function endServer(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(timer)
}
