/**
 * What the same token costs when it comes again, against the cache of fast-jwt; and what the cache costs when it does not.
 *
 *   npm run bench verify-cached [rounds]
 *
 * Measured through the public API: `InboundVerifier.verifyToken()` and `.verify()` with `jwtBearer`. 200 tokens in
 * rotation, each time as a string that is new to V8, as an HTTP parser makes it. CPU time. At the end: the memory that a
 * remembered token takes, the 1.1 kB of the token itself included.
 */
import { createVerifier } from 'fast-jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { InboundVerifier, jwtBearer } from './built.js'
import { type Case, cycle, judge, measure, printCosts, printGoals } from './rounds.js'
import { audience, issuer, makeTokens } from './tokens.js'

const rounds = Number(process.argv[2] ?? 21)
const COLD_TOKENS = 2500
const WARM_TOKENS = 200

const set = makeTokens('RS256', COLD_TOKENS)
const options = { issuer, jwks: { keys: [set.jwk] }, allowedAudience: [audience] }
const bytes = set.tokens.slice(0, WARM_TOKENS).map((token) => Buffer.from(token))
const verifierWith = (cache?: false | { maxTokens: number }) =>
  new InboundVerifier({ authenticators: [jwtBearer({ ...options, cache })] })

const warm = verifierWith()
for (const token of bytes) await warm.verifyToken(token.toString('latin1'))

function repeated(name: string, use: (token: string) => unknown): Case {
  const next = cycle(bytes)
  return {
    name,
    async run(count) {
      for (let i = 0; i < count; i++) await use(next().toString('latin1'))
    },
  }
}

const fastHit = createVerifier({
  key: set.publicKey.export({ type: 'spki', format: 'pem' }) as string,
  allowedIss: issuer,
  allowedAud: audience,
  cache: WARM_TOKENS * 2,
})
const nextFast = cycle(bytes)
const keys = createLocalJWKSet({ keys: [set.jwk as never] })

/** Tokens that come once. A cache for half of them, and a new one each time they start over: no hit, ever. */
function missing(): Case {
  let verifier = verifierWith({ maxTokens: COLD_TOKENS / 2 })
  let at = 0
  return {
    name: 'miss',
    async run(count) {
      for (let i = 0; i < count; i++) {
        if (at === set.tokens.length) {
          verifier = verifierWith({ maxTokens: COLD_TOKENS / 2 })
          at = 0
        }
        await verifier.verifyToken(set.tokens[at++]!)
      }
    },
  }
}

/** The same without a cache, with as many new verifiers. */
function uncached(): Case {
  let verifier = verifierWith(false)
  let at = 0
  return {
    name: 'no cache',
    async run(count) {
      for (let i = 0; i < count; i++) {
        if (at === set.tokens.length) {
          verifier = verifierWith(false)
          at = 0
        }
        await verifier.verifyToken(set.tokens[at++]!)
      }
    },
  }
}

console.log(`Node ${process.version}, ${rounds} rounds; CPU time, RS256, ${WARM_TOKENS} tokens`)
const samples = await measure(
  [
    repeated('making the string', (token) => token),
    repeated('hit, verifyToken', (token) => warm.verifyToken(token)),
    repeated('hit, verify of a raw request', (token) =>
      warm.verify({
        method: 'GET',
        target: '/',
        headers: [
          ['host', 'api.example'],
          ['authorization', `Bearer ${token}`],
        ],
      }),
    ),
    {
      name: 'hit, fast-jwt',
      run(count) {
        for (let i = 0; i < count; i++) fastHit(nextFast().toString('latin1'))
      },
    },
    repeated('jose', (token) => jwtVerify(token, keys, { issuer, audience })),
    missing(),
    uncached(),
  ],
  { rounds },
)
printCosts(samples)
console.log('\n  ratio of CPU time (above 1: faster than the second)')
printGoals(samples, [
  { of: 'hit, verifyToken', against: 'hit, fast-jwt', atLeast: 6 },
  { of: 'hit, verifyToken', against: 'jose', atLeast: 150 },
  { of: 'miss', against: 'no cache', atLeast: 0.95 },
])

// The first tokens are for what is made once.
const holder = verifierWith()
const ONCE = 500
for (const token of set.tokens.slice(0, ONCE)) await holder.verifyToken(fresh(token))
const before = memory()
for (const token of set.tokens.slice(ONCE)) await holder.verifyToken(fresh(token))
const each = (memory() - before) / (COLD_TOKENS - ONCE)
await holder.verifyToken(set.tokens[0]!) // it is still there
console.log()
judge('memory of a remembered token, bytes', [each], 2_560, 'at most')

function fresh(token: string): string {
  return Buffer.from(token).toString('latin1')
}

function memory(): number {
  for (let times = 0; times < 4; times++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
