/**
 * What verifying a signed request of 1 kB costs, as a share of what @smithy/signature-v4 takes to sign it.
 *
 *   npm run bench verify-sigv4 [rounds]
 *
 * The signer hashes by node:crypto. The verifier is the whole of it: look-up, Principal, audit. Goal: at most a fifth of
 * the CPU.
 */
import { createHash, createHmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { InboundVerifier, type RawRequest, sigv4 } from '../src/inbound/index.js'
import { measure, printCosts, printGoals } from './rounds.js'

const rounds = Number(process.argv[2] ?? 24)
const accessKeyId = 'AKIAEXAMPLEKEY000001'
const secretAccessKey = 'not-a-real-secret'
const [region, service, host] = ['eu-west-1', 'calendar-agent', 'agent.example.com']
const body = new TextEncoder().encode('x'.repeat(1_024))
const POOL = 2_000

class NodeSha256 {
  readonly #hash
  constructor(secret?: string | Uint8Array) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret)
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

const signer = new SignatureV4({
  credentials: { accessKeyId, secretAccessKey },
  region,
  service,
  sha256: NodeSha256 as never,
})
const signingDate = new Date()
const unsigned = (n: number) => ({
  method: 'POST',
  protocol: 'https:',
  hostname: host,
  path: '/runtimes/calendar/invocations',
  query: { qualifier: 'DEFAULT' },
  headers: { host, 'content-type': 'application/json', 'amz-sdk-invocation-id': `id-${n}` },
  body,
})

const pool: RawRequest[] = []
for (let n = 0; n < POOL; n++) {
  const { headers } = (await signer.sign(unsigned(n) as never, { signingDate })) as unknown as {
    headers: Record<string, string>
  }
  pool.push({
    method: 'POST',
    target: '/runtimes/calendar/invocations?qualifier=DEFAULT',
    headers: Object.entries(headers),
    body,
  })
}

const verifierOf = (replay: null | undefined) =>
  new InboundVerifier({
    authenticators: [
      sigv4({
        region,
        service,
        hosts: [host],
        replay,
        credentials: (id) => (id === accessKeyId ? { secretAccessKey } : undefined),
      }),
    ],
  })
const plain = verifierOf(null)
let guarded = verifierOf(undefined)
let at = 0

const samples = await measure(
  [
    {
      name: 'sign, @smithy/signature-v4',
      run: async (count) => {
        for (let n = 0; n < count; n++) await signer.sign(unsigned(n) as never, { signingDate })
      },
    },
    {
      name: 'verify, replay guard in memory',
      run: async (count) => {
        for (let n = 0; n < count; n++) {
          // The pool is used up: a fresh guard, since a request serves once.
          if (at === POOL) {
            at = 0
            guarded = verifierOf(undefined)
          }
          await guarded.verify(pool[at++]!)
        }
      },
    },
    {
      name: 'verify, no replay guard',
      run: async (count) => {
        for (let n = 0; n < count; n++) await plain.verify(pool[n % POOL]!)
      },
    },
  ],
  { rounds },
)
console.log(`${rounds} rounds, Node ${process.version}; median CPU an operation`)
printCosts(samples)
printGoals(samples, [
  { of: 'verify, replay guard in memory', against: 'sign, @smithy/signature-v4', atLeast: 5 },
])
