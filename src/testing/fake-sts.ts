import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HOUR_MS } from '../clock.js'
import { checkFunction, checkOptionNames } from '../option-names.js'
import { checkSignature, type KnownKey, type ReceivedRequest } from './sigv4-check.js'

/** Credentials that the fake knows, and whose they are. */
export interface FakeStsCaller extends KnownKey {
  readonly arn: string
  readonly userId: string
}

export interface FakeStsOptions {
  /** Default: one role session of account 111122223333. */
  readonly callers?: readonly FakeStsCaller[]
  /** How long assumed roles live, in milliseconds. Default: one hour. */
  readonly roleTtlMs?: number
}

/** What the fake was asked. */
export interface FakeStsRequest {
  readonly method: string
  /** The STS host that was meant. */
  readonly host: string
  readonly action: string
  readonly headers: Readonly<Record<string, string>>
  readonly parameters: Readonly<Record<string, string>>
}

export interface RunningFakeSts {
  /** Such as `http://127.0.0.1:40001`: the `endpoint` of an SDK client. */
  readonly endpoint: string
  /** The first of `callers`. */
  readonly caller: FakeStsCaller
  readonly requests: FakeStsRequest[]
  /** Takes requests for real STS hosts to the fake; for the option `fetch` of `stsIdentity()`. */
  readonly fetch: typeof globalThis.fetch
  /** Answers the next requests, instead of the fake, until it is given `undefined`. */
  misbehave(answer: ((request: FakeStsRequest) => Response | Promise<Response>) | undefined): void
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Carries the host that was meant to the loopback port. */
const HOST_HEADER = 'x-fake-sts-host'

/**
 * A stand-in for AWS STS on a free loopback port: it checks every signature, knows `GetCallerIdentity` and `AssumeRole`,
 * and can be told to misbehave. For tests and first steps only.
 */
export async function startFakeSts(options: FakeStsOptions = {}): Promise<RunningFakeSts> {
  checkOptionNames(options, 'startFakeSts()', { callers: true, roleTtlMs: true })
  const callers = options.callers ?? [defaultCaller()]
  const known = new Map(callers.map((one) => [one.accessKeyId, one]))
  const requests: FakeStsRequest[] = []
  let instead: ((request: FakeStsRequest) => Response | Promise<Response>) | undefined

  const answer = async (received: ReceivedRequest): Promise<Response> => {
    const request = describe(received)
    requests.push(request)
    if (instead) return instead(request)
    const json = received.headers.get('accept') === 'application/json'
    const key = checkSignature(received, known)
    if (typeof key === 'string') return refusal(json, 403, key)
    const caller = known.get(key.accessKeyId)!
    if (request.action === 'GetCallerIdentity') return identity(json, caller)
    if (request.action !== 'AssumeRole') return refusal(json, 400, 'InvalidAction')
    const assumed = assume(request.parameters)
    known.set(assumed.accessKeyId, assumed)
    return assumedRole(assumed, new Date(Date.now() + (options.roleTtlMs ?? HOUR_MS)))
  }

  const server = createServer((request, response) => {
    receive(request)
      .then(answer)
      .then(
        (made) => send(response, made),
        () => response.writeHead(500).end(),
      )
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    endpoint,
    caller: callers[0] ?? defaultCaller(),
    requests,
    fetch: (input, init) => {
      const url = new URL(String(input))
      const headers = new Headers(init?.headers)
      headers.set(HOST_HEADER, url.host)
      return fetch(`${endpoint}${url.pathname}${url.search}`, { ...init, headers })
    },
    misbehave: (next) => {
      checkFunction(next, 'The answer of misbehave()')
      instead = next
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function receive(request: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value))
  const host = headers.get(HOST_HEADER)
  if (host !== undefined) headers.set('host', host)
  headers.delete(HOST_HEADER)
  const { method = 'GET', url: target = '/' } = request
  return { method, target, headers, body: Buffer.concat(chunks) }
}

function describe({ method, target, headers, body }: ReceivedRequest): FakeStsRequest {
  const form = new URLSearchParams(`${target.split('?')[1] ?? ''}&${body}`)
  return {
    method,
    host: headers.get('host') ?? '',
    action: form.get('Action') ?? '',
    headers: Object.fromEntries(headers),
    parameters: Object.fromEntries(form),
  }
}

async function send(response: ServerResponse, answer: Response): Promise<void> {
  const body = Buffer.from(await answer.arrayBuffer())
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body)
}

function identity(json: boolean, { arn, userId }: FakeStsCaller): Response {
  const account = arn.split(':')[4] ?? ''
  if (json) {
    return Response.json({
      GetCallerIdentityResponse: {
        GetCallerIdentityResult: { Account: account, Arn: arn, UserId: userId },
        ResponseMetadata: { RequestId: requestId() },
      },
    })
  }
  return xml(
    'GetCallerIdentity',
    `<Arn>${arn}</Arn><UserId>${userId}</UserId><Account>${account}</Account>`,
  )
}

function assume(parameters: Readonly<Record<string, string>>): FakeStsCaller {
  const { RoleArn = '', RoleSessionName = '' } = parameters
  const [, partition, , , account, resource = ''] = RoleArn.split(':')
  const role = resource.split('/').at(-1)
  return {
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(120).toString('base64'),
    arn: `arn:${partition}:sts::${account}:assumed-role/${role}/${RoleSessionName}`,
    userId: `AROAEXAMPLEID0000:${RoleSessionName}`,
  }
}

function assumedRole(caller: FakeStsCaller, expiration: Date): Response {
  const { accessKeyId, secretAccessKey, sessionToken, arn, userId } = caller
  const credentials = `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey><SessionToken>${sessionToken}</SessionToken><Expiration>${expiration.toISOString()}</Expiration>`
  const user = `<Arn>${arn}</Arn><AssumedRoleId>${userId}</AssumedRoleId>`
  return xml(
    'AssumeRole',
    `<Credentials>${credentials}</Credentials><AssumedRoleUser>${user}</AssumedRoleUser>`,
  )
}

function refusal(json: boolean, status: number, code: string): Response {
  if (json)
    return Response.json({ Error: { Code: code, Type: 'Sender', Message: code } }, { status })
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${code}</Message></Error>`
  return text(`<ErrorResponse xmlns="${NAMESPACE}">${error}</ErrorResponse>`, status)
}

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'

function xml(action: string, result: string): Response {
  const metadata = `<ResponseMetadata><RequestId>${requestId()}</RequestId></ResponseMetadata>`
  return text(
    `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${result}</${action}Result>${metadata}</${action}Response>`,
    200,
  )
}

function text(body: string, status: number): Response {
  return new Response(body, { status, headers: { 'content-type': 'text/xml' } })
}

function requestId(): string {
  return randomBytes(8).toString('hex')
}

function defaultCaller(): FakeStsCaller {
  return {
    accessKeyId: 'ASIAEXAMPLE000000000',
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(120).toString('base64'),
    arn: 'arn:aws:sts::111122223333:assumed-role/caller-role/session-1',
    userId: 'AROAEXAMPLEID0001:session-1',
  }
}
