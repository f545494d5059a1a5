/**
 * What verifying a signed request of 1 kB costs, as a share of what @smithy/signature-v4 takes to sign it.
 *
 *   npm run bench verify-sigv4 [rounds]
 *
 * Two requests: that of a client of the AWS SDK with temporary credentials, and the least that a signed request holds.
 * The signer hashes by node:crypto. The verifier is the whole of it: recognition, look-up, body, replay guard,
 * Principal. Goal: at most a fifth of the CPU.
 *
 * Measured, as the signer's CPU over that of the verifier (the goal is 5):
 *
 *             Node 20       Node 22   Node 24
 *   AWS SDK   4.5 to 5.3    3.6       5.4
 *   minimal   4.6 to 5.6    3.7       6.4
 *
 * Of the 4.8 us that the request of the SDK takes on Node 20 without a guard, the hashes are 2.1: body 0.7, canonical
 * request 0.7, HMAC 0.7. Around them: 0.4 to make the request what authenticators see, 0.4 to compare token and signature in
 * constant time, 0.4 to read the header, 0.3 to join the canonical request, 0.5 for the promise and its turn of the loop, and
 * 0.7 for all else: time, host, key, Principal. The guard takes 0.4 more. On Node 22, whose signer is the fastest, a fifth is
 * 3.3 us, and hashes, header and promise alone are that.
 */
import { hash } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import type { RawRequest } from '../src/inbound/index.js'
import { NodeSha256 } from '../test/support/aws-signers.js'
import { InboundVerifier, sigv4 } from './built.js'
import { type Case, type Goal, measure, printCosts, printGoals } from './rounds.js'

const rounds = Number(process.argv[2] ?? 24)
const accessKeyId = 'AKIAEXAMPLEKEY000001'
const secretAccessKey = 'not-a-real-secret'
const [region, service, host] = ['eu-west-1', 'calendar-agent', 'agent.example.com']
const POOL = 2_000
const signingDate = new Date()
const bodies = Array.from({ length: POOL }, (_, n) =>
  new TextEncoder().encode(String(n).padEnd(1_024, 'x')),
)

interface Kind {
  readonly name: string
  readonly sessionToken?: string
  readonly path: string
  readonly query: Record<string, string>
  readonly headers: (n: number) => Record<string, string>
}

const kinds: readonly Kind[] = [
  {
    name: 'AWS SDK',
    sessionToken: 'FwoGZXIvYXdzEXAMPLE'.repeat(18), // as long as those of STS
    path: '/runtimes/calendar/invocations',
    query: { qualifier: 'DEFAULT' },
    headers: (n) => ({
      host,
      'content-type': 'application/json',
      'content-length': '1024',
      'user-agent': 'aws-sdk-js/3.1173.0 ua/2.1 os/linux lang/js md/nodejs#20.20.2',
      'amz-sdk-invocation-id': `5f0c2b1e-7f4d-4c6a-9d0e-${String(n).padStart(12, '0')}`,
      'amz-sdk-request': 'attempt=1; max=3',
    }),
  },
  {
    name: 'minimal',
    path: '/invoke',
    query: {},
    headers: (n) => ({ host, 'content-type': `application/json; n=${n}` }),
  },
]

/** A copy such as a parser of HTTP makes: neither a literal nor a key of an object. */
const fresh = (text: string) => Buffer.from(text).toString('latin1')

const cases: Case[] = []
const goals: Goal[] = []
for (const { name, sessionToken, path, query, headers } of kinds) {
  const signer = new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
    region,
    service,
    sha256: NodeSha256,
    applyChecksum: sessionToken !== undefined, // without: the body is signed, and no header says its hash
  })
  const unsigned = (n: number) => ({
    method: 'POST',
    protocol: 'https:',
    hostname: host,
    path,
    query,
    headers: headers(n),
    body: bodies[n % POOL],
  })
  const sign = (n: number) => signer.sign(unsigned(n) as never, { signingDate })
  const search = new URLSearchParams(query).toString()
  const pool: RawRequest[] = []
  for (let n = 0; n < POOL; n++) {
    const signed = (await sign(n)) as unknown as { headers: Record<string, string> }
    pool.push({
      method: 'POST',
      target: fresh(search === '' ? path : `${path}?${search}`),
      headers: Object.entries(signed.headers).map(([key, value]) => [fresh(key), fresh(value)]),
      body: bodies[n]!,
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
  cases.push(
    {
      name: `${name}: sign, @smithy/signature-v4`,
      run: async (count) => {
        for (let n = 0; n < count; n++) await sign(n)
      },
    },
    {
      name: `${name}: verify`,
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
      name: `${name}: verify, no replay guard`,
      run: async (count) => {
        for (let n = 0; n < count; n++) await plain.verify(pool[n % POOL]!)
      },
    },
    hashesOf(name, pool),
  )
  goals.push({ of: `${name}: verify`, against: `${name}: sign, @smithy/signature-v4`, atLeast: 5 })
}

/**
 * What nobody can leave out, in the fastest way there is: the hash of the body, that of the canonical request, and the two
 * of the HMAC.
 */
function hashesOf(name: string, pool: readonly RawRequest[]): Case {
  const texts = pool.map(({ headers }) =>
    fresh(headers.map(([key, value]) => `${key}:${value}\n`).join('')),
  )
  const [inner, outer] = [new Uint8Array(64 + 140), new Uint8Array(96)]
  return {
    name: `${name}: the hashes alone`,
    run: (count) => {
      for (let n = 0; n < count; n++) {
        hash('sha256', pool[n % POOL]!.body as Uint8Array, 'hex')
        hash('sha256', texts[n % POOL]!, 'hex')
        hash('sha256', inner, 'binary')
        hash('sha256', outer, 'hex')
      }
    },
  }
}

const samples = await measure(cases, { rounds })
console.log(`${rounds} rounds, Node ${process.version}; median CPU an operation`)
printCosts(samples)
printGoals(samples, goals)
