/**
 * What verifying a signed request of 1 kB costs, as a share of what @smithy/signature-v4 takes to sign it.
 *
 *   npm run bench verify-sigv4 [rounds]
 *
 * The request is that of a client of the AWS SDK with temporary credentials, and the signer hashes by node:crypto. The
 * verifier is the whole of it: recognition, look-up, body, replay guard, Principal. Goal: at most 0.20 of the CPU; exits
 * non-zero above. Last seen on Node 20, a busy machine of two cores: 0.50 to 0.60, which misses it. The three hashes that nobody can leave
 * out take 0.12.
 */
import { SignatureV4 } from '@smithy/signature-v4'
import { InboundVerifier, type RawRequest, sigv4 } from '../src/inbound/index.js'
import { NodeSha256 } from '../test/support/aws-signers.js'
import { measure, table } from './rounds.js'

const rounds = Number(process.argv[2] ?? 24)
const goal = 0.2
const accessKeyId = 'AKIAEXAMPLEKEY000001'
const secretAccessKey = 'not-a-real-secret'
const sessionToken = 'FwoGZXIvYXdzEXAMPLE'.repeat(18) // as long as those of STS
const [region, service, host] = ['eu-west-1', 'calendar-agent', 'agent.example.com']
const body = new TextEncoder().encode('x'.repeat(1_024))
const POOL = 500

const signer = new SignatureV4({
  credentials: { accessKeyId, secretAccessKey, sessionToken },
  region,
  service,
  sha256: NodeSha256,
})
const signingDate = new Date()
const unsigned = (n: number) => ({
  method: 'POST',
  protocol: 'https:',
  hostname: host,
  path: '/runtimes/calendar/invocations',
  query: { qualifier: 'DEFAULT' },
  headers: {
    host,
    'content-type': 'application/json',
    'content-length': '1024',
    'user-agent': 'aws-sdk-js/3.1173.0 ua/2.1 os/linux lang/js md/nodejs#20.20.2',
    'amz-sdk-invocation-id': `5f0c2b1e-7f4d-4c6a-9d0e-${String(n).padStart(12, '0')}`,
    'amz-sdk-request': 'attempt=1; max=3',
  },
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
        credentials: (id) => (id === accessKeyId ? { secretAccessKey, sessionToken } : undefined),
      }),
    ],
  })
const plain = verifierOf(null)
let guarded = verifierOf(undefined)
let at = 0

const measured = await measure(
  {
    'sign, @smithy/signature-v4': async (count) => {
      for (let n = 0; n < count; n++) await signer.sign(unsigned(n) as never, { signingDate })
    },
    'verify, replay guard in memory': async (count) => {
      for (let n = 0; n < count; n++) {
        // The pool is used up: a fresh guard, since a request serves once.
        if (at === POOL) {
          at = 0
          guarded = verifierOf(undefined)
        }
        await guarded.verify(pool[at++]!)
      }
    },
    'verify, no replay guard': async (count) => {
      for (let n = 0; n < count; n++) await plain.verify(pool[n % POOL]!)
    },
  },
  { rounds },
)
console.log(`${rounds} rounds, Node ${process.version}; median CPU, ratio to signing [p10..p90]`)
console.log(table(measured))
const { ratio } = measured['verify, replay guard in memory']
console.log(`verify / sign: ${ratio.toFixed(3)}, goal: at most ${goal}`)
if (ratio > goal) process.exitCode = 1
