import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const REGION = 'eu-west-1'
const ACCOUNT = '111122223333'

/** How the double behaves. */
export type KmsMood =
  | 'well'
  /** Answers 503. */
  | 'down'
  /** Answers 400 ThrottlingException. */
  | 'throttling'
  /** Answers 400 AccessDeniedException. */
  | 'denying'
  /** Does not answer. */
  | 'silent'
  /** Closes the connection. */
  | 'hanging-up'
  /** Answers with 31 bytes. */
  | 'short'
  /** Says that it used another key. */
  | 'another-key'

interface Answer {
  readonly status: number
  readonly body: object
}

/** AWS KMS on this machine, over HTTP as the SDK speaks it. Whatever is not just as it should be is a finding. */
export interface KmsDouble {
  readonly endpoint: string
  mood: KmsMood
  /** `GenerateDataKey` and `Decrypt` as they came. */
  readonly calls: { readonly action: string; readonly body: Record<string, unknown> }[]
  /** What was wrong with requests. */
  readonly findings: string[]
  /** Data keys that were made, in clear. */
  readonly plaintexts: Buffer[]
  close(): Promise<void>
}

/** The key ids that the double knows, each with a key of its own. */
export const kmsKeyIds = [
  '1234abcd-12ab-34cd-56ef-1234567890ab',
  'mrk-1234abcd12ab34cd56ef1234567890ab',
] as const

export const kmsArn = (keyId: string) => `arn:aws:kms:${REGION}:${ACCOUNT}:key/${keyId}`

export async function startKms(): Promise<KmsDouble> {
  const keys = new Map(kmsKeyIds.map((id) => [id as string, randomBytes(32)]))
  const findings: string[] = []
  const calls: KmsDouble['calls'] = []
  const plaintexts: Buffer[] = []
  const open = new Set<ServerResponse>()

  const expect = (fine: boolean, what: string) => {
    if (!fine) findings.push(what)
  }

  function checkHeaders(request: IncomingMessage, text: string): void {
    const { headers } = request
    expect(request.method === 'POST' && request.url === '/', `${request.method} ${request.url}`)
    expect(headers['content-type'] === 'application/x-amz-json-1.1', 'content type')
    expect(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/kms\/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$/.test(
        headers.authorization ?? '',
      ),
      `authorization: ${headers.authorization}`,
    )
    const hash = headers['x-amz-content-sha256']
    expect(
      hash === undefined || hash === createHash('sha256').update(text).digest('hex'),
      'the hash of the body',
    )
  }

  const keyOf = (keyId: unknown) => {
    const bare = String(keyId).replace(/^arn:aws:kms:eu-west-1:111122223333:key\//, '')
    const key = keys.get(bare)
    return key && { bare, key }
  }

  function contextOf(value: unknown): Buffer {
    const pairs = Object.entries((value ?? {}) as Record<string, string>)
    expect(
      pairs.length > 0 && pairs.every(([name, text]) => name !== '' && typeof text === 'string'),
      `encryption context: ${JSON.stringify(value)}`,
    )
    return Buffer.from(JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1))))
  }

  function answer(action: string, body: Record<string, unknown>): Answer {
    const found = keyOf(body.KeyId)
    if (!found) return refusal('NotFoundException')
    const context = contextOf(body.EncryptionContext)
    if (action === 'GenerateDataKey') {
      exactly(body, ['EncryptionContext', 'KeyId', 'NumberOfBytes'])
      expect(body.NumberOfBytes === 32, `NumberOfBytes: ${body.NumberOfBytes}`)
      const plain = randomBytes(32)
      plaintexts.push(Buffer.from(plain))
      return {
        status: 200,
        body: {
          CiphertextBlob: wrap(found.bare, found.key, plain, context).toString('base64'),
          KeyId: kmsArn(found.bare),
          Plaintext: plain.toString('base64'),
        },
      }
    }
    exactly(body, ['CiphertextBlob', 'EncryptionContext', 'KeyId'])
    const wrapped = Buffer.from(String(body.CiphertextBlob), 'base64')
    expect(wrapped.toString('base64') === body.CiphertextBlob, 'base64 of CiphertextBlob')
    const under = wrapped.subarray(1, 1 + (wrapped[0] ?? 0)).toString()
    if (keys.has(under) && under !== found.bare) return refusal('IncorrectKeyException')
    const plain = unwrap(found.bare, found.key, wrapped, context)
    if (!plain) return refusal('InvalidCiphertextException')
    return {
      status: 200,
      body: {
        EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
        KeyId: kmsArn(found.bare),
        Plaintext: plain.toString('base64'),
      },
    }
  }

  function exactly(body: object, names: readonly string[]): void {
    expect(Object.keys(body).sort().join() === names.join(), `members: ${Object.keys(body)}`)
  }

  function inMood(mood: KmsMood, action: string, body: Record<string, unknown>): Answer {
    if (mood === 'down') return { status: 503, body: { message: 'down' } }
    if (mood === 'throttling') return refusal('ThrottlingException')
    if (mood === 'denying') return refusal('AccessDeniedException')
    const given = answer(action, body)
    if (given.status !== 200) return given
    if (mood === 'short') {
      return {
        status: 200,
        body: { ...given.body, Plaintext: Buffer.alloc(31, 1).toString('base64') },
      }
    }
    if (mood === 'another-key') return { status: 200, body: { ...given.body, KeyId: kmsArn('0') } }
    return given
  }

  const server = createServer(async (request, response) => {
    open.add(response)
    response.on('close', () => open.delete(response))
    let text = ''
    for await (const chunk of request) text += chunk
    checkHeaders(request, text)
    const action = String(request.headers['x-amz-target']).replace(/^TrentService\./, '')
    expect(['GenerateDataKey', 'Decrypt'].includes(action), `target: ${action}`)
    const body = JSON.parse(text) as Record<string, unknown>
    calls.push({ action, body })
    if (double.mood === 'silent') return
    if (double.mood === 'hanging-up') return void response.destroy()
    const given = inMood(double.mood, action, body)
    response.writeHead(given.status, { 'content-type': 'application/x-amz-json-1.1' })
    response.end(JSON.stringify(given.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const double: KmsDouble = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mood: 'well',
    calls,
    findings,
    plaintexts,
    async close() {
      for (const response of open) response.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return double
}

function refusal(name: string): Answer {
  return { status: 400, body: { __type: name, message: 'canary: what KMS says is not kept' } }
}

/** length of key id | key id | nonce | ciphertext | tag, bound to the encryption context. */
function wrap(keyId: string, key: Buffer, plain: Buffer, context: Buffer): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(context)
  const body = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return Buffer.concat([Buffer.from([keyId.length]), Buffer.from(keyId), nonce, body])
}

function unwrap(keyId: string, key: Buffer, wrapped: Buffer, context: Buffer): Buffer | undefined {
  const head = 1 + keyId.length
  if (wrapped.length !== head + 12 + 32 + 16) return undefined
  if (wrapped[0] !== keyId.length) return undefined
  if (wrapped.subarray(1, head).toString() !== keyId) return undefined
  const options = { authTagLength: 16 }
  const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(head, head + 12), options)
  decipher.setAAD(context).setAuthTag(wrapped.subarray(-16))
  try {
    return Buffer.concat([decipher.update(wrapped.subarray(head + 12, -16)), decipher.final()])
  } catch {
    return undefined
  }
}
