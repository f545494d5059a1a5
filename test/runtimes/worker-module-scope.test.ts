/**
 * Objects at module scope of a Worker, and a request that ends before the work that it has begun for all. On Cloudflare
 * Workers that work never ends then. No other request may be lost by it.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type ClientRequest, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AwsV4Signer } from 'aws4fetch'
import { signCallerIdentity } from 'deputize/aws'
import { build } from 'tsup'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runtimeFile, runtimeFolder } from '../../scripts/runtime-list.js'
import { root, subpaths } from '../../scripts/subpaths.js'
import { makeKey, signToken } from '../support/issuer.js'
import { type Use, uses } from './module-scope-uses.js'
import type { WorkerInput } from './module-scope-worker.js'
import { type OutsideWorld, startOutsideWorld } from './outside-world.js'

/** How the first request ends. */
const ends = {
  'is aborted by its client': 'aborted',
  'answers before its work is done': 'left',
  'answers before its work is done, which it gave to waitUntil()': 'kept',
} as const
type End = (typeof ends)[keyof typeof ends]

/** A request may wait for one that died, and for its lease; it may not wait for longer than that. */
const LONGEST_MS = 20_000

const key = makeKey()
const holder = makeKey('ES256', 'holder')
const secretAccessKey = 'not-a-real-secret'
const accessKeyId = 'AKIAEXAMPLEKEY000001'
const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
const dir = mkdtempSync(join(tmpdir(), 'module-scope-'))
let outside: OutsideWorld
let worker: { readonly ready: Promise<URL>; dispose(): Promise<void> }
let base: string
let count = 0

const isThere = existsSync(runtimeFile('workerd'))

beforeAll(async () => {
  if (!isThere) return
  outside = await startOutsideWorld(key)
  await build({
    config: false,
    silent: true,
    entry: { worker: join(root, 'test/runtimes/module-scope-worker.ts') },
    outDir: dir,
    outExtension: () => ({ js: '.mjs' }),
    format: 'esm',
    platform: 'neutral',
    removeNodeProtocol: false,
    external: [/^node:/, './given.mjs'],
    noExternal: [/^(?!node:|\.\/given)/],
    target: 'es2022',
    splitting: false,
    esbuildOptions(options) {
      options.alias = Object.fromEntries(
        subpaths.map(({ specifier, code }) => [specifier, join(root, code)]),
      )
      options.mainFields = ['browser', 'module', 'main']
      options.conditions = ['workerd', 'worker', 'browser', 'import']
    },
  })
  const input: WorkerInput = { origin: outside.origin, sets: Object.values(ends), secretAccessKey }
  const place = join(runtimeFolder('workerd'), 'node_modules/miniflare/dist/src/index.js')
  const { Miniflare } = await import(/* @vite-ignore */ pathToFileURL(place).href)
  const made = new Miniflare({
    modules: [
      {
        type: 'ESModule',
        path: 'worker.mjs',
        contents: readFileSync(join(dir, 'worker.mjs'), 'utf8'),
      },
      { type: 'ESModule', path: 'given.mjs', contents: `export default ${JSON.stringify(input)}` },
    ],
    compatibilityDate: '2026-04-01',
    compatibilityFlags: ['nodejs_als'],
    // Straight to the Worker: a client that goes away ends the request.
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    cf: false,
  })
  worker = made
  base = (await made.unsafeGetDirectURL()).origin
})

afterAll(async () => {
  await worker?.dispose()
  await outside?.close()
  rmSync(dir, { recursive: true, force: true })
})

interface Asked {
  readonly status: number
  readonly text: string
  readonly nonce: string | undefined
}

/** One request on a connection of its own. */
function ask(path: string, headers: Record<string, string> = {}) {
  let sent!: ClientRequest
  const answer = new Promise<Asked>((resolve, reject) => {
    sent = httpRequest(
      `${base}${path}`,
      { headers, agent: false, timeout: LONGEST_MS },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const nonce = response.headers['dpop-nonce'] as string | undefined
          resolve({ status: response.statusCode!, text: Buffer.concat(chunks).toString(), nonce })
        })
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${LONGEST_MS} ms`)))
    sent.on('error', reject)
    sent.end()
  })
  return { answer, abort: () => sent.socket?.resetAndDestroy() }
}

interface Credential {
  readonly path: string
  readonly headers: Record<string, string>
}

/** A credential as good callers have it, or one that must be refused; each is new. */
async function credential(
  use: Use,
  end: End,
  isGood = true,
  query = '',
  nonce?: string,
): Promise<Credential> {
  const path = `/${use}/${end}?n=${count++}${query}`
  const nowSeconds = Math.floor(Date.now() / 1000)
  const token = (more: object = {}) => {
    const issuer = `${outside.origin}/${use}/${end}`
    const claims = { iss: issuer, aud: 'agent', sub: 'ana', iat: nowSeconds, exp: nowSeconds + 600 }
    return signToken(isGood ? key : { ...key, privateKey: holder.privateKey }, {
      ...claims,
      ...more,
      jti: `t${count}`,
    })
  }
  if (use === 'keys' || use === 'discovery')
    return { path, headers: { authorization: `Bearer ${token()}` } }
  if (use === 'introspection')
    return { path, headers: { authorization: `Bearer ${isGood ? 'good' : 'bad'}` } }
  if (use === 'dpop') {
    const { kid: _, ...jwk } = holder.jwk
    const { crv, kty, x, y } = jwk
    const bound = token({ cnf: { jkt: digest(JSON.stringify({ crv, kty, x, y })) } })
    const facts = {
      jti: `p${count}`,
      htm: 'GET',
      htu: `https://agent.example.com/${use}/${end}`,
      iat: nowSeconds,
      nonce,
      ath: digest(bound),
    }
    const proof = signToken(holder, facts, { typ: 'dpop+jwt', kid: undefined, jwk })
    return { path, headers: { authorization: `DPoP ${bound}`, dpop: proof } }
  }
  if (use === 'sigv4') {
    const signed = await new AwsV4Signer({
      method: 'GET',
      url: `${base}${path}`,
      accessKeyId,
      secretAccessKey: isGood ? secretAccessKey : 'another-secret',
      service: 'agent',
      region: 'eu-west-1',
    }).sign()
    return { path, headers: Object.fromEntries(signed.headers) }
  }
  if (use === 'sts') {
    // What is refused here is signed for another server: the STS of this test confirms everything.
    const credentials = { accessKeyId, secretAccessKey: `${secretAccessKey}${count}` }
    const serverId = isGood ? 'agent' : 'another'
    return {
      path,
      headers: { ...(await signCallerIdentity({ serverId, credentials, region: 'eu-west-1' })) },
    }
  }
  return { path, headers: {} }
}

/** Uses it as a caller does: 200, or 401. */
async function call(use: Use, end: End, isGood = true): Promise<Asked> {
  const first = await credential(use, end, isGood)
  const answered = await ask(first.path, first.headers).answer
  if (use !== 'dpop' || !isGood) return answered
  // Every proof needs the server's nonce, which the first answer gives.
  expect(answered, 'the answer that gives the nonce').toMatchObject({
    status: 401,
    nonce: expect.any(String),
  })
  const second = await credential(use, end, isGood, '', answered.nonce)
  return ask(second.path, second.headers).answer
}

/** The user's consent, without which there is nothing to renew. */
async function consent(use: Use, end: End): Promise<void> {
  const asked = await ask(`/${use}/${end}`).answer
  const { authorizationUrl } = JSON.parse(asked.text)
  expect(authorizationUrl, asked.text).toEqual(expect.any(String))
  const link = new URL(authorizationUrl).searchParams
  const answered = new URLSearchParams({
    code: 'c',
    state: link.get('state')!,
    iss: `${outside.origin}/${use}/${end}`,
  })
  const settled = await ask(`/${use}/${end}?${answered}`).answer
  expect(settled.status, settled.text).toBe(200)
  expect(await ask(`/${use}/${end}`).answer).toMatchObject(good)
}

const good = { status: 200, text: expect.any(String) }

describe
  .skipIf(!isThere)
  .concurrent('objects at module scope of a Worker (needs workerd: npm run runtimes)', () => {
    for (const use of uses) {
      for (const [how, end] of Object.entries(ends)) {
        it(`${use}: no request is lost when the first one ${how}`, {
          timeout: 4 * LONGEST_MS,
        }, async () => {
          const place = `${use}/${end}`
          const renews = use === 'refresh' || use === 'refresh-with-waitUntil'
          if (renews) await consent(use, end)
          outside.hang(place)
          const { path, headers } = await credential(
            use,
            end,
            true,
            end === 'aborted' ? '' : `&leave${end === 'kept' ? '&kept' : ''}`,
          )
          const first = ask(path, headers)
          const firstEnd = first.answer.then(
            ({ text }) => text,
            () => 'aborted',
          )
          await outside.reached(place)
          // They wait for what the first one has begun.
          const joined = [1, 2, 3].map(() => call(use, end))
          const refused = call(use, end, false)
          if (end === 'aborted') first.abort()
          expect(await firstEnd).toBe(end === 'aborted' ? 'aborted' : 'left')
          outside.goOn(place)
          const lives = end === 'kept' || use === 'refresh-with-waitUntil'
          if (lives) outside.release(place)
          const later = await Promise.all([1, 2, 3].map(() => call(use, end)))
          expect(await Promise.all(joined)).toEqual(
            [good, good, good].map((one) => expect.objectContaining(one)),
          )
          expect(later).toEqual([good, good, good].map((one) => expect.objectContaining(one)))
          // What the first one asked for is answered long after it ended.
          outside.release(place)
          expect(await call(use, end)).toMatchObject(good)
          const isVerified = use !== 'm2m' && !renews
          expect((await refused).status).toBe(isVerified ? 401 : 200)
          if (isVerified) expect((await call(use, end, false)).status).toBe(401)
          if (lives) expect(outside.unheard(place), 'answers that nobody heard').toBe(0)
          expect(outside.reused(place), 'refresh tokens sent twice').toBe(0)
        })
      }
    }
  })
