import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Answer,
  codeOf,
  fakeClock,
  json,
  makeKey,
  OAUTH_PATH,
  OIDC_PATH,
  signToken,
  startIssuer,
  status,
  type TestIssuer,
} from '../../test/support/issuer.js'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../clock.js'
import { metadataUrls } from '../discovery.js'
import { freshFor } from '../document.js'
import { KeySet } from './key-set.js'
import { parseJws } from './strict-parse.js'

const k1 = makeKey('ES256', 'k1')
const k2 = makeKey('ES256', 'k2')
const set = (...keys: { jwk: JsonWebKey }[]) => ({ keys: keys.map((key) => key.jwk) })

let issuer: TestIssuer
let clock: ReturnType<typeof fakeClock>

beforeEach(async () => {
  issuer = await startIssuer([k1])
  clock = fakeClock()
})
afterEach(() => issuer[Symbol.asyncDispose]())

const loopback = { allowInsecureLoopback: true }
const published = (options = {}) =>
  new KeySet({ jwksUri: `${issuer.origin}/jwks` }, { ...loopback, ...options })
const discovered = (origin = issuer.origin) =>
  new KeySet({ discoveryUrls: metadataUrls(origin), issuers: [origin] }, loopback)
const find = (keys: KeySet, kid: string | undefined = 'k1') =>
  keys.find({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) }, clock)
const jwksHits = () => issuer.count('/jwks')

describe('a key set', () => {
  it('fetches nothing before it is asked, and then once while fresh', async () => {
    const keys = published()
    expect(issuer.hits).toEqual([])
    await find(keys)
    clock.advance(10 * MINUTE_MS - 1)
    await find(keys)
    expect(jwksHits()).toBe(1)
    clock.advance(1)
    await find(keys)
    expect(jwksHits()).toBe(2)
  })

  it('J55 makes one discovery and one JWKS request for 10 000 callers at once', async () => {
    const keys = discovered()
    await Promise.all(Array.from({ length: 10_000 }, () => find(keys)))
    expect(issuer.hits).toEqual([OIDC_PATH, '/jwks'])
    expect(keys.issuer).toBe(issuer.origin)
  })

  it('has another epoch with other keys, and with another issuer of the same keys', async () => {
    const spelled = [issuer.origin, `${issuer.origin}/`]
    const discoveryUrls = [`${issuer.origin}${OIDC_PATH}`]
    const keys = new KeySet({ discoveryUrls, issuers: spelled }, loopback)
    const metadata = (of: string) =>
      json({ issuer: of, jwks_uri: `${issuer.origin}/jwks` }, { 'cache-control': 'max-age=60' })
    const next = async () => {
      clock.advance(DAY_MS - 1)
      await find(keys)
      return keys.epoch
    }
    issuer.routes.set(OIDC_PATH, metadata(issuer.origin))
    await find(keys)
    const first = keys.epoch
    expect(await next()).toBe(first)
    issuer.routes.set(OIDC_PATH, metadata(`${issuer.origin}/`))
    const renamed = await next()
    expect([renamed > first, keys.issuer]).toEqual([true, `${issuer.origin}/`])
    expect(await next()).toBe(renamed)
    issuer.routes.set('/jwks', json(set(k1, k2)))
    expect(await next()).toBeGreaterThan(renamed)
  })

  it('J51 fetches once for a flood of unknown kids at once, and good ones do not wait', async () => {
    const keys = published()
    await find(keys)
    clock.advance(30 * SECOND_MS)
    let release = () => {}
    const held = new Promise<void>((done) => {
      release = done
    })
    issuer.routes.set('/jwks', async (request, response) => {
      await held
      json(set(k1))(request, response)
    })
    const flood = Array.from({ length: 10_000 }, (_, n) => codeOf(find(keys, `random-${n}`)))
    await find(keys) // settles while the flood's fetch hangs
    release()
    expect(new Set(await Promise.all(flood))).toEqual(new Set(['ERR_UNKNOWN_KEY']))
    expect(jwksHits()).toBe(2)
    await find(keys)
  })

  it('J51 fetches five times in 30 seconds for unknown kids one after the other, and then says 503', async () => {
    const keys = published()
    await find(keys)
    clock.advance(MINUTE_MS / 2)
    const codes: unknown[] = []
    for (let n = 0; n < 8; n++) codes.push(await codeOf(find(keys, `junk-${n}`)))
    const [absent, unsure] = ['ERR_UNKNOWN_KEY', 'ERR_KEYS_UNAVAILABLE']
    expect(codes).toEqual([...Array(5).fill(absent), ...Array(3).fill(unsure)])
    expect(jwksHits()).toBe(6)
    // What was looked for is answered without a fetch.
    expect(await codeOf(find(keys, 'junk-4'))).toBe(absent)
    await find(keys)
    clock.advance(30 * SECOND_MS - 1)
    expect(await codeOf(find(keys, 'junk-9'))).toBe(unsure)
    clock.advance(1)
    expect(await codeOf(find(keys, 'junk-9'))).toBe(absent)
    expect(jwksHits()).toBe(7)
  })

  it("J52 takes up a new key though a stranger's unknown kid was looked for a second ago", async () => {
    const keys = published()
    await find(keys)
    clock.advance(40 * SECOND_MS)
    expect(await codeOf(find(keys, 'evil'))).toBe('ERR_UNKNOWN_KEY')
    issuer.routes.set('/jwks', json(set(k1, k2)))
    clock.advance(SECOND_MS)
    await find(keys, 'k2')
  })

  it('J51 looks again for a kid that was not there ten seconds ago, and not before', async () => {
    const keys = published()
    await find(keys)
    for (let n = 0; n < 5; n++) expect(await codeOf(find(keys, 'k2'))).toBe('ERR_UNKNOWN_KEY')
    expect(jwksHits()).toBe(2)
    issuer.routes.set('/jwks', json(set(k1, k2)))
    clock.advance(10 * SECOND_MS)
    await find(keys, 'k2')
    expect(jwksHits()).toBe(3)
  })

  it('J52 takes up a new key after one fetch, and drops an old one when it is gone', async () => {
    const keys = published()
    await find(keys)
    issuer.routes.set('/jwks', json(set(k1, k2)))
    clock.advance(31 * SECOND_MS)
    await find(keys, 'k2')
    expect(jwksHits()).toBe(2)
    issuer.routes.set('/jwks', json(set(k2)))
    clock.advance(10 * MINUTE_MS)
    expect(await codeOf(find(keys, 'k1'))).toBe('ERR_UNKNOWN_KEY')
    await find(keys, 'k2')
  })

  it.each<[string, Answer]>([
    ['HTTP 500', status(500)],
    ['HTTP 404', status(404)],
    ['HTML with status 200', (_, response) => response.writeHead(200).end('<html>')],
    ['a closed connection', (request) => request.socket.destroy()],
    ['a redirect', status(302, { location: '/elsewhere' })],
    ['keys: null', json({ keys: null })],
    ['no object', json([])],
    ['duplicate keys', json('{"keys":[],"keys":[]}')],
    ['101 keys', json({ keys: Array(101).fill(k1.jwk) })],
    ['5 MB', json({ keys: [], pad: 'x'.repeat(5_000_000) })],
    [
      'a gzip bomb',
      (_, response) =>
        response
          .writeHead(200, { 'content-encoding': 'gzip' })
          .end(gzipSync(Buffer.alloc(20_000_000, 0x20))),
    ],
  ])(
    'J49 J50 J53 serves what it holds when the answer is %s, and is unavailable when it holds nothing',
    async (_, answer) => {
      const keys = published()
      await find(keys)
      issuer.routes.set('/jwks', answer)
      clock.advance(11 * MINUTE_MS)
      await find(keys)
      expect(jwksHits()).toBe(2)
      expect(await codeOf(find(keys, 'unknown'))).toBe('ERR_KEYS_UNAVAILABLE')
      expect(await codeOf(find(published()))).toBe('ERR_KEYS_UNAVAILABLE')
      expect(issuer.count('/elsewhere')).toBe(0)
    },
  )

  it('J49 does not read an endless answer on', async () => {
    issuer.routes.set('/jwks', (request, response) => {
      const pour = () => {
        while (response.write(Buffer.alloc(65_536, 0x20)));
      }
      response.on('drain', pour)
      request.socket.on('close', () => response.removeAllListeners('drain'))
      pour()
    })
    expect(await codeOf(find(published()))).toBe('ERR_KEYS_UNAVAILABLE')
  })

  it('J53 gives up on an answer that does not come', async () => {
    issuer.routes.set('/jwks', () => {})
    const error = await find(published({ timeoutMs: 50 })).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ERR_KEYS_UNAVAILABLE', status: 503, retryable: true })
    expect(error).toMatchObject({
      reason: expect.stringContaining('no complete answer within 50 ms'),
    })
  })

  it('J53 J55 asks a server that is down once in 5 seconds, and recovers', async () => {
    issuer.routes.set('/jwks', status(503))
    const keys = published()
    const codes = await Promise.all(Array.from({ length: 100 }, () => codeOf(find(keys))))
    expect(new Set(codes)).toEqual(new Set(['ERR_KEYS_UNAVAILABLE']))
    clock.advance(5 * SECOND_MS - 1)
    expect(await codeOf(find(keys))).toBe('ERR_KEYS_UNAVAILABLE')
    expect(jwksHits()).toBe(1)
    issuer.routes.set('/jwks', json(set(k1)))
    clock.advance(1)
    await find(keys)
    expect(jwksHits()).toBe(2)
  })

  it('J53 lets nobody wait in an outage that is known, and picks up what comes after it', async () => {
    const keys = published()
    await find(keys)
    issuer.routes.set('/jwks', status(500))
    clock.advance(11 * MINUTE_MS)
    await find(keys)
    clock.advance(6 * SECOND_MS)
    let release = () => {}
    const held = new Promise<void>((done) => {
      release = done
    })
    issuer.routes.set('/jwks', async (request, response) => {
      await held
      json(set(k1, k2))(request, response)
    })
    await find(keys) // settles although the server does not answer
    release()
    await find(keys, 'k2')
    expect(jwksHits()).toBe(3)
    expect(await codeOf(find(keys, 'k3'))).toBe('ERR_UNKNOWN_KEY')
  })

  it('J52 J53 does not take an outage of long ago for one of now', async () => {
    const keys = published()
    await find(keys)
    issuer.routes.set('/jwks', status(500))
    clock.advance(11 * MINUTE_MS)
    await find(keys)
    issuer.routes.set('/jwks', json(set(k2)))
    clock.advance(MINUTE_MS)
    expect(await codeOf(find(keys))).toBe('ERR_UNKNOWN_KEY')
  })

  it('J53 bridges an outage for 24 hours and no longer', async () => {
    const keys = published()
    await find(keys)
    issuer.routes.set('/jwks', status(500))
    clock.advance(DAY_MS - 1)
    await find(keys)
    clock.advance(1)
    expect(await codeOf(find(keys))).toBe('ERR_KEYS_UNAVAILABLE')
  })

  it('J50 takes an empty set for what it says, and keeps the cool-down', async () => {
    issuer.routes.set('/jwks', json({ keys: [] }))
    const keys = published()
    for (let n = 0; n < 20; n++) expect(await codeOf(find(keys))).toBe('ERR_UNKNOWN_KEY')
    expect(jwksHits()).toBe(1)
  })

  it('J13 J50 uses the good members of a mixed set', async () => {
    issuer.routes.set(
      '/jwks',
      json({ keys: [7, { kty: 'AKP' }, { kty: 'oct', k: 'AA', kid: 'k1' }, k1.jwk] }),
    )
    await find(published())
  })

  it('J10 takes the only key for a token without kid', async () => {
    await published().find({ alg: 'ES256' }, clock)
    issuer.routes.set('/jwks', json(set(k1, k2)))
    const keys = published()
    expect(await codeOf(keys.find({ alg: 'ES256' }, clock))).toBe('ERR_UNKNOWN_KEY')
    expect(jwksHits()).toBe(2)
  })

  it('J54 clamps max-age to 60 seconds and 24 hours', () => {
    expect(freshFor(null)).toBe(10 * MINUTE_MS)
    expect(freshFor('max-age=0')).toBe(MINUTE_MS)
    expect(freshFor('no-store')).toBe(MINUTE_MS)
    expect(freshFor('max-age=3600, no-cache')).toBe(MINUTE_MS)
    expect(freshFor('public, Max-Age=3600, must-revalidate')).toBe(HOUR_MS)
    expect(freshFor(`max-age=${'9'.repeat(400)}`)).toBe(DAY_MS)
    expect(freshFor('max-age=315360000')).toBe(DAY_MS)
    for (const bad of ['max-age=-1', 'max-age=1e9', 'max-age="60"', 'max-age', 'x-max-age=1']) {
      expect(freshFor(bad)).toBe(10 * MINUTE_MS)
    }
  })

  it('J54 keeps keys for as long as the answer says', async () => {
    issuer.routes.set('/jwks', json(set(k1), { 'cache-control': 'max-age=7200' }))
    const keys = published()
    await find(keys)
    clock.advance(2 * HOUR_MS - 1)
    await find(keys)
    expect(jwksHits()).toBe(1)
  })

  it('J54 fetches again when the clock was set back', async () => {
    const keys = published()
    await find(keys)
    clock.advance(-HOUR_MS)
    await find(keys)
    expect(jwksHits()).toBe(2)
    await find(keys)
    expect(jwksHits()).toBe(2)
  })

  it('J11 is of one issuer alone: the same kid elsewhere is another key', async () => {
    await using other = await startIssuer([makeKey('ES256', 'k1')])
    const here = await find(discovered())
    const there = await find(discovered(other.origin))
    const token = parseJws(signToken(k1, {}))
    expect(await (await here.verifier('ES256'))(token)).toBe(true)
    expect(await (await there.verifier('ES256'))(token)).toBe(false)
    expect(other.hits).toEqual([OIDC_PATH, '/jwks'])
  })
})

describe('discovery', () => {
  it.each([
    ['another issuer', () => ({ issuer: 'https://evil.example' })],
    ['a slash more', () => ({ issuer: `${issuer.origin}/` })],
    ['other letters', () => ({ issuer: issuer.origin.toUpperCase() })],
    ['a list', () => ({ issuer: [issuer.origin] })],
    ['none', () => ({})],
  ])('J47 refuses a document whose issuer is %s', async (_, fields) => {
    issuer.routes.set(OIDC_PATH, json({ jwks_uri: `${issuer.origin}/jwks`, ...fields() }))
    expect(await codeOf(find(discovered()))).toBe('ERR_KEYS_UNAVAILABLE')
    expect(jwksHits()).toBe(0)
  })

  it('tells the address of the keys without its query', async () => {
    issuer.routes.set('/jwks?key=s3cret', status(503))
    const keys = new KeySet({ jwksUri: `${issuer.origin}/jwks?key=s3cret` }, loopback)
    await expect(find(keys)).rejects.toMatchObject({
      reason: `the JWK set at ${issuer.origin}/jwks cannot be had: HTTP 503`,
    })
  })

  it.each([
    'http://93.184.216.34/jwks',
    'http://idp.example/jwks',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/jwks',
    'https://[fe80::1]/jwks',
    'https://user:pass@idp.example/jwks',
    'file:///etc/passwd',
    'data:application/json,{"keys":[]}',
    '/jwks',
    'not a url',
    '',
    7,
  ])('J48 does not fetch jwks_uri %j', async (uri) => {
    issuer.routes.set(OIDC_PATH, json({ issuer: issuer.origin, jwks_uri: uri }))
    const fetched: string[] = []
    const counting: typeof fetch = (...args) => {
      fetched.push(new URL(String(args[0])).pathname)
      return fetch(...args)
    }
    const keys = new KeySet(
      { discoveryUrls: metadataUrls(issuer.origin), issuers: [issuer.origin] },
      { ...loopback, fetch: counting },
    )
    expect(await codeOf(find(keys))).toBe('ERR_KEYS_UNAVAILABLE')
    expect(fetched.filter((path) => path !== OIDC_PATH && path !== OAUTH_PATH)).toEqual([])
  })

  it('J48 needs allowInsecureLoopback for a server on this machine', async () => {
    const keys = new KeySet({ jwksUri: `${issuer.origin}/jwks` })
    expect(await codeOf(find(keys))).toBe('ERR_KEYS_UNAVAILABLE')
    expect(issuer.hits).toEqual([])
  })

  it('falls back to RFC 8414 metadata, with its part before the path', async () => {
    const tenant = `${issuer.origin}/tenant/a`
    issuer.routes.set(
      `${OAUTH_PATH}/tenant/a`,
      json({ issuer: tenant, jwks_uri: `${issuer.origin}/jwks` }),
    )
    await find(discovered(tenant))
    expect(issuer.hits).toEqual([`/tenant/a${OIDC_PATH}`, `${OAUTH_PATH}/tenant/a`, '/jwks'])
  })

  it('J52 finds keys that have moved', async () => {
    issuer.routes.set(
      OIDC_PATH,
      json(
        { issuer: issuer.origin, jwks_uri: `${issuer.origin}/jwks` },
        { 'cache-control': 'max-age=86400' },
      ),
    )
    const keys = discovered()
    await find(keys)
    issuer.routes.delete('/jwks')
    issuer.routes.set('/new', json(set(k1, k2)))
    issuer.routes.set(OIDC_PATH, json({ issuer: issuer.origin, jwks_uri: `${issuer.origin}/new` }))
    clock.advance(11 * MINUTE_MS)
    await find(keys)
    clock.advance(11 * MINUTE_MS)
    await find(keys, 'k2')
  })
})
