import { createHash, createHmac } from 'node:crypto'

/** A request as the fake STS got it. */
export interface ReceivedRequest {
  readonly method: string
  /** As on the wire. */
  readonly target: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

/** Credentials that the fake STS knows. */
export interface KnownKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/**
 * Checks a Signature Version 4 of either form, written from the documentation alone and apart from what it is used to
 * test.
 *
 * @returns The key that signed, or the code of STS for what is wrong.
 */
export function checkSignature(
  request: ReceivedRequest,
  keys: ReadonlyMap<string, KnownKey>,
): KnownKey | string {
  const [path = '/', search = ''] = request.target.split('?')
  const query = search === '' ? [] : search.split('&').map((part) => part.split('=').map(plain))
  const parameter = (name: string) => query.find(([one]) => one === name)?.[1]
  const presigned = parameter('X-Amz-Signature') !== undefined
  const header = /Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=(\S+)$/.exec(
    request.headers.get('authorization') ?? '',
  )
  const credential = presigned ? parameter('X-Amz-Credential') : header?.[1]
  const names = presigned ? parameter('X-Amz-SignedHeaders') : header?.[2]
  const signature = presigned ? parameter('X-Amz-Signature') : header?.[3]
  const date = presigned ? parameter('X-Amz-Date') : request.headers.get('x-amz-date')
  if (!credential || !names || !signature || !date) return 'MissingAuthenticationToken'
  const [accessKeyId = '', ...scope] = credential.split('/')
  const key = keys.get(accessKeyId)
  if (!key) return 'InvalidClientTokenId'
  const token = presigned
    ? parameter('X-Amz-Security-Token')
    : request.headers.get('x-amz-security-token')
  if (token !== key.sessionToken) return 'InvalidClientTokenId'
  const canonical = [
    request.method,
    path,
    query
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name = '', value = '']) => [escaped(name), escaped(value)] as const)
      .sort(([a, x], [b, y]) => order(a, b) || order(x, y))
      .map((pair) => pair.join('='))
      .join('&'),
    ...names.split(';').map((name) => {
      return `${name}:${(request.headers.get(name) ?? '').trim().replace(/ +/g, ' ')}`
    }),
    '',
    names,
    sha256(request.body),
  ].join('\n')
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')
  const signingKey = scope.reduce<string | Buffer>(hmac, `AWS4${key.secretAccessKey}`)
  return hmac(signingKey, text).toString('hex') === signature ? key : 'SignatureDoesNotMatch'
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function plain(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

function escaped(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const c = String.fromCharCode(byte)
      return /[A-Za-z0-9._~-]/.test(c) ? c : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}
