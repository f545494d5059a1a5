import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  accessKeyId,
  clock,
  region,
  secretAccessKey,
  service,
  smithy,
  type Unsigned,
  verifierOf,
  viaAws4fetch,
  withHeader,
} from '../../test/support/aws-signers.js'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, makeKey, signToken } from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { ConfigurationError } from '../errors/outbound.js'
import { SigningKeys } from '../sigv4/signing-key.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { USER_ID_HEADER } from './asserted-user.js'
import type { RawRequest } from './authenticator.js'
import { jwtBearer } from './jwt-bearer.js'
import { memoryReplayGuard, type ReplayGuard } from './replay-guard.js'
import { sigv4 } from './sigv4.js'
import { InboundVerifier as PlainVerifier } from './verifier.js'

const arn = 'arn:aws:sts::111122223333:assumed-role/caller/s1'
const credentials = async () => ({ secretAccessKey, principal: { arn } })
const naming = (user: string) => ({ headers: { [USER_ID_HEADER]: user } })

describe('sigv4 and the user that a caller asserts', () => {
  it('S09 makes the pair of caller and id', async () => {
    const asked: unknown[] = []
    const verifier = verifierOf({
      credentials,
      mayActForUser: async (principal, userId) => {
        asked.push(principal.subject, principal.user, userId)
        return true
      },
    })
    const { user } = await verifier.verify(await smithy(naming('ana')))
    expect(user).toEqual({ issuer: 'arn:aws:iam::111122223333:role/caller', subject: 'ana' })
    expect(asked).toEqual(['arn:aws:iam::111122223333:role/caller', undefined, 'ana'])
  })

  it('S09 says that nobody verified the user, also to the workload that acts for them', async () => {
    const verifier = verifierOf({ credentials, mayActForUser: () => true })
    const principal = await verifier.verify(await smithy(naming('ana')))
    expect(principal.userKnown).toBe('asserted')
    const agent = new WorkloadIdentity({ name: 'agent' })
    expect(agent.actFor(principal).userKnown).toBe('asserted')
  })

  it('S09 keeps users of two keys without IAM identity apart', async () => {
    const { user } = await verifierOf({ mayActForUser: () => true }).verify(
      await smithy(naming('ana')),
    )
    expect(user?.issuer).toBe(`urn:deputize:sigv4:${region}:${service}:${accessKeyId}`)
  })

  it.each<[string, Parameters<typeof verifierOf>[0], string]>([
    ['without mayActForUser', {}, 'ERR_USER_NOT_ALLOWED'],
    ['when it says no', { mayActForUser: () => false }, 'ERR_USER_NOT_ALLOWED'],
    [
      'when it says something else',
      { mayActForUser: () => 'yes' as never },
      'ERR_USER_NOT_ALLOWED',
    ],
    [
      'when it fails',
      { mayActForUser: () => Promise.reject(new Error('x')) },
      'ERR_GUARD_UNAVAILABLE',
    ],
  ])('S09 refuses %s', async (_, options, code) => {
    const verifier = verifierOf({ credentials, ...options })
    expect(await codeOf(verifier.verify(await smithy(naming('ana'))))).toBe(code)
    expect(await codeOf(verifier.verify(await smithy({ target: '/x' })))).toBeUndefined()
  })

  it.each(['a'.repeat(1_025), 'é', ' '])('S09 refuses the user id %j', async (id) => {
    const verifier = verifierOf({ credentials, mayActForUser: () => true })
    expect(await codeOf(verifier.verify(await smithy(naming(id))))).toBe('ERR_USER_NOT_ALLOWED')
  })

  it('S09 refuses a header that is not signed, or stands twice', async () => {
    const verifier = verifierOf({ credentials, mayActForUser: () => true })
    const unsigned = withHeader(await smithy(), USER_ID_HEADER, 'eve')
    expect(await codeOf(verifier.verify(unsigned))).toBe('ERR_UNSIGNED_HEADER')
    const signed = await smithy(naming('ana'))
    const twice = { ...signed, headers: [...signed.headers, [USER_ID_HEADER, 'eve'] as const] }
    expect(await codeOf(verifier.verify(twice))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
  })

  it('S09 is answered with 403', async () => {
    const response = await verifierOf().authenticate(await smithy(naming('ana')))
    expect((response as Response).status).toBe(403)
  })

  it('S09 takes another name for the header', async () => {
    const verifier = verifierOf({ userIdHeader: 'X-User', mayActForUser: () => true })
    const request = await smithy({ headers: { 'X-User': 'ana' } })
    expect((await verifier.verify(request)).user?.subject).toBe('ana')
    expect(await codeOf(verifier.verify(withHeader(await smithy(), 'x-user', 'eve')))).toBe(
      'ERR_UNSIGNED_HEADER',
    )
  })

  it('S09 ignores the header beside a token, and says so', async () => {
    const key = makeKey()
    const issuer = 'https://idp.example'
    const events: AuditEvent[] = []
    const verifier = new InboundVerifier({
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'] }),
        sigv4({ region, service, credentials, userIdHeader: 'X-User', mayActForUser: () => true }),
      ],
      clock,
      audit: (event) => events.push(event),
    })
    const now = clock() / 1000
    const token = signToken(key, { iss: issuer, sub: 'u1', aud: 'agent', exp: now + 300 })
    for (const name of [USER_ID_HEADER, 'x-user', 'X_USER']) {
      events.length = 0
      const request: RawRequest = {
        method: 'GET',
        target: '/',
        headers: [
          ['authorization', `Bearer ${token}`],
          [name, 'eve'],
        ],
      }
      expect((await verifier.verify(request)).user).toEqual({ issuer, subject: 'u1' })
      expect(events.map(({ type }) => type)).toEqual(['caller_verified', 'asserted_user_ignored'])
    }
  })
})

describe('sigv4 and whose a key is', () => {
  it('takes a new owner of a key at once', async () => {
    let owner: string | undefined = arn
    const verifier = verifierOf({
      credentials: async () => ({
        secretAccessKey,
        ...(owner === undefined ? {} : { principal: { arn: owner } }),
      }),
    })
    const subjectOf = async (target: string) =>
      (await verifier.verify(await smithy({ target }))).subject
    expect(await subjectOf('/1')).toBe('arn:aws:iam::111122223333:role/caller')
    owner = 'arn:aws:iam::444455556666:user/eve'
    expect(await subjectOf('/2')).toBe(owner)
    owner = undefined
    expect(await subjectOf('/3')).toBe(accessKeyId)
  })
})

describe('sigv4 and replay', () => {
  it.each([false, true])('S25 lets a request in once (presigned: %s)', async (presign) => {
    const verifier = verifierOf()
    const request = await smithy({ presign, target: '/a?x=%7E' })
    const alike = { ...request, target: request.target.replace('x=~', 'x=%7e') }
    expect(await codeOf(verifier.verify(request))).toBeUndefined()
    expect(await codeOf(verifier.verify(request))).toBe('ERR_REPLAYED')
    expect(await codeOf(verifier.verify(alike))).toBe('ERR_REPLAYED')
    expect(await codeOf(verifier.verify(withHeader(request, 'x', 'y')))).toBe('ERR_REPLAYED')
  })

  it('S25 lets one of many at once in', async () => {
    const verifier = verifierOf()
    const request = await smithy()
    const codes = await Promise.all(
      Array.from({ length: 50 }, () => codeOf(verifier.verify(request))),
    )
    expect(codes.filter((code) => code === undefined)).toHaveLength(1)
  })

  it('S25 remembers as long as a signature serves', async () => {
    const claims: [string, number][] = []
    const replay: ReplayGuard = { claim: async (id, until) => claims.push([id, until]) > 0 }
    const verifier = verifierOf({ replay })
    await verifier.verify(await smithy({ atMs: clock() + 100_000 }))
    await verifier.verify(await smithy({ presign: true, expiresSeconds: 900 }))
    expect(claims.map(([, until]) => until - clock())).toEqual([460_000, 960_000])
    expect(claims.every(([id]) => /^[0-9a-f]{64}$/.test(id))).toBe(true)
  })

  it('S25 claims nothing for what is refused', async () => {
    const claims = new Set<string>()
    const replay: ReplayGuard = { claim: async (id) => claims.add(id).size > 0 }
    const verifier = verifierOf({ replay })
    await verifier.verify(await smithy())
    await codeOf(verifier.verify(await smithy({ secretAccessKey: 'other' })))
    await codeOf(verifier.verify({ ...(await smithy({ body: 'x' })), body: Buffer.from('y') }))
    expect(claims.size).toBe(1)
  })

  it.each<[string, ReplayGuard, string]>([
    ['fails', { claim: () => Promise.reject(new Error('down')) }, 'ERR_GUARD_UNAVAILABLE'],
    ['answers nonsense', { claim: async () => 1 as never }, 'ERR_REPLAYED'],
    ['is full', memoryReplayGuard({ maxEntries: 1, clock }), 'ERR_GUARD_UNAVAILABLE'],
  ])('S25 refuses when the guard %s', async (what, replay, code) => {
    const verifier = verifierOf({ replay })
    if (what === 'is full') await verifier.verify(await smithy({ target: '/first' }))
    const error = await verifier.verify(await smithy()).catch((error: unknown) => error)
    expect(error).toMatchObject({ code, status: code === 'ERR_REPLAYED' ? 401 : 503 })
  })

  it('S25 keeps one caller from filling the guard of all', async () => {
    const credentials = (id: string) => ({ secretAccessKey: `secret of ${id}` })
    const verifier = verifierOf({
      credentials,
      replay: memoryReplayGuard({ maxEntries: 20, clock }),
    })
    const send = async (accessKeyId: string, n: number) =>
      codeOf(
        verifier.verify(
          await smithy({
            accessKeyId,
            secretAccessKey: `secret of ${accessKeyId}`,
            target: `/?n=${n}`,
          }),
        ),
      )
    const codes = []
    for (let n = 0; n < 20; n++) codes.push(await send('AKIAGREEDY0000000000', n))
    expect(codes.filter((code) => code === undefined)).toHaveLength(15)
    expect(codes.at(-1)).toBe('ERR_GUARD_UNAVAILABLE')
    expect(await send('AKIAMODEST0000000000', 1)).toBeUndefined()
    expect(await send('AKIAMODEST0000000000', 1)).toBe('ERR_REPLAYED')
  })

  it('S25 is not looked at with null', async () => {
    const verifier = verifierOf({ replay: null })
    const request = await smithy()
    await verifier.verify(request)
    expect(await codeOf(verifier.verify(request))).toBeUndefined()
  })
})

describe('memoryReplayGuard', () => {
  it('forgets what has expired, and only that', async () => {
    let now = 1_000
    const guard = memoryReplayGuard({ maxEntries: 2, clock: () => now })
    expect(await guard.claim('a', 2_000)).toBe(true)
    expect(await guard.claim('b', 3_000)).toBe(true)
    now = 2_000
    expect(await guard.claim('a', 2_000)).toBe(false)
    expect(() => guard.claim('c', 4_000)).toThrow('full')
    now = 2_001
    expect(await guard.claim('c', 4_000)).toBe(true)
    expect(await guard.claim('b', 3_000)).toBe(false)
    expect(await guard.claim('c', 4_000)).toBe(false)
  })

  it('takes no nonsense', () => {
    expect(() => memoryReplayGuard({ maxEntries: 0 })).toThrow(TypeError)
  })
})

describe('sigv4 and Web Requests', () => {
  const web = (request: RawRequest, init: RequestInit = {}) =>
    new Request(`https://agent.example.com${request.target}`, {
      method: request.method,
      headers: request.headers.map(([name, value]): [string, string] => [name, value]),
      ...(request.body === undefined ? {} : { body: request.body as Uint8Array<ArrayBuffer> }),
      ...init,
    })

  it.each([
    '/',
    '/invoke',
    '/a/b-c_d.e~f',
    '/a%2Fb',
    '/arn%3Aaws',
    '/?q=a%20b%2Bc',
    '/?q=%E1%88%B4',
    "/a!$&'()*+,;=:@",
  ])('S02 judges %s', async (target) => {
    for (const presign of [false, true]) {
      const request = web(await smithy({ target, presign }))
      expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
    }
  })

  it('S14 judges its body, and leaves it to the application', async () => {
    const call = {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'content-type': 'application/json' },
    }
    const request = web(await smithy(call))
    await verifierOf().verify(request)
    expect(await request.json()).toEqual({ a: 1 })
    expect(await codeOf(verifierOf().verify(web(await smithy(call), { body: '{"a":2}' })))).toBe(
      'ERR_BODY_MISMATCH',
    )
  })

  it.each(['/a%20b', '/caf%C3%A9', '/a%22', '/%7Bid%7D', '/a%00'])(
    'S02 wants the raw request for %s',
    async (target) => {
      const request = await smithy({ target })
      expect(await codeOf(verifierOf().verify(web(request)))).toBe('ERR_RAW_REQUEST_REQUIRED')
      expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
    },
  )

  it('S02 S11 wants it for S3 paths, and for values that could be merged', async () => {
    const s3 = verifierOf({ pathStyle: 's3' })
    expect(await codeOf(s3.verify(web(await smithy({ s3: true }))))).toBe(
      'ERR_RAW_REQUEST_REQUIRED',
    )
    const merged = await smithy({ headers: { 'x-amz-meta-a': 'one,two' } })
    expect(await codeOf(verifierOf().verify(web(merged)))).toBe('ERR_RAW_REQUEST_REQUIRED')
  })

  it('S11 wants it for signed values that are not ASCII', async () => {
    const request = await smithy({ headers: { 'x-amz-meta-a': 'caf\u00e9', 'x-b': 'b' } })
    expect(await codeOf(verifierOf().verify(web(request)))).toBe('ERR_RAW_REQUEST_REQUIRED')
    expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
    const unsigned = withHeader(await smithy(), 'x-b', 'caf\u00e9')
    expect(await codeOf(verifierOf().verify(web(unsigned)))).toBeUndefined()
  })

  it('S13 wants a host header', async () => {
    const request = web(await smithy())
    request.headers.delete('host')
    expect(await codeOf(verifierOf().verify(request))).toBe('ERR_RAW_REQUEST_REQUIRED')
  })

  it('S01 does not take a path that was resolved for the one that was signed', async () => {
    const request = await smithy({ target: '/a//../b' }) // /b in SigV4, /a/b in a URL
    expect(await codeOf(verifierOf().verify(web(request)))).toBe('ERR_BAD_SIGNATURE')
    // What the URL parser leaves as it is, is refused as on the wire.
    for (const target of ['/a//b', '/a%2F..%2Fb', '/a%5C..']) {
      const kept = web(await smithy({ target }))
      expect(await codeOf(verifierOf().verify(kept))).toBe('ERR_AMBIGUOUS_PATH')
    }
  })
})

describe('sigv4 behind a CDN', () => {
  it('S08 accepts a header that is added after signing, if it is named', async () => {
    const added = withHeader(await smithy(), 'X-Amz-Cf-Id', 'added')
    expect(await codeOf(verifierOf().verify(added))).toBe('ERR_UNSIGNED_HEADER')
    const verifier = verifierOf({ allowUnsignedHeaders: ['X-Amz-CF-Id'], replay: null })
    expect(await codeOf(verifier.verify(added))).toBeUndefined()
    for (const name of ['x-amz-cf-id2', 'x_amz_cf_id', 'x-amz-meta-a']) {
      expect(await codeOf(verifier.verify(withHeader(added, name, 'a')))).toBe(
        'ERR_UNSIGNED_HEADER',
      )
    }
    // Signed, it counts as any other.
    const signed = await smithy({ headers: { 'x-amz-cf-id': 'mine' } })
    const changed = withHeader(signed, 'x-amz-cf-id', 'other')
    expect(await codeOf(verifier.verify(changed))).toBe('ERR_BAD_SIGNATURE')
  })
})

describe('sigv4 and what it costs', () => {
  it('S20 derives one key for every refusal, and none for who comes again', async () => {
    const derive = vi.spyOn(SigningKeys.prototype, 'derive')
    onTestFinished(() => derive.mockRestore())
    const authenticator = sigv4({
      region,
      service,
      credentials: (id) => (id === accessKeyId ? { secretAccessKey } : undefined),
    })
    // One that presents nothing again.
    const verifier = new PlainVerifier({ authenticators: [authenticator], clock })
    const costOf = async (call: Unsigned, code?: string) => {
      derive.mockClear()
      expect(await codeOf(verifier.verify(await smithy(call)))).toBe(code)
      return derive.mock.calls.length
    }
    const wrong = { secretAccessKey: 'another secret' }
    const unknown = { accessKeyId: 'AKIANOBODY0000000000' }
    const bad = 'ERR_BAD_SIGNATURE'
    expect(await costOf(wrong, bad)).toBe(1) // known, and used for the first time
    for (let n = 0; n < 3; n++) {
      expect(await costOf({ ...wrong, target: `/${n}` }, bad)).toBe(1)
      expect(await costOf({ ...unknown, target: `/${n}` }, bad)).toBe(1)
      expect(await costOf({ ...unknown, accessKeyId: `AKIANOBODY00000000${n}0` }, bad)).toBe(1)
      expect(await costOf({ target: `/${n}` })).toBe(0)
    }
  })

  it('S20 lets nobody in who signs with the secret that stands for unknown keys', async () => {
    const text = readFileSync(new URL('./sigv4.ts', import.meta.url), 'utf8')
    const secretAccessKey = /DECOY_SECRET = '([^']+)'/.exec(text)![1]!
    const request = await smithy({ accessKeyId: 'AKIANOBODY0000000000', secretAccessKey })
    expect(await codeOf(verifierOf().verify(request))).toBe('ERR_BAD_SIGNATURE')
  })

  it('S14 hands the mistake of an application that kept no bytes to the application', async () => {
    const mistake = new ConfigurationError('The bytes were not kept.')
    const failing = [
      () => {
        throw mistake
      },
      () => Promise.reject(mistake),
    ]
    for (const body of failing) {
      const request = await smithy({ method: 'POST', body: '{}' })
      await expect(verifierOf().authenticate({ ...request, body })).rejects.toBe(mistake)
    }
    const broken = {
      ...(await smithy({ method: 'POST', body: '{}' })),
      body: () => Promise.reject(new Error('x')),
    }
    expect(await codeOf(verifierOf().verify(broken))).toBe('ERR_BODY_MISMATCH')
  })
})

describe('sigv4 beside others', () => {
  it('S19 finds the service that a request is signed for', async () => {
    const one = { region, service, credentials, userIdHeader: 'x-one' }
    const verifier = new InboundVerifier({
      authenticators: [sigv4(one), sigv4({ ...one, service: 'other' })],
      clock,
    })
    for (const name of [service, 'other']) {
      const principal = await verifier.verify(await viaAws4fetch({ service: name }))
      expect(principal.audience).toEqual([name])
    }
    expect(await codeOf(verifier.verify(await smithy({ service: 'third' })))).toBe(
      'ERR_SCOPE_MISMATCH',
    )
    expect(() => new InboundVerifier({ authenticators: [sigv4(one), sigv4(one)] })).toThrow(
      TypeError,
    )
  })

  it('tells the caller nothing but invalid_token', async () => {
    const response = (await verifierOf().authenticate(
      await smithy({ secretAccessKey: 'other' }),
    )) as Response
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect(await response.json()).toEqual({ error: 'invalid_token' })
  })

  it.each<[object, string]>([
    [{ region: '' }, 'region'],
    [{ region: 'a/b' }, 'region'],
    [{ service: undefined }, 'service'],
    [{ credentials: {} }, 'credentials'],
    [{ hosts: 'a' }, 'hosts'],
    [{ hosts: [''] }, 'hosts'],
    [{ clockSkewMs: 900_001 }, 'clockSkewMs'],
    [{ clockSkewMs: Number.NaN }, 'clockSkewMs'],
    [{ maxExpiresMs: 604_800_001 }, 'maxExpiresMs'],
    [{ allowUnsignedPayload: 'no' }, 'allowUnsignedPayload'],
    [{ allowUnsignedContentType: 1 }, 'allowUnsignedContentType'],
    ...[
      'host',
      'content-type',
      'x-amz-date',
      'X-Amz-Security-Token',
      'x-amz-content-sha256',
      'x-other',
      'a b',
    ].map((name): [object, string] => [{ allowUnsignedHeaders: [name] }, 'allowUnsignedHeaders']),
    [{ allowUnsignedHeaders: ['x-amz-user'], userIdHeader: 'X-Amz-User' }, 'allowUnsignedHeaders'],
    [{ allowUnsignedHeaders: ['x-amz-a'], signedHeaders: ['X-Amz-A'] }, 'allowUnsignedHeaders'],
    [{ allowUnsignedHeaders: 'x-amz-a' }, 'allowUnsignedHeaders'],
    [{ pathStyle: 'S3' }, 'pathStyle'],
    [{ signedHeaders: ['a b'] }, 'signedHeaders'],
    [{ replay: false }, 'replay'],
    [{ replay: {} }, 'replay'],
    [{ accessKeyIdPattern: '.*' }, 'accessKeyIdPattern'],
    [{ maxBodyBytes: -1 }, 'maxBodyBytes'],
    [{ userIdHeader: 'a:b' }, 'userIdHeader'],
    [{ mayActForUser: true }, 'mayActForUser'],
    [{ regoin: 'x' }, 'regoin'],
  ])('takes no option %j', (options, name) => {
    expect(() => verifierOf(options as never)).toThrow(TypeError)
    expect(() => verifierOf(options as never)).toThrow(name)
  })
})
