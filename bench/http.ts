/**
 * What auth adds to a request that node:http serves, the same tokens coming again and again.
 *
 *   npm run bench http [rounds]
 *
 * One server in this process, a path a case; the clients are another process, so that the CPU time here is the server's.
 * `open` reads the header and checks nothing; the others find out who calls with `verifier.verify(rawRequest(message))`,
 * or with jose.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { InboundVerifier, jwtBearer, rawRequest } from './built.js'
import { judge, median, shuffled } from './rounds.js'
import { audience, issuer, makeTokens } from './tokens.js'

const rounds = Number(process.argv[2] ?? 15)
const REQUESTS = 4000
const TOKENS = 20

const set = makeTokens('RS256', TOKENS)
const verifierWith = (cache?: false) =>
  new InboundVerifier({
    authenticators: [
      jwtBearer({ issuer, jwks: { keys: [set.jwk] }, allowedAudience: [audience], cache }),
    ],
  })
const cached = verifierWith()
const uncached = verifierWith(false)
const keys = createLocalJWKSet({ keys: [set.jwk as never] })

const cases: Record<string, (message: IncomingMessage) => unknown> = {
  open: async (message) => message.headers.authorization,
  deputize: (message) => cached.verify(rawRequest(message)),
  'deputize, no cache': (message) => uncached.verify(rawRequest(message)),
  jose: (message) => {
    const token = message.headers.authorization?.slice(7) ?? ''
    return jwtVerify(token, keys, { issuer, audience })
  },
}

const server = createServer(async (message, response) => {
  await cases[decodeURIComponent(message.url!.slice(1))]!(message)
  response.end('hello')
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** Keeps 32 connections busy; one line a command: the path and how many requests. */
const client = `
const http = require('node:http')
const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })
const tokens = JSON.parse(process.argv[1])
const port = Number(process.argv[2])
const one = (path, at) => new Promise((done, fail) => {
  http.get({ agent, port, host: '127.0.0.1', path, headers: { authorization: 'Bearer ' + tokens[at % tokens.length] } }, (answer) => {
    if (answer.statusCode !== 200) return fail(new Error('HTTP ' + answer.statusCode))
    answer.resume().on('end', done)
  }).on('error', fail)
})
require('node:readline').createInterface(process.stdin).on('line', async (line) => {
  const [path, count] = line.split(' ')
  let at = 0
  await Promise.all(Array.from({ length: 32 }, async () => { while (at < count) await one(path, at++) }))
  console.log('done')
})`
const { port } = server.address() as AddressInfo
const clients = spawn(process.execPath, ['-e', client, JSON.stringify(set.tokens), `${port}`], {
  stdio: ['pipe', 'pipe', 'inherit'],
})

/** CPU microseconds that a request costs the server. */
async function serve(name: string, requests: number): Promise<number> {
  globalThis.gc?.()
  const before = process.cpuUsage()
  clients.stdin.write(`/${encodeURIComponent(name)} ${requests}\n`)
  await once(clients.stdout, 'data')
  const { user, system } = process.cpuUsage(before)
  return (user + system) / requests
}

const costs = new Map(Object.keys(cases).map((name) => [name, [] as number[]]))
for (const name of costs.keys()) await serve(name, REQUESTS)
for (let round = 0; round < rounds; round++) {
  for (const name of shuffled([...costs.keys()])) costs.get(name)!.push(await serve(name, REQUESTS))
}
clients.kill()
server.close()

console.log(
  `Node ${process.version}, ${rounds} rounds of ${REQUESTS} requests; server CPU time, RS256`,
)
for (const [name, values] of costs) {
  console.log(`  ${name.padEnd(44)}${median(values).toFixed(1).padStart(8)} us a request`)
}
const added = (name: string) => costs.get(name)!.map((cost, at) => cost - costs.get('open')![at]!)
console.log('\n  what auth adds, us of CPU')
judge('deputize, repeated tokens', added('deputize'), 5, 'at most')
console.log(`  deputize, no cache: ${median(added('deputize, no cache')).toFixed(1)}`)
console.log(`  jose: ${median(added('jose')).toFixed(1)}`)
