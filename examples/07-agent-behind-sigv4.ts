/**
 * An agent that AWS callers reach: they sign with SigV4, as for any service of AWS, and may name the user they act for.
 *
 *   npm run example 07-agent-behind-sigv4
 *
 * Needs no account and no network, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { SignatureV4 } from '@smithy/signature-v4'
import { WorkloadIdentity } from 'deputize'
import { InboundVerifier, sigv4 } from 'deputize/inbound'
import { nodeHandler, rawRequest } from 'deputize/node'
import { listen, stop } from './api-server.js'

// 1. The keys that this service knows, and whose they are. In production: a table, or a secrets manager, with a cache.
const keys = new Map([
  [
    'AKIAEXAMPLEPORTAL001',
    {
      secretAccessKey: 'the-secret-of-the-portal',
      principal: { arn: 'arn:aws:iam::111122223333:role/portal' },
    },
  ],
])

// 2. Say what they sign for. A signature for another region or service is none for this one.
const verifier = new InboundVerifier({
  authenticators: [
    sigv4({
      region: 'eu-west-1',
      service: 'calendar-agent',
      credentials: async (accessKeyId) => keys.get(accessKeyId),
      mayActForUser: (principal, userId) =>
        principal.iam?.accountId === '111122223333' && userId.startsWith('portal-'),
    }),
  ],
  audit: (event) => console.log(`  audit: ${event.type}`, 'code' in event ? event.code : ''),
})
const agent = new WorkloadIdentity({ name: 'calendar-agent' })

// 3. Ask it first, with the request as it stood on the wire.
const app = createServer(
  nodeHandler(async (_, message) => {
    const caller = await verifier.authenticate(rawRequest(message))
    if (caller instanceof Response) return caller
    const acting = agent.actFor(caller)
    return Response.json({ caller: caller.subject, user: acting.user?.subject ?? null })
  }),
)
const origin = new URL(await listen(app))

// 4. A caller, with the signer of the AWS SDK.
class Sha256 {
  readonly #hash
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac(
            'sha256',
            typeof secret === 'string' ? secret : Buffer.from(secret as Uint8Array),
          )
  }
  update(data: Uint8Array) {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset() {}
}

interface Call {
  readonly secret?: string
  readonly service?: string
  readonly user?: string
  readonly day?: string
}

async function signed(call: Call): Promise<Record<string, string>> {
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: 'AKIAEXAMPLEPORTAL001',
      secretAccessKey: call.secret ?? 'the-secret-of-the-portal',
    },
    region: 'eu-west-1',
    service: call.service ?? 'calendar-agent',
    sha256: Sha256,
  })
  const { headers } = await signer.sign({
    method: 'POST',
    protocol: origin.protocol,
    hostname: origin.hostname,
    path: '/invocations',
    headers: {
      host: origin.host,
      'content-type': 'application/json',
      'amz-sdk-invocation-id': crypto.randomUUID(), // so that two equal calls in a second are two requests
      ...(call.user ? { 'X-Amzn-Bedrock-AgentCore-Runtime-User-Id': call.user } : {}),
    },
    body: JSON.stringify({ day: call.day ?? '2026-11-23' }),
  })
  return headers
}

async function send(headers: Record<string, string>, day = '2026-11-23', more = {}) {
  const response = await fetch(new URL('/invocations', origin), {
    method: 'POST',
    headers: { ...headers, ...more },
    body: JSON.stringify({ day }),
  })
  const text = await response.text()
  console.log(`  ${response.status} ${text}`)
  return { status: response.status, text }
}

console.log('the portal')
const portal = await send(await signed({}))
assert.deepEqual(JSON.parse(portal.text), {
  caller: 'arn:aws:iam::111122223333:role/portal',
  user: null,
})

console.log('the portal, for a user')
const forAna = await send(await signed({ user: 'portal-ana' }))
assert.equal(JSON.parse(forAna.text).user, 'portal-ana')

console.log('the portal, for a user that is not its own')
assert.equal((await send(await signed({ user: 'root' }))).status, 403)

console.log('a user that somebody wrote into the request on its way')
const onTheWay = { 'X-Amzn-Bedrock-AgentCore-Runtime-User-Id': 'portal-eve' }
assert.equal((await send(await signed({}), undefined, onTheWay)).status, 401)

console.log('a body that somebody changed on its way')
assert.equal((await send(await signed({}), '2027-01-01')).status, 401)

console.log('another secret')
assert.equal((await send(await signed({ secret: 'guessed' }))).status, 401)

console.log('a request for another service')
assert.equal((await send(await signed({ service: 's3' }))).status, 401)

console.log('the same request twice')
const once = await signed({})
assert.equal((await send(once)).status, 200)
assert.equal((await send(once)).status, 401)

console.log('nobody')
assert.equal((await send({})).status, 401)
await stop(app)
