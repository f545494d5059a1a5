import { describe, expect, it } from 'vitest'
import {
  accessKeyId,
  clock,
  headerOf,
  host,
  region,
  secretAccessKey,
  service,
  smithy,
  type Unsigned,
  verifierOf,
  withHeader,
} from '../../test/support/aws-signers.js'
import { codeOf } from '../../test/support/issuer.js'
import { InboundAuthError } from '../errors/inbound.js'
import type { RawRequest } from './authenticator.js'
import type { SigV4Options } from './sigv4-options.js'

type Change = (request: RawRequest) => RawRequest
const header =
  (name: string, value: string | undefined): Change =>
  (request) =>
    withHeader(request, name, value)
/** Adds a field without taking one away. */
const also =
  (name: string, value: string): Change =>
  (request) => ({ ...request, headers: [...request.headers, [name, value]] })
const target =
  (from: string | RegExp, to: string): Change =>
  (request) => ({ ...request, target: request.target.replace(from, to) })
const authorization =
  (from: string | RegExp, to: string): Change =>
  (request) =>
    withHeader(request, 'authorization', headerOf(request, 'authorization').replace(from, to))

const post: Unsigned = {
  method: 'POST',
  target: '/invoke/a?b=2&a=1',
  body: '{"a":1}',
  headers: { 'content-type': 'application/json', 'x-amz-meta-a': 'one' },
}

/** What becomes of a request that was signed and then changed. */
async function refusal(
  call: Unsigned,
  change: Change = (request) => request,
  options: Partial<SigV4Options> = {},
): Promise<unknown> {
  return codeOf(verifierOf(options).verify(change(await smithy(call))))
}

describe('sigv4, header form', () => {
  it.each<[string, Change, string]>([
    ['S01 another path', target('/invoke/a', '/invoke/b'), 'ERR_BAD_SIGNATURE'],
    ['S01 a path in another spelling', target('/invoke/a', '/invoke/%61'), 'ERR_BAD_SIGNATURE'],
    ['S02 a path that was decoded', target('/invoke/a', '/invoke%2Fa'), 'ERR_BAD_SIGNATURE'],
    ['S02 a prefix taken away', target('/invoke/a', '/a'), 'ERR_BAD_SIGNATURE'],
    ['S03 another value', target('a=1', 'a=2'), 'ERR_BAD_SIGNATURE'],
    ['S03 a parameter more', target('a=1', 'a=1&c=3'), 'ERR_BAD_SIGNATURE'],
    ['S03 a parameter twice', target('a=1', 'a=1&a=1'), 'ERR_BAD_SIGNATURE'],
    ['S03 a parameter without a name', target('a=1', 'a=1&=x'), 'ERR_BAD_SIGNATURE'],
    ['S03 a malformed %', target('a=1', 'a=%zz'), 'ERR_MALFORMED_SIGNATURE'],
    ['S03 a lone %', target('/a?', '/%?'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S04 a parameter twice in two spellings',
      target('a=1', 'a=1&X-Amz-Date=1&x-amz-date=2'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S04 one of them encoded',
      target('a=1', 'a=1&X-Amz-Foo=1&%58-amz-foo=2'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 a signature in the query as well',
      target('a=1', 'a=1&X-Amz-Signature=00'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 the same in lower case',
      target('a=1', 'a=1&x-amz-credential=eve'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 the same, encoded',
      target('a=1', 'a=1&%58-Amz-Algorithm=x'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 a date in the query',
      target('a=1', 'a=1&X-Amz-Date=20260101T000000Z'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 a token in the query',
      target('a=1', 'a=1&X-Amz-Security-Token=t'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S06 two Authorization headers',
      also('Authorization', 'Bearer x'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S06 the same twice',
      (r) => also('AUTHORIZATION', headerOf(r, 'authorization'))(r),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S06 a second algorithm behind a comma',
      authorization(/$/, ', AWS4-HMAC-SHA256 Credential=x'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    [
      'S06 the algorithm in lower case',
      authorization('AWS4-HMAC-SHA256', 'aws4-hmac-sha256'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    ['S06 a field more', authorization(/$/, ', Extra=1'), 'ERR_MALFORMED_SIGNATURE'],
    ['S06 no commas', authorization(/,/g, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['S06 a comma without a space', authorization(', ', ','), 'ERR_MALFORMED_SIGNATURE'],
    ['S06 two spaces', authorization(' Cred', '  Cred'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S06 another order',
      authorization(/(Credential=.*), (SignedHeaders=.*), /, '$2, $1, '),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S06 no signature', authorization(/, Signature.*/, ''), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S06 the scheme alone',
      header('authorization', 'AWS4-HMAC-SHA256'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S06 text before', authorization(/^/, 'x '), 'ERR_NO_CREDENTIALS'],
    ['S07 host is not signed', authorization('host;', ''), 'ERR_UNSIGNED_HEADER'],
    ['S08 content-type is not signed', authorization('content-type;', ''), 'ERR_UNSIGNED_HEADER'],
    ['S08 x-amz-meta is not signed', authorization(';x-amz-meta-a', ''), 'ERR_UNSIGNED_HEADER'],
    ['S08 x-amz-date is not signed', authorization(';x-amz-date', ''), 'ERR_UNSIGNED_HEADER'],
    ['S08 a new x-amz- header', also('X-Amz-Meta-B', '1'), 'ERR_UNSIGNED_HEADER'],
    [
      'S10 SignedHeaders unsorted',
      authorization('content-type;host', 'host;content-type'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S10 a name twice', authorization('host;', 'host;host;'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S10 a name in upper case',
      authorization('content-type', 'Content-Type'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    [
      'S10 empty',
      authorization(/SignedHeaders=[^,]*/, 'SignedHeaders='),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S10 an empty name', authorization('host;', 'host;;'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S10 a name that is not there',
      authorization('host;', 'host;origin;'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    [
      'S10 its own header',
      authorization('SignedHeaders=', 'SignedHeaders=authorization;'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S11 host twice', also('Host', host), 'ERR_AMBIGUOUS_CREDENTIALS'],
    ['S11 a date twice', also('x-amz-date', '20260101T000000Z'), 'ERR_MALFORMED_SIGNATURE'],
    ['S11 content-type twice', also('content-type', 'text/html'), 'ERR_AMBIGUOUS_CREDENTIALS'],
    ['S11 a value more', also('x-amz-meta-a', 'two'), 'ERR_BAD_SIGNATURE'],
    ['S12 the same with underscores', also('x_amz_meta_a', 'two'), 'ERR_UNSIGNED_HEADER'],
    [
      'S12 the user id with underscores',
      also('X_Amzn_Bedrock_AgentCore_Runtime_User_Id', 'eve'),
      'ERR_UNSIGNED_HEADER',
    ],
    ['S12 CR LF in a value', header('x-amz-meta-a', 'one\r\nx: y'), 'ERR_MALFORMED_SIGNATURE'],
    ['S12 NUL in a value', also('x-y', 'a\0b'), 'ERR_MALFORMED_SIGNATURE'],
    ['S12 a folded value', header('x-amz-meta-a', 'one\n two'), 'ERR_MALFORMED_SIGNATURE'],
    ['S12 a blank in a name', also('x-amz-meta-a ', '1'), 'ERR_MALFORMED_SIGNATURE'],
    ['S12 a control character in the target', target('a=1', 'a=1\t'), 'ERR_MALFORMED_SIGNATURE'],
    ['S13 another host', header('host', 'other.example.com'), 'ERR_HOST_MISMATCH'],
    ['S13 a port', header('host', `${host}:8443`), 'ERR_HOST_MISMATCH'],
    ['S13 a trailing dot', header('host', `${host}.`), 'ERR_HOST_MISMATCH'],
    ['S13 no host', header('host', undefined), 'ERR_MALFORMED_SIGNATURE'],
    ['S13 absolute form', target(/^/, `https://${host}`), 'ERR_MALFORMED_SIGNATURE'],
    ['S14 another body', (r) => ({ ...r, body: Buffer.from('{"a":2}') }), 'ERR_BODY_MISMATCH'],
    ['S14 no body', (r) => ({ ...r, body: undefined }), 'ERR_BODY_MISMATCH'],
    ['S14 another hash', header('x-amz-content-sha256', '0'.repeat(64)), 'ERR_BAD_SIGNATURE'],
    [
      'S14 a hash in upper case',
      header('x-amz-content-sha256', 'E'.repeat(64)),
      'ERR_BODY_MISMATCH',
    ],
    [
      'S14 UNSIGNED-PAYLOAD',
      header('x-amz-content-sha256', 'UNSIGNED-PAYLOAD'),
      'ERR_BODY_MISMATCH',
    ],
    [
      'S28 STREAMING-…',
      header('x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    [
      'S28 STREAMING-…-EVENTS',
      header('x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-EVENTS'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    [
      'S28 a signature of chunks',
      authorization('SHA256', 'SHA256-PAYLOAD'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    [
      'S15 a chunk of text in the body',
      (r) => ({ ...r, body: ['x'] as never }),
      'ERR_BODY_MISMATCH',
    ],
    ['S18 no date', header('x-amz-date', undefined), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S18 another day in the scope',
      authorization(/\/\d{8}\//, '/20200101/'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S19 another service', authorization(`/${service}/`, '/s3/'), 'ERR_SCOPE_MISMATCH'],
    ['S19 another region', authorization(`/${region}/`, '/us-east-1/'), 'ERR_SCOPE_MISMATCH'],
    [
      'S19 a region in upper case',
      authorization(`/${region}/`, '/EU-WEST-1/'),
      'ERR_SCOPE_MISMATCH',
    ],
    [
      'S19 another terminator',
      authorization('aws4_request', 'aws4_requests'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S20 a part more', authorization('Credential=', 'Credential=A/'), 'ERR_MALFORMED_SIGNATURE'],
    ['S20 a part less', authorization(`${region}/`, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['S20 a short key id', authorization(accessKeyId, 'AKIA'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S20 a key id in lower case',
      authorization(accessKeyId, accessKeyId.toLowerCase()),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S21 an unknown key', authorization(accessKeyId, 'AKIAEXAMPLEKEY000002'), 'ERR_BAD_SIGNATURE'],
    [
      'S23 a signature in upper case',
      authorization(/[0-9a-f]{64}$/, 'A'.repeat(64)),
      'ERR_MALFORMED_SIGNATURE',
    ],
    ['S23 63 digits', authorization(/.$/, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['S23 65 digits', authorization(/$/, '0'), 'ERR_MALFORMED_SIGNATURE'],
    ['S23 no digits', authorization(/[0-9a-f]{64}$/, 'g'.repeat(64)), 'ERR_MALFORMED_SIGNATURE'],
    ['S23 wide digits', authorization(/.$/, '０'), 'ERR_MALFORMED_SIGNATURE'],
    ['S23 zeros', authorization(/[0-9a-f]{64}$/, '0'.repeat(64)), 'ERR_BAD_SIGNATURE'],
    [
      'S26 SigV4A',
      authorization('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    ['S27 SigV2', header('authorization', `AWS ${accessKeyId}:c2ln`), 'ERR_UNSUPPORTED_ALGORITHM'],
    [
      'S27 SigV2 in the query',
      (r) => target('a=1', 'AWSAccessKeyId=a&Signature=b')(header('authorization', undefined)(r)),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    ['another method', (r) => ({ ...r, method: 'PUT' }), 'ERR_BAD_SIGNATURE'],
  ])('%s', async (_, change, code) => {
    expect(await refusal(post, (request) => request, { hosts: [host] })).toBeUndefined()
    expect(await refusal(post, change, { hosts: [host] })).toBe(code)
  })

  it.each([
    ['host: AGENT.example.com', withHeader, 'Host', host],
    ['a header that nobody acts on', withHeader, 'x-request-id', '1'],
    ['S13 X-Forwarded-Host', withHeader, 'x-forwarded-host', 'evil.example'],
    ['a user agent', withHeader, 'user-agent', 'x'],
  ])('accepts with %s', async (_, change, name, value) => {
    expect(await refusal(post, (r) => change(r, name, value), { hosts: [host] })).toBeUndefined()
  })

  it.each([
    [299_000, undefined],
    [300_000, undefined],
    [301_000, 'ERR_SIGNATURE_EXPIRED'],
    [1_200_000, 'ERR_SIGNATURE_EXPIRED'],
    [-299_000, undefined],
    [-300_000, undefined],
    [-301_000, 'ERR_SIGNATURE_EXPIRED'],
  ])('S16 signed %i ms from now: %s', async (offMs, code) => {
    expect(await refusal({ atMs: clock() + offMs })).toBe(code)
  })

  it.each([
    '20261301T000000Z',
    '20260231T000000Z',
    '20260101T240000Z',
    '20260101T006000Z',
    '20260101T000060Z',
    '20260101T00000Z',
    '20260101T000000',
    '2026-01-01T00:00:00Z',
    '20260101T000000z',
    '+02026101T000000Z',
    '100000101T000000Z',
    '00150101T000000Z',
    'Thu, 01 Jan 2026 00:00:00 GMT',
    '',
  ])('S18 refuses the date %j', async (date) => {
    const change: Change = (request) =>
      authorization(/\/\d{8}\//, `/${date.slice(0, 8)}/`)(withHeader(request, 'x-amz-date', date))
    expect(await refusal({}, change)).toBe('ERR_MALFORMED_SIGNATURE')
  })

  it.each(['__proto__', 'constructor', 'toString', 'AKIA\0', '', 'a'.repeat(10_000)])(
    'S22 takes the key id %j for one that nobody has',
    async (id) => {
      const seen: string[] = []
      const options = {
        accessKeyIdPattern: /.*/s,
        credentials: async (asked: string) => void (asked === accessKeyId || seen.push(asked)),
      }
      const code = await refusal({}, authorization(accessKeyId, id), options)
      expect(code).toMatch(/^ERR_(BAD|MALFORMED)_SIGNATURE$/)
      expect(new Set(seen)).toEqual(new Set(code === 'ERR_BAD_SIGNATURE' ? [id] : []))
    },
  )
})

describe('sigv4, presigned', () => {
  const url: Unsigned = { target: '/invoke?b=2', presign: true }

  it.each<[string, Change, string]>([
    ['S03 another value', target('b=2', 'b=3'), 'ERR_BAD_SIGNATURE'],
    ['S04 a credential twice', target(/$/, '&x-amz-credential=eve'), 'ERR_AMBIGUOUS_CREDENTIALS'],
    ['S04 a date twice', target(/$/, '&X-AMZ-DATE=20260101T000000Z'), 'ERR_AMBIGUOUS_CREDENTIALS'],
    [
      'S04 a signature twice',
      target(/$/, `&X-Amz-Signature=${'0'.repeat(64)}`),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S04 a token twice',
      target(/$/, '&X-Amz-Security-Token=a&X-Amz-Security-token=b'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S04 a name in lower case',
      target('X-Amz-Expires', 'x-amz-expires'),
      'ERR_MALFORMED_SIGNATURE',
    ],
    [
      'S05 an Authorization header',
      also('authorization', 'Bearer abc'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S05 x-amz-date as a header',
      also('x-amz-date', '20260101T000000Z'),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    ['S05 a token as a header', also('x-amz-security-token', 't'), 'ERR_AMBIGUOUS_CREDENTIALS'],
    [
      'S05 two hashes',
      (r) => also('x-amz-content-sha256', 'a')(target(/$/, '&X-Amz-Content-Sha256=b')(r)),
      'ERR_AMBIGUOUS_CREDENTIALS',
    ],
    [
      'S07 host is not signed',
      target('SignedHeaders=host', 'SignedHeaders=origin'),
      'ERR_UNSIGNED_HEADER',
    ],
    ['S08 a new x-amz- header', also('x-amz-acl', 'public-read'), 'ERR_UNSIGNED_HEADER'],
    ['S08 a content type', also('content-type', 'text/html'), 'ERR_UNSIGNED_HEADER'],
    ['S13 another host', header('host', 'other.example.com'), 'ERR_BAD_SIGNATURE'],
    ['S14 a body', (r) => ({ ...r, body: Buffer.from('x') }), 'ERR_BAD_SIGNATURE'],
    ['S17 no expiry', target(/&?X-Amz-Expires=\d+/, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['S17 another expiry', target('Expires=300', 'Expires=600'), 'ERR_BAD_SIGNATURE'],
    ...['0', '-1', '+300', '1e3', '300.0', '0300', 'x', '', '9999999', '%2B300', '３００'].map(
      (expiry): [string, Change, string] => [
        `S17 expiry ${expiry}`,
        target('Expires=300', `Expires=${expiry}`),
        'ERR_MALFORMED_SIGNATURE',
      ],
    ),
    ['S17 expiry 604801', target('Expires=300', 'Expires=604801'), 'ERR_SIGNATURE_EXPIRED'],
    ['S18 another day', target(/%2F\d{8}%2F/, '%2F20200101%2F'), 'ERR_MALFORMED_SIGNATURE'],
    ['S19 another service', target(`%2F${service}%2F`, '%2Fs3%2F'), 'ERR_SCOPE_MISMATCH'],
    ['S20 a part more', target('Credential=', 'Credential=a%2F'), 'ERR_MALFORMED_SIGNATURE'],
    [
      'S23 upper case',
      target(/Signature=[0-9a-f]{64}/, `Signature=${'A'.repeat(64)}`),
      'ERR_MALFORMED_SIGNATURE',
    ],
    [
      'S26 SigV4A',
      target('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'),
      'ERR_UNSUPPORTED_ALGORITHM',
    ],
    ['S26 a region set', target(/$/, '&X-Amz-Region-Set=*'), 'ERR_BAD_SIGNATURE'],
    ['no algorithm', target(/X-Amz-Algorithm=[^&]*&?/, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['no signature', target(/&?X-Amz-Signature=[^&]*/, ''), 'ERR_MALFORMED_SIGNATURE'],
    ['no SignedHeaders', target(/&?X-Amz-SignedHeaders=[^&]*/, ''), 'ERR_MALFORMED_SIGNATURE'],
    [
      'a credential that is no UTF-8',
      target('Credential=', 'Credential=%FF'),
      'ERR_MALFORMED_SIGNATURE',
    ],
  ])('%s', async (_, change, code) => {
    expect(await refusal(url)).toBeUndefined()
    expect(await refusal(url, change)).toBe(code)
  })

  it.each([
    [1, 900_000, undefined],
    [900, 900_000, undefined],
    [901, 900_000, 'ERR_SIGNATURE_EXPIRED'],
    [604_800, 604_800_000, undefined],
    [60, 59_000, 'ERR_SIGNATURE_EXPIRED'],
  ])(
    'S17 a life of %i s where %i ms are allowed: %s',
    async (expiresSeconds, maxExpiresMs, code) => {
      expect(await refusal({ ...url, expiresSeconds }, undefined, { maxExpiresMs })).toBe(code)
    },
  )

  it.each([
    [-300_000, undefined],
    [-301_000, 'ERR_SIGNATURE_EXPIRED'],
    [300_000, undefined],
    [301_000, 'ERR_SIGNATURE_EXPIRED'],
  ])('S16 S17 signed %i ms from now for 300 s: %s', async (offMs, code) => {
    expect(await refusal({ ...url, atMs: clock() + offMs })).toBe(code)
  })
})

describe('sigv4 and keys', () => {
  it('S21 tells an unknown key and a wrong signature in the same words', async () => {
    const errors: unknown[] = []
    for (const call of [{ accessKeyId: 'AKIAEXAMPLEKEY000002' }, { secretAccessKey: 'other' }]) {
      errors.push(
        await verifierOf()
          .verify(await smithy(call))
          .catch((error: unknown) => error),
      )
    }
    const [unknown, wrong] = errors as InboundAuthError[]
    expect(unknown).toBeInstanceOf(InboundAuthError)
    expect({ ...unknown, message: unknown?.message }).toEqual({ ...wrong, message: wrong?.message })
  })

  it('S21 works as long for an unknown key as for a wrong signature', async () => {
    const verifier = verifierOf()
    const pair = [
      await smithy({ accessKeyId: 'AKIAEXAMPLEKEY000002' }),
      await smithy({ secretAccessKey: 'other' }),
    ]
    const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (let round = 0; round < 60; round++) {
      for (const [which, request] of pair.entries()) {
        const start = performance.now()
        for (let n = 0; n < 20; n++) await codeOf(verifier.verify(request))
        best[which] = Math.min(best[which]!, performance.now() - start)
      }
    }
    expect(best[0]! / best[1]!).toBeGreaterThan(0.5)
    expect(best[0]! / best[1]!).toBeLessThan(2)
  })

  it.each<[string, string | undefined, string | undefined, string | undefined]>([
    ['as it should be', 'token', 'token', undefined],
    ['missing', 'token', undefined, 'ERR_BAD_SIGNATURE'],
    ['wrong', 'token', 'other', 'ERR_BAD_SIGNATURE'],
    ['of a key that has none', undefined, 'token', 'ERR_BAD_SIGNATURE'],
  ])('S24 a session token %s', async (_, expected, sent, code) => {
    const options = {
      credentials: async () => ({
        secretAccessKey,
        ...(expected ? { sessionToken: expected } : {}),
      }),
    }
    for (const presign of [false, true]) {
      const call = { presign, ...(sent ? { sessionToken: sent } : {}) }
      expect(await refusal(call, undefined, options)).toBe(code)
    }
  })

  it('S24 a session token that is stripped, or not signed', async () => {
    const options = { credentials: async () => ({ secretAccessKey, sessionToken: 'token' }) }
    const call = { sessionToken: 'token' }
    const strip = header('x-amz-security-token', undefined)
    expect(await refusal(call, strip, options)).toBe('ERR_MALFORMED_SIGNATURE')
    expect(await refusal({}, also('x-amz-security-token', 'token'), options)).toBe(
      'ERR_UNSIGNED_HEADER',
    )
    expect(
      await refusal({ presign: true }, target(/$/, '&X-Amz-Security-Token=token'), options),
    ).toBe('ERR_BAD_SIGNATURE')
  })

  it('takes a new secret for a key at once', async () => {
    let secret = secretAccessKey
    const verifier = verifierOf({ credentials: async () => ({ secretAccessKey: secret }) })
    expect(await codeOf(verifier.verify(await smithy({ target: '/1' })))).toBeUndefined()
    secret = 'rotated'
    expect(await codeOf(verifier.verify(await smithy({ target: '/2' })))).toBe('ERR_BAD_SIGNATURE')
    const rotated = await smithy({ target: '/3', secretAccessKey: 'rotated' })
    expect(await codeOf(verifier.verify(rotated))).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['throws', () => Promise.reject(new Error('canary'))],
    [
      'throws at once',
      () => {
        throw new Error('canary')
      },
    ],
    ['gives no secret', async () => ({})],
    ['gives an empty secret', async () => ({ secretAccessKey: '' })],
    ['gives a number', async () => 7],
    ['gives a wrong token', async () => ({ secretAccessKey, sessionToken: 7 })],
    [
      'gives a principal that is none',
      async () => ({ secretAccessKey, principal: { arn: 'canary' } }),
    ],
  ])('answers 503 when credentials() %s', async (_, credentials) => {
    const error: unknown = await verifierOf({ credentials: credentials as never })
      .verify(await smithy())
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'ERR_KEYS_UNAVAILABLE', status: 503, retryable: true })
    expect(JSON.stringify([error, (error as Error).message, (error as Error).cause])).not.toContain(
      'canary',
    )
  })
})

describe('sigv4 and bodies', () => {
  const parts = [Buffer.alloc(40_000, 1), Buffer.alloc(60_000, 2)]
  const whole = Buffer.concat(parts)
  async function* stream() {
    yield* parts
  }

  it.each<[string, RawRequest['body']]>([
    ['bytes', whole],
    ['a stream', stream()],
    ['a function that gives bytes', () => whole],
    ['a function that gives a promise', async () => whole],
    ['a function that gives a stream', () => stream()],
  ])('S14 S15 hashes %s', async (_, body) => {
    const request = await smithy({ method: 'POST', body: whole })
    const other = withHeader(request, 'x', 'y')
    expect(await codeOf(verifierOf().verify({ ...request, body }))).toBeUndefined()
    expect(await codeOf(verifierOf().verify({ ...other, body: whole.subarray(1) }))).toBe(
      'ERR_BODY_MISMATCH',
    )
  })

  it('S14 reads no body before the signature proves right', async () => {
    let read = 0
    const request = await smithy({ method: 'POST', body: 'x', secretAccessKey: 'other' })
    const body = () => {
      read++
      return Buffer.from('x')
    }
    expect(await codeOf(verifierOf().verify({ ...request, body }))).toBe('ERR_BAD_SIGNATURE')
    expect(read).toBe(0)
  })

  it('S14 reads no more than maxBodyBytes', async () => {
    let read = 0
    async function* endless() {
      for (;;) {
        read += 1_000
        yield Buffer.alloc(1_000)
      }
    }
    const request = await smithy({ method: 'POST', body: whole })
    const options = { maxBodyBytes: 10_000 }
    expect(await codeOf(verifierOf(options).verify({ ...request, body: endless() }))).toBe(
      'ERR_BODY_MISMATCH',
    )
    expect(read).toBeLessThan(12_000)
    expect(await codeOf(verifierOf(options).verify(request))).toBe('ERR_BODY_MISMATCH')
  })

  it('S15 a body that breaks off', async () => {
    async function* broken() {
      yield Buffer.from('x')
      throw new Error('canary')
    }
    const request = await smithy({ method: 'POST', body: whole })
    expect(await codeOf(verifierOf().verify({ ...request, body: broken() }))).toBe(
      'ERR_BODY_MISMATCH',
    )
  })

  it.each(['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'])(
    'S14 %s by option only',
    async (word) => {
      for (const presign of [false, true]) {
        const call = {
          method: 'PUT',
          body: 'x',
          presign,
          headers: { 'x-amz-content-sha256': word },
        }
        expect(await refusal(call)).toBe('ERR_BODY_MISMATCH')
        expect(await refusal(call, undefined, { allowUnsignedPayload: true })).toBeUndefined()
        const other: Change = (request) => ({ ...request, body: Buffer.from('y') })
        expect(await refusal(call, other, { allowUnsignedPayload: true })).toBeUndefined()
      }
    },
  )

  it('S14 the option opens nothing else', async () => {
    const other: Change = (request) => ({ ...request, body: Buffer.from('y') })
    expect(await refusal(post, other, { allowUnsignedPayload: true })).toBe('ERR_BODY_MISMATCH')
  })

  it('S08 an unsigned content type by option only', async () => {
    const change = also('content-type', 'text/html')
    expect(await refusal({}, change)).toBe('ERR_UNSIGNED_HEADER')
    expect(await refusal({}, change, { allowUnsignedContentType: true })).toBeUndefined()
  })

  it('S08 headers that the application acts on', async () => {
    const options = { signedHeaders: ['X-Tenant'] }
    expect(await refusal({}, also('x-tenant', 'a'), options)).toBe('ERR_UNSIGNED_HEADER')
    expect(await refusal({}, undefined, options)).toBeUndefined()
    expect(await refusal({ headers: { 'x-tenant': 'a' } }, undefined, options)).toBeUndefined()
    expect(await refusal({ headers: { 'x-tenant': 'a' } }, also('X-Tenant', 'b'), options)).toBe(
      'ERR_AMBIGUOUS_CREDENTIALS',
    )
  })
})
