/**
 * What verifying an access token costs that was not seen before, against raw crypto.verify and three libraries.
 *
 *   npm run bench verify-jwt [rounds]
 *
 * Measured through the public API: `InboundVerifier.verifyToken()` with `jwtBearer`, keys from options. CPU time; each
 * case goes through 2,500 tokens; `cache: false`. At the end: 256 callers at once.
 *
 * The goals for RS256 beside raw crypto.verify and fast-jwt are out of reach where the raw check takes 16 us: they leave
 * 2.8 us for all else. With the signature check taken out, a token costs 3.7 us on Node 20 to 24: JSON.parse 1.0, the
 * copy without prototypes and its freezing 0.45, base64url to text and bytes 0.35, encoding both again to see that they
 * are canonical 0.2, the signed input as bytes 0.1, the turn's clock 0.15; the rest is the claims, the principal, one
 * promise and the loop. Beside the check they cost about 1 us more: each finds the processor's caches full of the other.
 */
import { createPublicKey, type KeyObject, verify as rawVerify } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { JwtRsaVerifier } from 'aws-jwt-verify'
import { createVerifier } from 'fast-jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { InboundVerifier, jwtBearer } from './built.js'
import { type Case, cycle, judge, measure, median, printCosts, printGoals } from './rounds.js'
import { audience, issuer, makeTokens, type TokenSet } from './tokens.js'

const rounds = Number(process.argv[2] ?? 21)
const TOKENS = 2500
const AT_ONCE = 256

const verifierFor = (set: TokenSet) =>
  new InboundVerifier({
    authenticators: [
      jwtBearer({ issuer, jwks: { keys: [set.jwk] }, allowedAudience: [audience], cache: false }),
    ],
  })

function rawCase(set: TokenSet): Case {
  const parts = set.tokens.map((token) => {
    const at = token.lastIndexOf('.')
    const signature = Buffer.from(token.slice(at + 1), 'base64url')
    return { data: Buffer.from(token.slice(0, at)), signature: toRaw(set, signature) }
  })
  const next = cycle(parts)
  const hash = set.alg === 'EdDSA' ? null : 'sha256'
  return {
    name: `${set.alg} crypto.verify`,
    run(count) {
      for (let i = 0; i < count; i++) {
        const { data, signature } = next()
        if (!rawVerify(hash, data, set.publicKey, signature)) throw new Error('not verified')
      }
    },
  }
}

/** ECDSA as DER, the fastest form on every Node: made beforehand, so that it costs the raw case nothing. */
function toRaw(set: TokenSet, signature: Buffer): Buffer {
  if (set.alg !== 'ES256') return signature
  const integer = (bytes: Buffer) => {
    let from = 0
    while (from < 31 && bytes[from] === 0) from++
    const body = bytes.subarray(from)
    const number = body[0]! >= 0x80 ? Buffer.concat([Buffer.alloc(1), body]) : body
    return Buffer.concat([Buffer.from([2, number.length]), number])
  }
  const body = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))])
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

function ownCase(set: TokenSet): Case {
  const verifier = verifierFor(set)
  const next = cycle(set.tokens)
  return {
    name: `${set.alg} deputize`,
    async run(count) {
      for (let i = 0; i < count; i++) await verifier.verifyToken(next())
    },
  }
}

function joseCase(set: TokenSet): Case {
  const keys = createLocalJWKSet({ keys: [set.jwk as never] })
  const next = cycle(set.tokens)
  return {
    name: `${set.alg} jose, LocalJWKSet`,
    async run(count) {
      for (let i = 0; i < count; i++) await jwtVerify(next(), keys, { issuer, audience })
    },
  }
}

function fastCase(set: TokenSet, key: KeyObject): Case {
  const verify = createVerifier({
    key: key.export({ type: 'spki', format: 'pem' }) as string,
    algorithms: [set.alg],
    allowedIss: issuer,
    allowedAud: audience,
    cache: false,
  })
  const next = cycle(set.tokens)
  return {
    name: `${set.alg} fast-jwt`,
    run(count) {
      for (let i = 0; i < count; i++) verify(next())
    },
  }
}

function awsCase(set: TokenSet): Case {
  const verifier = JwtRsaVerifier.create({
    issuer,
    audience,
    jwksUri: 'https://issuer.example/jwks',
  })
  verifier.cacheJwks({ keys: [set.jwk as never] })
  const next = cycle(set.tokens)
  return {
    name: `${set.alg} aws-jwt-verify`,
    run(count) {
      for (let i = 0; i < count; i++) verifier.verifySync(next())
    },
  }
}

const rs = makeTokens('RS256', TOKENS)
const es = makeTokens('ES256', TOKENS)
const ed = makeTokens('EdDSA', TOKENS)
const keyOf = (set: TokenSet) => createPublicKey({ key: set.jwk as never, format: 'jwk' })

console.log(
  `Node ${process.version}, ${rounds} rounds; CPU time, through InboundVerifier.verifyToken()`,
)
const samples = await measure(
  [
    ...[rs, es, ed].flatMap((set) => [rawCase(set), ownCase(set), joseCase(set)]),
    fastCase(rs, keyOf(rs)),
    fastCase(es, keyOf(es)),
    awsCase(rs),
  ],
  { rounds },
)
printCosts(samples)
console.log('\n  ratio of CPU time (above 1: faster than the second)')
printGoals(samples, [
  { of: 'RS256 deputize', against: 'RS256 crypto.verify', atLeast: 0.85 },
  { of: 'ES256 deputize', against: 'ES256 crypto.verify', atLeast: 0.93 },
  { of: 'EdDSA deputize', against: 'EdDSA crypto.verify', atLeast: 0.94 },
  { of: 'RS256 deputize', against: 'RS256 jose, LocalJWKSet', atLeast: 2.6 },
  { of: 'RS256 deputize', against: 'RS256 fast-jwt', atLeast: 1.1 },
  { of: 'RS256 deputize', against: 'RS256 aws-jwt-verify', atLeast: 1.5 },
])

// 256 callers, each with another token as soon as it has its answer; against one caller after the other. The delay of
// a loop that does nothing shows what the machine adds.
for (const set of [rs, es]) {
  const ratios: number[] = []
  const delays: number[] = []
  const idle: number[] = []
  for (let round = 0; round < 9; round++) {
    const alone = await crowd(set, 1)
    const many = await crowd(set, AT_ONCE)
    ratios.push(many.perCpu / alone.perCpu)
    delays.push(many.delayMs)
    idle.push((await crowd(set, 0)).delayMs)
  }
  console.log(`\n  ${set.alg}, ${AT_ONCE} tokens in flight`)
  judge('throughput per CPU time, against one at a time', ratios, 0.95, 'at least')
  judge('event loop delay p99, ms', delays, 1.5, 'at most')
  console.log(`  the same of an idle loop: ${median(idle).toFixed(2)} ms`)
}

async function crowd(set: TokenSet, callers: number): Promise<{ perCpu: number; delayMs: number }> {
  const verifier = verifierFor(set)
  const next = cycle(set.tokens)
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  let done = 0
  const end = performance.now() + 300
  const before = process.cpuUsage()
  monitor.enable()
  await Promise.all([
    setTimeout(300),
    ...Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        await verifier.verifyToken(next())
        done++
      }
    }),
  ])
  monitor.disable()
  const { user, system } = process.cpuUsage(before)
  return { perCpu: done / (user + system), delayMs: Math.max(0, monitor.percentile(99) / 1e6 - 1) }
}
