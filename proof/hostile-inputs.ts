/**
 * 100,000 hostile inputs for each public entry point: no uncaught throw, no error without a type, none above 50 ms.
 *
 *   npm run proof hostile-inputs [entry point]
 *   PROOF_COUNT=small PROOF_SEED=7 npm run proof hostile-inputs
 *
 * An input that seems slow is run twice more; its fastest time counts. The seed is printed: with it the same inputs come.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  InboundVerifier,
  jwtBearer,
  OutboundCredentialProvider,
  oauth2,
  type RawRequest,
} from 'deputize'
import { isDeputizeError } from 'deputize/errors'
import { sigv4, stsIdentity, workloadToken } from 'deputize/inbound'
import { parseJws } from '../src/jwt/strict-parse.js'
import { Random } from './random.js'

/** An entry point under attack. Add to the list at the end of this file. */
interface EntryPoint {
  readonly name: string
  make(random: Random): unknown
  /** May throw, or reject with, errors of the library only. */
  run(input: never): unknown
}

const COUNT = process.env.PROOF_COUNT === 'small' ? 2_000 : 100_000
const MAX_CPU_MS = 50
const issuer = 'https://issuer.example'

const es = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwks = {
  keys: [
    { ...es.publicKey.export({ format: 'jwk' }), kid: 'es' },
    { ...ed.publicKey.export({ format: 'jwk' }), kid: 'ed' },
    { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rs' },
  ],
}
const events = { count: 0 }
const verifier = new InboundVerifier({
  authenticators: [
    jwtBearer({
      issuer,
      jwks,
      allowedAudience: ['me'],
      customClaims: [{ name: 'groups', operator: 'CONTAINS', value: 'a' }],
    }),
    jwtBearer({ issuer: `${issuer}/two`, jwks, allowedAudience: ['me'] }),
  ],
  audit: () => events.count++,
})

const b64 = (text: string | Uint8Array) => Buffer.from(text as string).toString('base64url')

/** Text that breaks things: long, deep, odd, or almost right. */
function nasty(random: Random): string {
  const length = random.pick([0, 1, 2, 31, 255, 256, 4_000, 16_383, 16_385, 140_000])
  return random.pick<() => string>([
    () => random.text(random.below(64)),
    () =>
      random
        .pick(['A', '=', '.', ' ', '\0', '\u{1f600}', '\ud800', '"', '\\', '[', '{"a":', ','])
        .repeat(length),
    () =>
      random.pick([
        '__proto__',
        'constructor',
        'null',
        'NaN',
        '1e999',
        '-0',
        '../../etc/passwd',
        '\ufeff',
        "' OR 1=1 --",
      ]),
  ])()
}

/** Something that JSON can hold, or nearly. */
function value(random: Random, depth = 0): string {
  return random.pick<() => string>([
    () => JSON.stringify(nasty(random).slice(0, 2_000)),
    () =>
      random.pick([
        '1e999',
        '-1e308',
        '1.5',
        '9007199254740993',
        'null',
        'true',
        '0',
        '-1',
        'NaN',
        '01',
      ]),
    () => (depth > 3 ? '{}' : `{${entries(random, depth + 1)}}`),
    () =>
      depth > 3
        ? '[]'
        : `[${Array.from({ length: random.below(5) }, () => value(random, depth + 1)).join(',')}]`,
    () => '['.repeat(random.below(200)) + ']'.repeat(random.below(200)),
    () => `"\\u${random.pick(['d800', '0000', 'dfff', '00e9'])}"`,
  ])()
}

function entries(random: Random, depth: number): string {
  const names = [
    'iss',
    'sub',
    'aud',
    'exp',
    'nbf',
    'iat',
    'scope',
    'scp',
    'cnf',
    'act',
    'client_id',
    'azp',
    'groups',
    'typ',
    '__proto__',
    'alg',
    'kid',
    'crit',
  ]
  return Array.from(
    { length: random.below(8) },
    () => `${JSON.stringify(random.pick(names))}:${value(random, depth)}`,
  ).join(',')
}

/** Claims that would be accepted but for what is changed in them. */
function claims(random: Random): string {
  const now = Math.floor(Date.now() / 1000)
  const sound = {
    iss: random.pick([issuer, `${issuer}/two`]),
    sub: 'u1',
    aud: 'me',
    exp: now + 600,
    groups: ['a'],
  }
  const text = JSON.stringify(sound)
  return random.pick<() => string>([
    () => text,
    () => `${text.slice(0, -1)},${entries(random, 0) || '"x":1'}}`,
    () =>
      text.replace(random.pick(['"u1"', '"me"', '["a"]', String(now + 600)]), () => value(random)),
    () => random.cut(text),
    () => value(random),
  ])()
}

function token(random: Random): string {
  const [alg, key] = random.pick<readonly [string, KeyObject]>([
    ['ES256', es.privateKey],
    ['EdDSA', ed.privateKey],
    ['ES256', es.privateKey],
    ['EdDSA', ed.privateKey],
    ['RS256', rsa.privateKey], // a tenth as fast to sign with
  ])
  const kid = random.pick(['es', 'ed', 'rs', 'es', nasty(random).slice(0, 300)])
  const sound = JSON.stringify({ alg, kid: alg.slice(0, 2).toLowerCase() })
  const head = random.pick<() => string>([
    () => sound,
    () => sound,
    () => sound,
    () =>
      JSON.stringify({
        alg: random.pick([alg, 'none', 'HS256', 'PS256', 'ES512', '']),
        kid,
        typ: nasty(random).slice(0, 40),
      }),
    () => `{${entries(random, 0)}}`,
    () => value(random),
  ])()
  const input = `${b64(head)}.${b64(claims(random))}`
  const signed = () =>
    sign(
      alg === 'EdDSA' ? null : 'sha256',
      Buffer.from(input),
      alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' as const } : key,
    )
  const signature = random.pick<() => Uint8Array>([
    () => signed(),
    () => signed(),
    () => signed(),
    () => random.bytes(random.pick([0, 1, 63, 64, 65, 72, 255, 256, 257, 4_000])),
    () => new Uint8Array(random.pick([64, 256])),
  ])()
  const whole = `${input}.${b64(signature)}`
  return random.pick<() => string>([
    () => whole,
    () => whole,
    () => whole,
    () => random.cut(whole),
    () => random.change(whole),
    () => whole + random.pick(['.', '=', ' ', '\n', '\0', `.${whole}`, ',', nasty(random)]),
    () => nasty(random),
  ])()
}

/** What JavaScript callers hand over though the types forbid it. */
const strangers: readonly unknown[] = [
  undefined,
  null,
  0,
  Number.NaN,
  true,
  Symbol('x'),
  {},
  [],
  () => 1,
  new Date(),
  new Proxy({}, {}),
  Object.create(null),
  10n,
  new Uint8Array(3),
]

function authorization(random: Random): string {
  const scheme = random.pick([
    'Bearer',
    'bearer',
    'BEARER',
    'Bearer ',
    'DPoP',
    'AWS4-HMAC-SHA256',
    'Basic',
    '',
    '\t',
    'Bearer Bearer',
  ])
  return `${scheme} ${token(random)}`
}

function raw(random: Random): unknown {
  const headers: [unknown, unknown][] = [['host', 'me.example']]
  for (let at = random.below(3); at >= 0; at--) {
    headers.push([
      random.pick([
        'authorization',
        'Authorization',
        'AUTHORIZATION',
        'cookie',
        'dpop',
        '',
        '__proto__',
      ]),
      authorization(random),
    ])
  }
  const sound = {
    method: random.pick(['GET', 'POST', '', nasty(random)]),
    target: random.pick(['/', '*', '', '//', `/?${nasty(random)}`]),
    headers,
  }
  return random.below(20) === 0
    ? random.pick([
        ...strangers,
        { ...sound, headers: random.pick([...strangers]) },
        { ...sound, headers: [random.pick([...strangers])] },
        { ...sound, headers: [['authorization', random.pick([...strangers])]] },
      ])
    : sound
}

function webRequest(random: Random): unknown {
  for (;;) {
    try {
      return new Request(`https://me.example/${encodeURIComponent(random.text(8))}`, {
        headers: { authorization: authorization(random) },
      })
    } catch {
      // The platform refuses many values itself.
    }
  }
}

const orStranger = (make: (random: Random) => unknown) => (random: Random) =>
  random.below(50) === 0 ? random.pick([...strangers]) : make(random)

/** Every other way in at once; STS is not reached. */
const everyWay = new InboundVerifier({
  resource: 'https://me.example',
  authenticators: [
    jwtBearer({ issuer, jwks, allowedAudience: ['me'], dpop: {} }),
    workloadToken({
      issuer: `${issuer}/agents`,
      jwks,
      allowedAudience: ['me'],
      allowedWorkloads: null,
    }),
    sigv4({
      region: 'eu-west-1',
      service: 'me',
      credentials: (id) => (id === AKID ? { secretAccessKey: 'secret' } : undefined),
      mayActForUser: () => true,
    }),
    stsIdentity({
      serverId: 'me.example',
      allowedAccounts: ['111122223333'],
      mayActForUser: () => true,
      fetch: async () => new Response('{"Error":{"Code":"AccessDenied"}}', { status: 403 }),
    }),
  ],
})
const AKID = 'AKIAEXAMPLEKEY000001'
const DATE = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
const SCOPE = `${DATE.slice(0, 8)}/eu-west-1/me/aws4_request`

/** A value that is right, or nearly, or not at all. */
const nearly = (random: Random, right: string): string =>
  random.pick<() => string>([
    () => right,
    () => right,
    () => right,
    () => random.change(right),
    () => random.cut(right),
    () => nasty(random).slice(0, 5_000),
  ])()

/** A request that is signed for AWS, one way or another, or claims to be. */
function awsRequest(random: Random): unknown {
  const names = random.pick(['host;x-amz-date', 'host', 'x-amz-date;host', '', 'host;;x-amz-date'])
  const credential = nearly(random, `${AKID}/${SCOPE}`)
  const signature = nearly(random, 'a'.repeat(64))
  const inHeader = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${nearly(random, names)}, Signature=${signature}`
  const query = [
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', credential],
    ['X-Amz-Date', nearly(random, DATE)],
    ['X-Amz-Expires', nearly(random, '300')],
    ['X-Amz-SignedHeaders', nearly(random, 'host')],
    ['X-Amz-Signature', signature],
  ].map(([name, value]) => `${nearly(random, name!)}=${value!.replace(/[^!-~]|[#%&]/g, escape)}`)
  const presigned = random.below(2) === 0
  const sts = `https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&${query.join('&')}`
  const identity = JSON.stringify({ host: 'sts.amazonaws.com', authorization: inHeader })
  const forSts = random.pick<() => [string, string]>([
    () => ['authorization', `Bearer deputize-aws-v1.${nearly(random, b64(sts))}`],
    () => ['x-deputize-iam-request', nearly(random, b64(nearly(random, identity)))],
  ])()
  const headers: [string, string][] = [
    ['host', nearly(random, 'me.example')],
    ['x-amz-date', nearly(random, DATE)],
    ['x-amzn-bedrock-agentcore-runtime-user-id', nearly(random, 'ana')],
    ['dpop', nearly(random, token(random))],
  ]
  if (random.below(3) === 0) headers.push(forSts)
  else if (!presigned) headers.push(['authorization', nearly(random, inHeader)])
  return {
    method: nearly(random, 'POST'),
    target: presigned ? nearly(random, `/a?${query.join('&')}`) : nearly(random, '/a%20b/../c?x=1'),
    headers: random.below(4) === 0 ? [...headers, random.pick(headers)] : headers,
    body: random.pick([undefined, new Uint8Array(3), random.bytes(200)]),
  }
}

const credentials = new OutboundCredentialProvider({
  providers: {
    api: oauth2({ issuer, clientId: 'agent', endpoints: { token: `${issuer}/token` } }),
  },
  callbackUrl: 'https://me.example/callback',
  identifyUser: () => ({ issuer, subject: 'ana' }),
})

/** Somebody who comes to the consent callback. */
function callback(random: Random): Request {
  const names = ['state', 'code', 'iss', 'error', 'error_description', '__proto__']
  const query = Array.from({ length: random.below(6) }, () => {
    const text = random.pick([b64(random.bytes(32)), nasty(random).slice(0, 3_000)])
    return `${random.pick(names)}=${encodeURIComponent(text.replace(/[\ud800-\udfff]/g, ''))}`
  })
  const path = nearly(random, 'api').replace(/[^a-z]/g, '/')
  return new Request(`https://me.example/callback/${path}?${query.join('&')}`, {
    method: random.pick(['GET', 'GET', 'GET', 'POST', 'HEAD']),
  })
}

/** Every entry point that takes what a caller sent. */
const entryPoints: readonly EntryPoint[] = [
  { name: 'parseJws', make: orStranger(token), run: (input) => parseJws(input) },
  { name: 'verifyToken', make: orStranger(token), run: (input) => verifier.verifyToken(input) },
  { name: 'verify(RawRequest)', make: raw, run: (input) => verifier.verify(input) },
  { name: 'verify(Request)', make: orStranger(webRequest), run: (input) => verifier.verify(input) },
  {
    name: 'authenticate',
    make: (random) => random.pick([raw, webRequest])(random),
    async run(input) {
      const outcome = await verifier.authenticate(input as Request | RawRequest)
      if (outcome instanceof Response && ![401, 403, 503].includes(outcome.status))
        throw new Error(`status ${outcome.status}`)
    },
  },
  { name: 'verify(signed for AWS)', make: awsRequest, run: (input) => everyWay.verify(input) },
  {
    name: 'authenticate by every way',
    make: (random) => random.pick([raw, webRequest, awsRequest])(random),
    run: (input) => everyWay.authenticate(input),
  },
  {
    name: 'handleCallback',
    make: callback,
    async run(input) {
      const { status } = await credentials.handleCallback(input)
      if (status === 200 || status >= 500) throw new Error(`status ${status}`)
    },
  },
]

/** A mistake of the programmer is a TypeError: what is neither a request nor a token in the types. */
const isTyped = (error: unknown) =>
  isDeputizeError(error) || (error instanceof TypeError && /^request must be/.test(error.message))

const seed = Number(process.env.PROOF_SEED ?? Date.now() % 2 ** 31)
console.log(`seed ${seed}, ${COUNT} inputs an entry point`)
const uncaught: unknown[] = []
process.on('uncaughtException', (error) => uncaught.push(error))
process.on('unhandledRejection', (error) => uncaught.push(error))

async function cpuMs(
  { run }: EntryPoint,
  input: unknown,
  codes: Map<string, number>,
): Promise<number> {
  const before = process.cpuUsage()
  let code = 'returned'
  try {
    await run(input as never)
  } catch (error) {
    code = isTyped(error)
      ? ((error as { code?: string }).code ?? 'TypeError')
      : `UNTYPED ${String(error)}`
  }
  const { user, system } = process.cpuUsage(before)
  codes.set(code, (codes.get(code) ?? 0) + 1)
  return (user + system) / 1000
}

let failed = false
for (const entry of entryPoints.filter(
  ({ name }) => !process.argv[2] || name.startsWith(process.argv[2]),
)) {
  const random = new Random(seed)
  const codes = new Map<string, number>()
  let slowest = 0
  for (let at = 0; at < COUNT; at++) {
    const input = entry.make(random)
    let ms = await cpuMs(entry, input, codes)
    for (let again = 0; again < 2 && ms > MAX_CPU_MS; again++)
      ms = Math.min(ms, await cpuMs(entry, input, new Map()))
    if (ms > slowest) slowest = ms
  }
  await new Promise((done) => setTimeout(done, 10)) // stray rejections surface
  const untyped = [...codes.keys()].filter((code) => code.startsWith('UNTYPED'))
  const bad = untyped.length > 0 || slowest > MAX_CPU_MS || uncaught.length > 0
  failed ||= bad
  console.log(
    `\n${bad ? 'FAIL' : 'ok  '} ${entry.name}: slowest ${slowest.toFixed(1)} ms of CPU (at most ${MAX_CPU_MS})`,
  )
  for (const [code, count] of [...codes].sort((a, b) => b[1] - a[1]))
    console.log(`       ${String(count).padStart(7)}  ${code}`)
  for (const error of uncaught.splice(0)) console.log('       uncaught', error)
}
console.log(`\naudit events: ${events.count}`)
if (failed) process.exitCode = 1
