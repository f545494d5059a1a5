import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  accessKeyId,
  clock,
  secretAccessKey,
  smithy,
  type Unsigned,
  verifierOf,
  viaAws4,
  viaAws4fetch,
  withHeader,
} from '../../test/support/aws-signers.js'
import { codeOf } from '../../test/support/issuer.js'
import type { RawRequest } from './authenticator.js'

const signers: Record<string, (call: Unsigned) => RawRequest | Promise<RawRequest>> = {
  '@smithy/signature-v4': smithy,
  aws4: viaAws4,
  aws4fetch: viaAws4fetch,
}
const sessionToken = 'FwoGZXIvYXdzEXAMPLE//+token=='

/** Targets that all three sign as AWS does. */
const targets = [
  '/',
  '/invoke',
  '/a/b/',
  '/a%20b',
  '/models:run',
  '/.well-known/..a/b../...',
  '/%2Fetc%2Fhosts',
  '/a%5Cb',
  '/%252e%252e/a',
  '/a%2Fb',
  '/a%2fb',
  '/a%2Bb',
  '/a;b/c~d',
  '/a%3Bb',
  '/%E1%88%B4/caf%C3%A9',
  '/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu-west-1%3A111122223333%3Aruntime%2Fa/invocations',
  '/?a=1&b=2',
  '/?b=2&a=1&A=3',
  '/p?a=2&a=1&a=10&a',
  '/p?a=&b',
  '/p?q=a%20b%2Bc%2Fd%3De%26f',
  '/p?%E1%88%B4=%E1%88%B4',
  '/p?x=%21%27%28%29%2A~-._',
  '/p?a-b=1&a.b=2&a_b=3&a=4&ab=5',
]

/** A segment that is `.` or `..`, however it is written, or a backslash. */
const ambiguousPaths = [
  ...['/a/./b', '/./', '/a/../b', '/..', '/.', '/a/b/..', '/../../x/', '/a/.'],
  ...['/a/%2e/b', '/a/%2E%2e/b', '/a/.%2e', '/%2e./a', '/%2e'],
  ...['/a%2F..%2fb', '/a%2f.', '/..%2Fa', '/a%5C..%5cb', '/a%5c%2e', '/a/..%5Cb'],
  ...['/a\\..\\b', '/a\\b', '/a\\'],
]

describe.each(Object.entries(signers))('sigv4 accepts what %s signs', (name, sign) => {
  it.each(targets)('S01 S03 %s', async (target) => {
    expect(await codeOf(verifierOf().verify(await sign({ target })))).toBeUndefined()
  })

  it.each(targets.filter((target) => name !== 'aws4' || !target.includes('a&')))(
    'S01 S03 %s, presigned',
    async (target) => {
      const request = await sign({ target, presign: true })
      expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
    },
  )

  it.each([
    ['JSON', 'application/json', '{"a":1}'],
    ['UTF-8', 'text/plain; charset=utf-8', 'ሴ é 🙂'],
    ['bytes', 'application/octet-stream', new Uint8Array(70_000).fill(255)],
  ])('S14 S15 a body of %s', async (_, type, body) => {
    const request = await sign({ method: 'POST', body, headers: { 'content-type': type } })
    expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
  })

  it.each([false, true])('S24 a session token (presigned: %s)', async (presign) => {
    const verifier = verifierOf({
      credentials: async () => ({ secretAccessKey, sessionToken }),
    })
    const request = await sign({ sessionToken, presign })
    expect(await codeOf(verifier.verify(request))).toBeUndefined()
  })

  it('S11 values with blanks in and around them', async () => {
    const request = await sign({ headers: { 'x-amz-meta-a': 'a   b  c', accept: 'a,  b' } })
    expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
  })

  it.each(['/a//b', '/a%20b', '/a//', '/photos/caf%C3%A9.jpg', '/a/b~c?x=1'])(
    'S01 %s in the style of S3',
    async (target) => {
      const request = await sign({ target, s3: true, service: 's3' })
      const options = { service: 's3', pathStyle: 's3', allowUnsignedPayload: true } as const
      expect(await codeOf(verifierOf(options).verify(request))).toBeUndefined()
    },
  )
})

describe('sigv4 against @smithy/signature-v4', () => {
  it.each([false, true])(
    'S01 a path that others read otherwise (presigned: %s)',
    async (presign) => {
      for (const target of ambiguousPaths) {
        for (const s3 of [false, true]) {
          const verifier = verifierOf({
            pathStyle: s3 ? 's3' : 'normal',
            allowUnsignedPayload: true,
          })
          const request = await smithy({ target, presign, s3 })
          expect([target, s3, await codeOf(verifier.verify(request))]).toEqual([
            target,
            s3,
            'ERR_AMBIGUOUS_PATH',
          ])
          // The query is no path.
          const inQuery = await smithy({ target: `/?a=${target}`, s3 })
          expect(await codeOf(verifier.verify(inQuery))).toBeUndefined()
        }
      }
    },
  )

  it.each(['//', '//a', '/a//b', '/a//'])(
    'S01 %s is a path of its own in S3 alone',
    async (target) => {
      const verifier = () => verifierOf({ pathStyle: 's3' })
      expect(await codeOf(verifier().verify(await smithy({ target, s3: true })))).toBeUndefined()
      expect(await codeOf(verifier().verify(await smithy({ target })))).toBe('ERR_BAD_SIGNATURE')
      expect(await codeOf(verifierOf().verify(await smithy({ target })))).toBe('ERR_AMBIGUOUS_PATH')
    },
  )

  it('S01 a request for one path is refused on every other that it could be folded from', async () => {
    const request = await smithy({ target: '/share/1', presign: true })
    const at = (path: string) => ({
      ...request,
      target: request.target.replace('/share/1', () => path),
    })
    for (const prefix of [
      '/admin/..',
      '/admin/x/..//..',
      '/.',
      '/',
      '/admin\\..',
      '/admin/%2E%2e',
    ]) {
      expect(await codeOf(verifierOf().verify(at(`${prefix}/share/1`)))).toBe('ERR_AMBIGUOUS_PATH')
    }
    expect(await codeOf(verifierOf().verify(at('/share/1')))).toBeUndefined()
  })

  it('S01 an encoded slash is no slash', async () => {
    const request = await smithy({ target: '/a%2Fb', s3: true })
    const verifier = () => verifierOf({ pathStyle: 's3' })
    expect(await codeOf(verifier().verify(request))).toBeUndefined()
    const other = { ...request, target: '/a/b' }
    expect(await codeOf(verifier().verify(other))).toBe('ERR_BAD_SIGNATURE')
  })

  it('S11 judges values that are not ASCII by the bytes that were sent', async () => {
    for (const value of ['caf\u00e9', ' \u2615  x ', `${'x'.repeat(30)}\u00ff`, '\ud83d\ude42']) {
      const request = await smithy({ headers: { 'x-amz-meta-a': value } })
      expect(await codeOf(verifierOf().verify(request))).toBeUndefined()
      // The characters themselves are other bytes, or none.
      const other = withHeader(request, 'x-amz-meta-a', value)
      expect(await codeOf(verifierOf().verify(other))).toMatch(/^ERR_(BAD|MALFORMED)_SIGNATURE$/)
    }
    const ascii = withHeader(await smithy(), 'x-unsigned', '\u2615')
    expect(await codeOf(verifierOf().verify(ascii))).toBeUndefined()
  })

  it('S01 S03 S11 S14 any request', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom('.', '..', '', '+', '~', ';', '%', 'a b', '%2F', 'ሴ', '*', "'", '@:,!$&()='),
    )
    // A %-escape in the value is escaped once more, as a client does that has the text "%2F" to send.
    const encode = (text: string) => encodeURIComponent(text.toWellFormed())
    const path = fc
      .array(piece, { maxLength: 5 })
      .map((pieces) => `/${pieces.map((one) => (/^\.+$/.test(one) ? one : encode(one))).join('/')}`)
    const query = fc
      .array(fc.tuple(piece, piece), { maxLength: 5 })
      .map((pairs) => pairs.map(([n, v]) => `${encode(n)}=${encode(v)}`).join('&'))
    const text = fc.string({ unit: fc.constantFrom(...'ab \t,;="é~'), maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        path,
        query,
        fc.dictionary(fc.stringMatching(/^x-[a-z0-9-]{1,8}$/), text, { maxKeys: 3 }),
        fc.option(fc.string({ unit: 'grapheme', maxLength: 40 }), { nil: undefined }),
        fc.boolean(),
        async (path, query, headers, body, presign) => {
          const request = await smithy({
            method: body === undefined ? 'GET' : 'POST',
            target: query ? `${path}?${query}` : path,
            headers,
            ...(body === undefined ? {} : { body }),
            presign,
          })
          const segments = decodeURIComponent(path).split(/[/\\]/)
          const isAmbiguous = segments.some((one) => /^\.\.?$/.test(one)) || path.includes('//')
          expect(await codeOf(verifierOf().verify(request))).toBe(
            isAmbiguous ? 'ERR_AMBIGUOUS_PATH' : undefined,
          )
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('sigv4 gives a principal', () => {
  it('for a key of this service', async () => {
    const principal = await verifierOf().verify(await smithy())
    expect(principal).toMatchObject({
      method: 'sigv4',
      issuer: 'urn:deputize:sigv4:eu-west-1:calendar-agent',
      subject: accessKeyId,
      scopes: [],
      audience: ['calendar-agent'],
      claims: { accessKeyId, region: 'eu-west-1', service: 'calendar-agent' },
    })
    expect(principal.iam).toBeUndefined()
    expect(principal.user).toBeUndefined()
  })

  it.each([
    ['arn:aws:iam::111122223333:user/ops/ana', 'arn:aws:iam::111122223333:user/ops/ana'],
    ['arn:aws:sts::111122223333:assumed-role/caller/s1', 'arn:aws:iam::111122223333:role/caller'],
  ])('for an IAM caller %s', async (arn, principalArn) => {
    const credentials = async () => ({ secretAccessKey, principal: { arn, userId: 'AROA:s1' } })
    const principal = await verifierOf({ credentials }).verify(await smithy({ presign: true }))
    expect(principal).toMatchObject({
      issuer: 'arn:aws:iam::111122223333:root',
      subject: principalArn,
      expiresAtMs: clock() + 300_000,
      iam: { accountId: '111122223333', arn, principalArn, userId: 'AROA:s1' },
    })
  })
})
