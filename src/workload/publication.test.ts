import { describe, expect, it } from 'vitest'
import { fakeClock } from '../../test/support/issuer.js'
import { jwtBearer } from '../inbound/jwt-bearer.js'
import { generateSigningJwk } from '../jwt/sign.js'
import { localKeys } from '../vault/key-ring.js'
import { tokenVault } from '../vault/token-vault.js'
import { WorkloadIdentity } from './identity.js'
import { signingKeys } from './signing-keys.js'

const jwks = await Promise.all([generateSigningJwk(), generateSigningJwk()])
const make = (issuer: string) =>
  new WorkloadIdentity({
    name: 'agent',
    issuer,
    keys: signingKeys({ keys: jwks }),
    clock: fakeClock(),
  })
const ask = (issuer: string, path: string, init?: RequestInit) =>
  make(issuer).handler(new Request(`https://front.internal${path}`, init))

const METADATA = '/.well-known/openid-configuration'
const JWKS = '/.well-known/jwks.json'

describe('the handler of a workload', () => {
  it.each([
    ['https://agents.example', '', 'https://agents.example/.well-known/jwks.json'],
    ['https://agents.example/', '', 'https://agents.example/.well-known/jwks.json'],
    [
      'https://agents.example/team/a',
      '/team/a',
      'https://agents.example/team/a/.well-known/jwks.json',
    ],
    ['https://agents.example/team/', '/team', 'https://agents.example/team/.well-known/jwks.json'],
    ['https://agents.example:8443', '', 'https://agents.example:8443/.well-known/jwks.json'],
  ])('J47 publishes metadata of %s, exactly as it is spelled', async (issuer, base, uri) => {
    const response = await ask(issuer, `${base}${METADATA}`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('public, max-age=600')
    expect(await response.json()).toMatchObject({
      issuer,
      jwks_uri: uri,
      id_token_signing_alg_values_supported: ['ES256'],
    })
    expect((await ask(issuer, `${base}${JWKS}?x=1`)).status).toBe(200)
  })

  it('answers 503 while the vault that keeps the key is down', async () => {
    const down = () => Promise.reject(new Error('down'))
    const store = { get: down, put: down, delete: down, scan: down }
    const vault = tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(3)) })
    const issuer = 'https://agents.example'
    const agent = new WorkloadIdentity({ name: 'agent', issuer, keys: signingKeys({ vault }) })
    const response = await agent.handler(new Request(`${issuer}${JWKS}`))
    expect(response.status).toBe(503)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect((await agent.handler(new Request(`${issuer}${METADATA}`))).status).toBe(200)
  })

  it('J13 publishes all keys, and of each the public half only', async () => {
    const response = await ask('https://agents.example', JWKS)
    const text = await response.text()
    const { keys } = JSON.parse(text) as { keys: Record<string, string>[] }
    expect(keys.map(({ x }) => x)).toEqual(jwks.map(({ x }) => x))
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
      expect(key.kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
    }
    for (const { d } of jwks) expect(text).not.toContain(d)
    // Its own inbound verifier would refuse a set that holds anything private.
    jwtBearer({ issuer: 'https://agents.example', jwks: JSON.parse(text), allowedAudience: ['a'] })
  })

  it.each([METADATA, JWKS])('answers HEAD for %s with the headers alone', async (path) => {
    const response = await ask('https://agents.example', path, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.text()).toBe('')
  })

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('answers %s with 405', async (method) => {
    for (const path of [METADATA, JWKS]) {
      const response = await ask('https://agents.example', path, { method })
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('GET, HEAD')
    }
  })

  it.each([
    '/',
    JWKS.slice(0, -1),
    `${JWKS}/`,
    `/team${JWKS}`,
    `/${JWKS}`,
    '/.well-known/',
    '/.well-known/JWKS.json',
    '/.well-known/../jwks.json',
    '/.well-known%2fjwks.json',
  ])('answers %s with 404', async (path) => {
    expect((await ask('https://agents.example', path)).status).toBe(404)
  })

  it('answers for its own path only', async () => {
    expect((await ask('https://agents.example/team', METADATA)).status).toBe(404)
    expect((await ask('https://agents.example/team', `/other${METADATA}`)).status).toBe(404)
  })
})
