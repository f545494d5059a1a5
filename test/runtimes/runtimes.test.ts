/**
 * The built library on other runtimes. `npm run runtimes` brings them; what is not there is skipped.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type RunningAuthorizationServer, startAuthorizationServer } from 'deputize/testing'
import { build } from 'tsup'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RuntimeName, runtimeFile, runtimeFolder } from '../../scripts/runtime-list.js'
import { root } from '../../scripts/subpaths.js'
import type { SmokeInput } from './smoke.js'

const run = promisify(execFile)
const dir = mkdtempSync(join(tmpdir(), 'runtimes-'))
const bundle = join(dir, 'smoke.mjs')
let server: RunningAuthorizationServer
let api: Server
let input: SmokeInput

beforeAll(async () => {
  server = await startAuthorizationServer()
  api = createServer((request, response) => {
    response.end(request.headers.authorization?.startsWith('Bearer ') ? 'welcome' : 'who?')
  })
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  await build({
    config: false,
    silent: true,
    entry: { smoke: join(root, 'test/runtimes/smoke.ts') },
    outDir: dir,
    outExtension: () => ({ js: '.mjs' }),
    format: 'esm',
    platform: 'neutral',
    removeNodeProtocol: false,
    external: [/^node:/],
    noExternal: [/^(?!node:)/],
    target: 'es2022',
    splitting: false,
    esbuildOptions(options) {
      options.alias = { deputize: join(root, 'dist/index.js') }
      options.mainFields = ['browser', 'module', 'main']
      options.conditions = ['workerd', 'worker', 'browser', 'import']
    },
  })
  input = {
    issuer: server.issuer,
    discoveryUrl: server.discoveryUrl,
    clientId: server.clientId,
    clientSecret: server.clientSecret,
    userToken: server.userToken({ subject: 'ana', audience: 'agent' }),
    api: `http://127.0.0.1:${(api.address() as AddressInfo).port}/`,
  }
})

afterAll(async () => {
  await server?.close()
  api?.closeAllConnections()
  await new Promise((resolve) => api?.close(resolve))
  rmSync(dir, { recursive: true, force: true })
})

const expected = {
  subject: 'ana',
  refused: 'ERR_BAD_SIGNATURE',
  workload: 'smoke-agent',
  answers: ['Faro Bearer', 'Évora Bearer'],
  api: 'welcome',
  printed: '[redacted: use .value or .authorization]',
}

const commands: [RuntimeName, args: string[]][] = [
  ['node22', []],
  ['node24', []],
  ['bun', ['run']],
  ['deno', ['run', '-A']],
]

describe('the same program everywhere', () => {
  it('runs on this Node', async () => {
    const { stdout } = await run(process.execPath, [bundle, JSON.stringify(input)])
    expect(JSON.parse(stdout)).toEqual(expected)
  })

  for (const [name, args] of commands) {
    const file = runtimeFile(name)
    it.skipIf(!existsSync(file))(`runs on ${name} (needs ${name}: npm run runtimes)`, async () => {
      const { stdout } = await run(file, [...args, bundle, JSON.stringify(input)], {
        env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' },
      })
      expect(JSON.parse(stdout)).toEqual(expected)
    })
  }

  it.skipIf(!existsSync(runtimeFile('workerd')))(
    'runs on workerd with nodejs_als alone (needs workerd: npm run runtimes)',
    async () => {
      const place = join(runtimeFolder('workerd'), 'node_modules/miniflare/dist/src/index.js')
      const { Miniflare } = (await import(/* @vite-ignore */ pathToFileURL(place).href)) as {
        Miniflare: new (
          options: object,
        ) => {
          dispatchFetch(url: string): Promise<Response>
          dispose(): Promise<void>
        }
      }
      const worker = new Miniflare({
        modules: [{ type: 'ESModule', path: 'smoke.mjs', contents: readFileSync(bundle, 'utf8') }],
        compatibilityDate: '2026-04-01',
        compatibilityFlags: ['nodejs_als'],
        bindings: { INPUT: JSON.stringify(input) },
        cf: false,
      })
      try {
        const response = await worker.dispatchFetch('http://localhost/')
        const text = await response.text()
        expect(response.status, text).toBe(200)
        expect(JSON.parse(text)).toEqual(expected)
      } finally {
        await worker.dispose()
      }
    },
  )
})
