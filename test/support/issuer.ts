/**
 * An issuer for tests: real keys, tokens made from raw text so that they can be wrong in any way, and an HTTP server on
 * loopback that answers as it is told.
 */
import { generateKeyPairSync, type KeyObject, sign as nodeSign } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface SigningKey {
  readonly alg: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** The public key as it is published. */
  readonly jwk: JsonWebKey & { kid: string }
}

const curves: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

export function makeKey(alg = 'ES256', kid = 'k1', modulusLength = 2048): SigningKey {
  const pair =
    alg === 'EdDSA' || alg === 'Ed25519'
      ? generateKeyPairSync('ed25519')
      : alg in curves
        ? generateKeyPairSync('ec', { namedCurve: curves[alg]! })
        : generateKeyPairSync('rsa', { modulusLength })
  return { ...pair, alg, kid, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid } }
}

export const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export function signature(input: string, key: Pick<SigningKey, 'alg' | 'privateKey'>): Buffer {
  const { alg, privateKey } = key
  const data = Buffer.from(input)
  if (alg === 'EdDSA' || alg === 'Ed25519') return nodeSign(null, data, privateKey)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) {
    return nodeSign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  }
  // 6 is RSA_PKCS1_PSS_PADDING, 1 is RSA_PKCS1_PADDING
  if (alg.startsWith('PS')) {
    return nodeSign(hash, data, {
      key: privateKey,
      padding: 6,
      saltLength: Number(alg.slice(2)) / 8,
    })
  }
  return nodeSign(hash, data, { key: privateKey, padding: 1 })
}

/** A signed token; `header` and `payload` are objects, or texts that are taken as they are. */
export function signToken(
  key: SigningKey,
  payload: object | string,
  header: object | string = {},
): string {
  const head = typeof header === 'string' ? header : { alg: key.alg, kid: key.kid, ...header }
  const input = `${encode(head)}.${encode(payload)}`
  return `${input}.${signature(input, key).toString('base64url')}`
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export const json =
  (value: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers })
    response.end(typeof value === 'string' ? value : JSON.stringify(value))
  }

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(code, headers).end('no')
  }

export interface TestIssuer extends AsyncDisposable {
  readonly origin: string
  /** Answers by path; anything else is 404. */
  readonly routes: Map<string, Answer>
  /** Every path asked for, in order. */
  readonly hits: string[]
  count(path: string): number
}

export const OIDC_PATH = '/.well-known/openid-configuration'
export const OAUTH_PATH = '/.well-known/oauth-authorization-server'

/** A server that publishes `keys` at `/jwks` and metadata for its own origin. */
export async function startIssuer(keys: readonly SigningKey[] = []): Promise<TestIssuer> {
  const routes = new Map<string, Answer>()
  const hits: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    hits.push(path)
    const answer = routes.get(path) ?? status(404)
    answer(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  routes.set('/jwks', json({ keys: keys.map((key) => key.jwk) }))
  routes.set(OIDC_PATH, json({ issuer: origin, jwks_uri: `${origin}/jwks` }))
  return {
    origin,
    routes,
    hits,
    count: (path) => hits.filter((hit) => hit === path).length,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

/** A clock that moves only when it is told. */
export function fakeClock(
  nowMs = 1_800_000_000_000,
): (() => number) & { advance(ms: number): void } {
  let now = nowMs
  return Object.assign(() => now, {
    advance(ms: number) {
      now += ms
    },
  })
}

/** The code of the error that `promise` rejects with; `undefined` when it does not, or the error has none. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: { code?: unknown }) => error.code ?? error,
  )
}
