import { createHash } from 'node:crypto'
import aws4 from 'aws4'
import { describe, expect, it } from 'vitest'
import { checkSignature } from '../testing/sigv4-check.js'
import { redactedCredentials } from './aws-credentials.js'
import { signRequest } from './sign-request.js'

const key = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI',
  sessionToken: 'a/b+c==',
}
const credentials = redactedCredentials(key)
const known = new Map([[key.accessKeyId, key]])
const region = 'eu-west-1'
const at = { region, service: 's3', credentials, nowMs: 1_800_000_000_000 }
const request = (url: string, changes: object = {}) => ({
  method: 'GET',
  url: new URL(url),
  headers: new Headers(),
  body: null,
  ...changes,
})

describe('signRequest', () => {
  it.each([
    'https://b.s3.eu-west-1.amazonaws.com/',
    'https://b.s3.eu-west-1.amazonaws.com/a%20b/c+d?x=1&a=%20&a=+&b',
    "https://b.s3.eu-west-1.amazonaws.com/a*b'(c)!/~x%2Fy?k=a*b'(c)!",
    'https://b.s3.eu-west-1.amazonaws.com/%E4%BD%A0?%C3%A9=%E2%82%AC&=z',
    'https://b.s3.eu-west-1.amazonaws.com:8443/a//b/?z=2&z=1&a=b=c',
    'https://b.s3.eu-west-1.amazonaws.com/?__proto__=1&constructor=2&toString&__proto__=0',
    'https://b.s3.eu-west-1.amazonaws.com/?a-b=1&a=2&a%3D=0',
  ])('S42 is what an independent verifier accepts: %s', async (url) => {
    const body = new TextEncoder().encode('hello')
    const signed = await signRequest(
      request(url, { method: 'PUT', body, headers: new Headers({ 'X-Amz-Meta-A': ' a  b ' }) }),
      at,
    )
    const headers = new Map(signed.headers)
    headers.set('host', signed.url.host)
    const target = `${signed.url.pathname}${signed.url.search}`
    const received = { method: 'PUT', target, headers, body: Buffer.from(signed.body!) }
    expect(checkSignature(received, known)).toBe(key)
    expect(checkSignature({ ...received, body: Buffer.from('hellp') }, known)).toBe(
      'SignatureDoesNotMatch',
    )
  })

  it('S42 is what aws4 makes', async () => {
    const body = '{"a":1}'
    const url = 'https://dynamodb.eu-west-1.amazonaws.com/?b=2&a=1'
    const headers = new Headers({ 'content-type': 'application/json', 'x-amz-target': 'T.Op' })
    const signed = await signRequest(request(url, { method: 'POST', body, headers }), {
      ...at,
      service: 'dynamodb',
    })
    const other = aws4.sign(
      {
        host: 'dynamodb.eu-west-1.amazonaws.com',
        service: 'dynamodb',
        region,
        method: 'POST',
        path: '/?b=2&a=1',
        body,
        headers: {
          'content-type': 'application/json',
          'x-amz-target': 'T.Op',
          'x-amz-date': signed.headers.get('x-amz-date')!,
          'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
          'content-length': undefined as unknown as string,
        },
        extraHeadersToIgnore: { 'content-length': true },
      },
      key,
    )
    expect(signed.headers.get('authorization')).toBe(
      (other.headers as Record<string, string>).Authorization,
    )
  })

  it('S42 signs the session token, the host, the type and every X-Amz header', async () => {
    const headers = new Headers({
      'content-type': 'text/plain',
      'x-amz-acl': 'private',
      'user-agent': 'x',
    })
    const signed = await signRequest(
      request('https://s3.eu-west-1.amazonaws.com/', { headers }),
      at,
    )
    expect(signed.headers.get('authorization')).toContain(
      'SignedHeaders=content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token,',
    )
    expect(signed.headers.get('x-amz-security-token')).toBe(key.sessionToken)
    expect(headers.has('authorization')).toBe(false)
  })

  it.each(['authorization', 'host', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'])(
    'S42 refuses a request that sets %s',
    async (name) => {
      const headers = new Headers({ [name]: 'x' })
      await expect(
        signRequest(request('https://s3.eu-west-1.amazonaws.com/', { headers }), at),
      ).rejects.toThrow(TypeError)
    },
  )

  it.each(['caf\u00e9', '\u0080', 'a\u00ffb'])(
    'refuses to sign a header that is not ASCII: %j',
    async (value) => {
      const url = 'https://s3.eu-west-1.amazonaws.com/'
      const make = (name: string) =>
        signRequest(request(url, { headers: new Headers({ [name]: value }) }), at)
      await expect(make('x-amz-meta-name')).rejects.toThrow(/x-amz-meta-name.*not ASCII/)
      await expect(make('content-type')).rejects.toThrow(/content-type/)
      expect((await make('x-note')).headers.get('x-note')).toBe(value) // not signed, and sent as it is
    },
  )

  it('signs forms and streams, and no more than it may hold', async () => {
    const url = 'https://x.eu-west-1.amazonaws.com/'
    const form = await signRequest(
      request(url, { method: 'POST', body: new URLSearchParams({ a: 'b c' }) }),
      at,
    )
    expect(form.headers.get('content-type')).toMatch(/^application\/x-www-form-urlencoded/)
    expect(new TextDecoder().decode(form.body!)).toBe('a=b+c')
    const chunk = new Uint8Array(1_048_576)
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(chunk) })
    await expect(signRequest(request(url, { method: 'PUT', body: endless }), at)).rejects.toThrow(
      /larger than/,
    )
    await expect(signRequest(request('https://x.eu-west-1.amazonaws.com/%FF'), at)).rejects.toThrow(
      TypeError,
    )
  })
})
