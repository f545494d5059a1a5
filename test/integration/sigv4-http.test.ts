/** Signed requests over real sockets: raw targets and headers, bodies, a proxy in front, several processes. */
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawRequest } from '../../src/adapters/node/index.js'
import { InboundAuthError, type InboundAuthErrorCode } from '../../src/errors/inbound.js'
import type { RawRequest } from '../../src/inbound/authenticator.js'
import type { ReplayGuard } from '../../src/inbound/replay-guard.js'
import {
  accessKeyId,
  region,
  secretAccessKey,
  service,
  smithy,
  verifierOf,
  withHeader,
} from '../support/aws-signers.js'
import { endServer, findBinary, freePort, needs, startServer } from './binaries.js'

type Outcome = InboundAuthErrorCode | 'accepted'

/** Sends `request` as it stands, header by header. */
function call(port: number, request: RawRequest, chunked = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = send(
      { host: '127.0.0.1', port, method: request.method, path: request.target, setHost: false },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part) => {
          text += part
        })
        answer.on('end', () => resolve(text))
      },
    )
    outgoing.on('error', reject)
    const byName = new Map<string, string[]>()
    for (const [name, value] of request.headers) {
      byName.set(name, [...(byName.get(name) ?? []), value])
    }
    for (const [name, values] of byName) outgoing.setHeader(name, values)
    const body = request.body as Uint8Array | undefined
    if (body === undefined) outgoing.end()
    else if (chunked) {
      for (let at = 0; at < body.length; at += 30_000)
        outgoing.write(body.subarray(at, at + 30_000))
      outgoing.end()
    } else {
      outgoing.setHeader('content-length', body.length)
      outgoing.end(body)
    }
  })
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const verifier = verifierOf({ hosts: ['agent.example.com'], allowUnsignedContentType: false })
const server = createServer(async (message: IncomingMessage, response) => {
  let outcome: Outcome = 'accepted'
  try {
    await verifier.verify(rawRequest(message))
  } catch (error) {
    if (!(error instanceof InboundAuthError)) throw error
    outcome = error.code
  }
  response.end(outcome)
})
let port: number
beforeAll(async () => {
  port = await listen(server)
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

describe('sigv4 behind node:http', () => {
  it.each(['/', '/a/b/c/', '/a%20b%2Fc', '/%E1%88%B4?q=%20%2B&a', "/a;b~c!*'()", '/a+b?x=1&x=0'])(
    'S01 S02 accepts %s',
    async (target) => {
      expect(await call(port, await smithy({ target }))).toBe('accepted')
      expect(await call(port, await smithy({ target, presign: true }))).toBe('accepted')
    },
  )

  it.each([false, true])('S14 S15 hashes a body as it comes (chunked: %s)', async (chunked) => {
    const body = new Uint8Array(200_000).fill(65)
    const request = await smithy({ method: 'POST', body, target: `/${chunked}` })
    const other = { ...request, body: body.map((byte, at) => (at === 199_999 ? byte + 1 : byte)) }
    expect(await call(port, other, chunked)).toBe('ERR_BODY_MISMATCH')
    expect(await call(port, request, chunked)).toBe('accepted')
  })

  it('S15 takes a body that is compressed as it is, and a GET with a body', async () => {
    const body = Buffer.from('1f8b0800000000000003030000000000000000', 'hex')
    const headers = { 'content-encoding': 'gzip' }
    expect(await call(port, await smithy({ method: 'PUT', body, headers }))).toBe('accepted')
    expect(await call(port, await smithy({ method: 'GET', body, target: '/get' }))).toBe('accepted')
  })

  it('S11 S12 reads headers as they came', async () => {
    const request = await smithy({ target: '/h', headers: { 'x-amz-meta-a': 'a, b ,c' } })
    const parts = withHeader(request, 'x-amz-meta-a', undefined)
    const split: RawRequest = {
      ...parts,
      headers: [...parts.headers, ['X-Amz-Meta-A', 'a, b ,c'], ['x_amz_meta_a', 'd']],
    }
    expect(await call(port, split)).toBe('ERR_UNSIGNED_HEADER')
    const twice = await smithy({ target: '/t', headers: { 'my-header': 'value4,value1' } })
    const pairs = withHeader(twice, 'my-header', undefined)
    const joined: RawRequest = {
      ...pairs,
      headers: [...pairs.headers, ['My-Header', ' value4 '], ['My-Header', 'value1']],
    }
    expect(await call(port, joined)).toBe('accepted')
  })
})

const curl = findBinary('curl')
describe.skipIf(!curl)(needs(curl, 'curl', 'sigv4 from curl (needs curl)'), () => {
  const run = promisify(execFile)

  it('S11 S14 accepts what curl signs: values in UTF-8, a query, a body', async () => {
    // curl takes the time from the machine, and signs the host with its port.
    const ofCurl = verifierOf({}, { clock: () => Date.now() })
    const outcomes: string[] = []
    const server = createServer(async (message, response) => {
      const parts: Uint8Array[] = []
      for await (const part of message) parts.push(part)
      const verified = ofCurl.verify(rawRequest(message, Buffer.concat(parts)))
      outcomes.push(
        await verified.then(
          () => 'accepted',
          ({ code }) => code,
        ),
      )
      response.end()
    })
    const port = await listen(server)
    const calls = [
      ['-H', 'X-Amz-Meta-A: caf\u00e9 \u2615'],
      ['-H', 'X-Amz-Meta-A: plain', '-H', 'X-Other: na\u00efve'],
      ['-H', 'Content-Type: application/json', '-d', '{"a":"\u00e9"}'],
    ]
    for (const [at, call] of calls.entries()) {
      await run(curl!, [
        ...['--silent', '--fail', '--noproxy', '*', '--user', `${accessKeyId}:${secretAccessKey}`],
        ...['--aws-sigv4', `aws:amz:${region}:${service}`],
        ...call,
        `http://127.0.0.1:${port}/a/b?n=${at}`,
      ])
    }
    server.close()
    server.closeAllConnections()
    expect(outcomes).toEqual(calls.map(() => 'accepted'))
  })
})

const nginx = findBinary('nginx')
const proxied = 'sigv4 behind nginx (needs nginx)'
describe.skipIf(!nginx)(needs(nginx, 'nginx', proxied), () => {
  const folder = mkdtempSync(join(tmpdir(), 'deputize-nginx-'))
  let front: ChildProcess
  let frontPort: number

  beforeAll(async () => {
    frontPort = await freePort()
    const at = (location: string, upstream: string, name = '$http_host') =>
      `location ${location} { proxy_pass http://127.0.0.1:${port}${upstream}; proxy_set_header Host ${name}; proxy_http_version 1.1; }`
    const config = `
      daemon off; pid ${folder}/pid; error_log stderr notice; worker_processes 1; user root;
      events { worker_connections 64; }
      http {
        access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
        fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
        underscores_in_headers on;
        server {
          listen 127.0.0.1:${frontPort}; merge_slashes off;
          ${at('/', '')}
          ${at('/decoded/', '/decoded/')}
          ${at('/prefix/', '/')}
          ${at('/host/', '', 'upstream')}
        }
      }`
    writeFileSync(
      join(folder, 'nginx.conf'),
      config.replace(/user root;/, process.getuid?.() === 0 ? 'user root;' : ''),
    )
    front = await startServer(nginx!, {
      args: ['-p', folder, '-c', join(folder, 'nginx.conf')],
      ready: /start worker process/,
      cwd: folder,
    })
  })
  afterAll(async () => {
    await endServer(front, 'SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })

  it.each(['/plain', '/a%2Fb%20c', '/models:run', '/q?x=%2B&y'])(
    'S02 accepts %s passed on raw',
    async (target) => {
      expect(
        await call(
          frontPort,
          await smithy({ target: `${target}${target.includes('?') ? '&' : '?'}n=1` }),
        ),
      ).toBe('accepted')
    },
  )

  it.each([
    ['a path that it decoded', '/decoded/a%2Fb', 'ERR_BAD_SIGNATURE'],
    ['a prefix that it took away', '/prefix/a', 'ERR_BAD_SIGNATURE'],
    ['a host that it changed', '/host/a', 'ERR_HOST_MISMATCH'],
  ])('S02 refuses %s', async (_, target, code) => {
    expect(await call(frontPort, await smithy({ target }))).toBe(code)
  })

  it('S02 refuses a path that it passes on raw and routes as another', async () => {
    const request = await smithy({ target: '/share', presign: true })
    const at = (to: string) => ({ ...request, target: request.target.replace('/share', () => to) })
    for (const other of ['/admin/..', '/admin/%2e%2E', '/', '/.', '/admin\\..']) {
      expect(await call(frontPort, at(`${other}/share`))).toBe('ERR_AMBIGUOUS_PATH')
    }
    expect(await call(frontPort, at('/share'))).toBe('accepted')
  })

  it('S02 accepts the path that it folded, which is the one that was signed', async () => {
    const request = await smithy({ target: '/decoded/share', presign: true })
    const folded = { ...request, target: request.target.replace('/share', '/x/../share') }
    expect(await call(frontPort, folded)).toBe('accepted')
  })

  it('S12 refuses a header with underscores that it lets through', async () => {
    const request = await smithy({ target: '/u' })
    expect(await call(frontPort, withHeader(request, 'x_amz_acl', 'public'))).toBe(
      'ERR_UNSIGNED_HEADER',
    )
  })
})

describe('sigv4 in several processes', () => {
  const children: ChildProcess[] = []
  const used = new Set<string>()
  /** Stands for the store that they share: `SET … NX`. */
  const shared: ReplayGuard = {
    claim: (id) => !used.has(id) && used.add(id) !== undefined,
  }

  beforeAll(async () => {
    const program = new URL('../support/sigv4-process.ts', import.meta.url).pathname
    for (let n = 0; n < 4; n++) {
      const child = fork(program, { execArgv: ['--import', 'tsx'], serialization: 'advanced' })
      child.on('message', (message: { id?: string; untilMs?: number }) => {
        if (message.id === undefined) return
        child.send({ first: shared.claim(message.id, message.untilMs ?? 0) })
      })
      await new Promise((resolve) => child.once('message', resolve))
      children.push(child)
    }
  })
  afterAll(() => {
    for (const child of children) child.kill()
  })

  it('S25 accepts a request once in all four', async () => {
    const request = await smithy({ target: '/once' })
    const outcomes = await Promise.all(
      children.map(
        (child) =>
          new Promise<string>((resolve) => {
            child.on('message', (message: { outcome?: string }) => {
              if (message.outcome) resolve(message.outcome)
            })
            child.send({ request })
          }),
      ),
    )
    expect(outcomes.sort()).toEqual(['ERR_REPLAYED', 'ERR_REPLAYED', 'ERR_REPLAYED', 'accepted'])
  })
})
