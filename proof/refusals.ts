/**
 * Whoever is refused stays refused: every kind of credential, every reason, at each of five moments.
 *
 *   npm run proof refusals
 *
 * The moments: first, again, after a good caller of the same verifier, with all caches warm (the good caller and the
 * refused one five times each), and after the source of keys or answers was away and came back. None may be let in. To
 * show that nothing else refuses them, the good caller of each kind must be let in at each moment.
 */
import { createHash } from 'node:crypto'
import { InboundAuthError, type Principal } from 'deputize'
import {
  awsWebIdentity,
  InboundVerifier,
  introspection,
  jwtBearer,
  type RawRequest,
  rfc9068Tokens,
  sigv4,
  stsIdentity,
  workloadToken,
} from 'deputize/inbound'
import { signCallerIdentity } from '../src/aws/sign-caller-identity.js'
import { startFakeSts } from '../src/testing/fake-sts.js'
import {
  accessKeyId,
  region,
  secretAccessKey,
  service,
  smithy,
} from '../test/support/aws-signers.js'
import { json, makeKey, OIDC_PATH, signToken, startIssuer, status } from '../test/support/issuer.js'

const ROUNDS = process.env.PROOF_COUNT === 'small' ? 1 : 20
const started = 1_800_000_000_000
let nowMs = started
const clock = () => nowMs
const seconds = () => Math.floor(nowMs / 1000)

const key = makeKey('ES256', 'k1')
const stranger = makeKey('ES256', 'k1')
const holder = makeKey('ES256', 'holder')
const server = await startIssuer([key])
const sts = await startFakeSts()
const issuer = server.origin
const resource = 'https://agent.example'
let away = false
const answers = new Map<string, object>()
const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
const { kty, crv, x, y } = holder.jwk
const jkt = digest(JSON.stringify({ crv, kty, x, y }))

server.routes.set('/introspect', async (request, response) => {
  let form = ''
  for await (const part of request) form += part
  const token = new URLSearchParams(form).get('token') ?? ''
  json(answers.get(token) ?? { active: false })(request, response)
})
const routes = new Map([
  [
    OIDC_PATH,
    json({ issuer, jwks_uri: `${issuer}/jwks`, introspection_endpoint: `${issuer}/introspect` }),
  ],
  ['/jwks', json({ keys: [key.jwk] })],
  ['/introspect', server.routes.get('/introspect')!],
])
function setAway(value: boolean): void {
  away = value
  for (const [path, answer] of routes) server.routes.set(path, value ? status(503) : answer)
  sts.misbehave(value ? () => new Response(null, { status: 503 }) : undefined)
}
setAway(false)

type Credential = string | RawRequest
type Make = () => Credential | Promise<Credential>
interface Kind {
  readonly name: string
  readonly verifier: () => InboundVerifier
  readonly good: Make
  /** By reason. The same credential is presented at every moment. */
  readonly bad: Readonly<Record<string, Make>>
}

const request = (headers: RawRequest['headers'], target = '/'): RawRequest => ({
  method: 'GET',
  target,
  headers,
})
const verifierOf = (
  ...authenticators: ConstructorParameters<typeof InboundVerifier>[0]['authenticators'][number][]
) => new InboundVerifier({ authenticators, resource, clock })

const facts = () => ({
  iss: issuer,
  sub: 'u1',
  aud: 'me',
  client_id: 'web',
  scope: 'read',
  jti: 'j',
  iat: seconds(),
  exp: seconds() + 100_000,
})
const rules = {
  allowedAudience: ['me'],
  allowedClients: ['web'],
  allowedScopes: ['read'],
  customClaims: [{ name: 'org', operator: 'EQUALS' as const, value: 'acme' }],
}
const own = { org: 'acme' }

/** What a token may be refused for, as changes of its claims. */
const wrongClaims: Record<string, object> = {
  'another audience': { aud: 'other' },
  'another client': { client_id: 'other' },
  'no scope of ours': { scope: 'write' },
  'a claim rule': { org: 'other' },
  expired: { exp: 1 },
  'not yet valid': { nbf: 9_999_999_999 },
  'no subject': { sub: ' ' },
  'bound to a key': { cnf: { jkt } },
  'bound in an unknown way': { cnf: { kid: 'x' } },
  'an ID token': { nonce: 'n' },
  'another use': { token_use: 'id' },
  'nine actors': { act: nested(9) },
}
function nested(depth: number): object {
  return depth === 0 ? { sub: 'a' } : { sub: 'a', act: nested(depth - 1) }
}

function jwts(header: object = {}, more: object = {}): Pick<Kind, 'good' | 'bad'> {
  const sign = (changes: object, by = key, head: object = {}) =>
    signToken(by, { ...facts(), ...own, ...more, ...changes }, { ...header, ...head })
  const bad: Record<string, Make> = {
    'another issuer': () => sign({ iss: 'https://other.example' }),
    'a forged signature': () => sign({}, stranger),
    'an unknown key': () => sign({}, key, { kid: 'k9' }),
    'another algorithm': () => sign({}, key, { alg: 'HS256' }),
    'another type': () => sign({}, key, { typ: 'dpop+jwt' }),
    'a changed payload': () =>
      sign({}).replace(
        /\.[^.]*\./,
        `.${Buffer.from(JSON.stringify({ ...facts(), ...own, ...more, sub: 'eve' })).toString('base64url')}.`,
      ),
    'not a token': () => 'a.b.c',
  }
  for (const [reason, changes] of Object.entries(wrongClaims)) bad[reason] = () => sign(changes)
  return { good: () => sign({}), bad }
}

const aws = {
  iss: issuer,
  sub: 'arn:aws:iam::111122223333:role/good',
  'https://sts.amazonaws.com/': { aws_account: '111122223333' },
}
const awsKey = makeKey('ES384', 'aws')
const signAws = (changes: object = {}) =>
  signToken(awsKey, { ...facts(), ...own, ...aws, ...changes })

let proofs = 0
const boundToken = (changes: object = {}) =>
  signToken(key, { ...facts(), ...own, cnf: { jkt }, ...changes })
function dpopRequest(token: string, changes: object = {}, by = holder): RawRequest {
  const jwk = { kty: by.jwk.kty, crv: by.jwk.crv, x: by.jwk.x, y: by.jwk.y }
  const proof = signToken(
    by,
    {
      jti: `p${proofs++}`,
      htm: 'GET',
      htu: `${resource}/`,
      iat: seconds(),
      ath: digest(token),
      ...changes,
    },
    { typ: 'dpop+jwt', kid: undefined, jwk },
  )
  return request([
    ['host', 'agent.example'],
    ['authorization', `DPoP ${token}`],
    ['dpop', proof],
  ])
}

const headersOf = async (more: object = {}): Promise<RawRequest> =>
  request(
    Object.entries(
      await signCallerIdentity({ serverId: 'me', credentials: sts.caller, clock, ...more }),
    ),
  )
const withHeader = async (
  change: (value: string) => string,
  made: Promise<RawRequest> | RawRequest,
  of = /authorization|iam-request/i,
) => {
  const one = await made
  return {
    ...one,
    headers: one.headers.map(
      ([name, value]) => [name, of.test(name) ? change(value) : value] as const,
    ),
  }
}
let opaque = 0
function introspected(changes: object): Make {
  return () => {
    const token = `opaque-${opaque++}`
    answers.set(token, {
      active: true,
      ...facts(),
      iss: issuer,
      token_type: 'Bearer',
      ...own,
      ...changes,
    })
    return token
  }
}
const signed = (presign: boolean): Pick<Kind, 'good' | 'bad'> => {
  const one = (call: object = {}) =>
    smithy({ presign, atMs: nowMs, target: `/${opaque++}`, ...call })
  return {
    good: () => one(),
    bad: {
      'another secret': () => one({ secretAccessKey: 'x'.repeat(40) }),
      'an unknown key': () => one({ accessKeyId: 'AKIAEXAMPLEKEY000009' }),
      'another region': () => one({ region: 'us-east-1' }),
      'another service': () => one({ service: 's3' }),
      'too old': () => one({ atMs: nowMs - 3_600_000 }),
      'another path': async () => ({
        ...(await one()),
        target: (await one({ target: '/other' })).target.replace('other', 'else'),
      }),
      'a dot segment': () => one({ target: '/a/../b' }),
    },
  }
}
const workload = { sub: 'agent-a' }
const workloadType = { typ: 'workload-access-token+jwt' }

const kinds: Kind[] = [
  {
    name: 'jwtBearer',
    verifier: () => verifierOf(jwtBearer({ issuer, ...rules, allowInsecureLoopback: true })),
    ...jwts(),
  },
  {
    name: 'rfc9068Tokens',
    verifier: () =>
      verifierOf(
        jwtBearer({ ...rfc9068Tokens({ issuer, ...rules }), allowInsecureLoopback: true } as never),
      ),
    ...jwts({ typ: 'at+jwt' }),
  },
  {
    name: 'workloadToken',
    verifier: () =>
      verifierOf(
        workloadToken({
          issuer,
          allowedAudience: ['me'],
          allowedWorkloads: ['agent-a'],
          allowInsecureLoopback: true,
        }),
      ),
    good: () => signToken(key, { ...facts(), ...workload }, workloadType),
    bad: {
      'another audience': () =>
        signToken(key, { ...facts(), ...workload, aud: 'other' }, workloadType),
      'another workload': () => signToken(key, { ...facts(), sub: 'agent-b' }, workloadType),
      expired: () => signToken(key, { ...facts(), ...workload, exp: 1 }, workloadType),
      'another type': () => signToken(key, { ...facts(), ...workload }),
      'a forged signature': () => signToken(stranger, { ...facts(), ...workload }, workloadType),
      'bound to a key': () =>
        signToken(key, { ...facts(), ...workload, cnf: { jkt } }, workloadType),
    },
  },
  {
    name: 'introspection',
    verifier: () =>
      verifierOf(
        introspection({
          issuer,
          clientId: 'me',
          clientSecret: 's',
          ...rules,
          allowInsecureLoopback: true,
        }),
      ),
    good: introspected({}),
    bad: {
      ...Object.fromEntries(
        Object.entries(wrongClaims)
          .filter(([why]) => why !== 'an ID token')
          .map(([why, changes]) => [why, introspected(changes)]),
      ),
      'another issuer': introspected({ iss: 'https://other.example' }),
      'a refresh token': introspected({ token_type: 'refresh_token' }),
      inactive: () => 'never-issued',
    },
  },
  {
    name: 'awsWebIdentity',
    verifier: () =>
      verifierOf(
        awsWebIdentity({
          issuer,
          allowedAudience: ['me'],
          allowedRoles: [aws.sub],
          jwks: { keys: [awsKey.jwk] },
          allowInsecureLoopback: true,
        }),
      ),
    good: () => signAws(),
    bad: {
      'another role': () => signAws({ sub: 'arn:aws:iam::111122223333:role/evil' }),
      'another account': () =>
        signAws({ 'https://sts.amazonaws.com/': { aws_account: '999999999999' } }),
      'no claims of AWS': () => signAws({ 'https://sts.amazonaws.com/': undefined }),
      'no ARN': () => signAws({ sub: 'x' }),
      'another audience': () => signAws({ aud: 'other' }),
      expired: () => signAws({ exp: 1 }),
    },
  },
  {
    name: 'DPoP-bound',
    verifier: () =>
      verifierOf(jwtBearer({ issuer, ...rules, dpop: {}, allowInsecureLoopback: true })),
    good: () => dpopRequest(boundToken()),
    bad: {
      'as a bearer': () => boundToken(),
      'another key': () => dpopRequest(boundToken(), {}, stranger),
      'another method': () => dpopRequest(boundToken(), { htm: 'POST' }),
      'another URL': () => dpopRequest(boundToken(), { htu: `${resource}/other` }),
      'another token': () => dpopRequest(boundToken(), { ath: digest('x') }),
      'too old a proof': () => dpopRequest(boundToken(), { iat: seconds() - 3600 }),
      'another audience': () => dpopRequest(boundToken({ aud: 'other' })),
      'no bond': () => dpopRequest(boundToken({ cnf: undefined })),
    },
  },
  ...(['header', 'presigned'] as const).map(
    (form): Kind => ({
      name: `sigv4, ${form}`,
      verifier: () =>
        verifierOf(
          sigv4({
            region,
            service,
            credentials: (id: string) => (id === accessKeyId ? { secretAccessKey } : undefined),
          } as never),
        ),
      ...signed(form === 'presigned'),
    }),
  ),
  ...(['header', 'presigned'] as const).map(
    (form): Kind => ({
      name: `stsIdentity, ${form}`,
      verifier: () =>
        verifierOf(
          stsIdentity({ serverId: 'me', allowedAccounts: ['111122223333'], fetch: sts.fetch }),
        ),
      good: () => headersOf({ form }),
      bad: {
        'another server': () => headersOf({ form, serverId: 'other' }),
        'another secret': () =>
          headersOf({ form, credentials: { ...sts.caller, secretAccessKey: 'x'.repeat(40) } }),
        'a user that is not allowed': () => headersOf({ form, userId: 'ana' }),
        'cut off': () => withHeader((value) => value.slice(0, -9), headersOf({ form })),
      },
    }),
  ),
]

const present = (verifier: InboundVerifier, credential: Credential): Promise<Principal> =>
  typeof credential === 'string' ? verifier.verifyToken(credential) : verifier.verify(credential)

let presented = 0
let accepted = 0
let lost = 0
const codes = new Map<string, number>()

for (let round = 0; round < ROUNDS; round++) {
  for (const kind of kinds) {
    for (const [reason, make] of Object.entries(kind.bad)) {
      nowMs += 1000
      const verifier = kind.verifier()
      const credential = await make()
      const refuse = async (moment: string) => {
        presented++
        try {
          await present(verifier, credential)
          accepted++
          console.log(`LET IN: ${kind.name}, ${reason}, ${moment}`)
        } catch (error) {
          if (!(error instanceof InboundAuthError)) throw error
          codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
        }
      }
      const letIn = async (moment: string) => {
        try {
          await present(verifier, await kind.good())
        } catch (error) {
          lost++
          console.log(
            `refused a good caller: ${kind.name}, ${moment}: ${(error as InboundAuthError).code} ${(error as InboundAuthError).reason}`,
          )
        }
      }
      await refuse('first')
      await refuse('again')
      await letIn('after a refusal')
      await refuse('after a good one')
      for (let time = 0; time < 5; time++) {
        await letIn('warm')
        await refuse('warm')
      }
      setAway(true)
      await refuse('while the source is away')
      setAway(false)
      nowMs += 61_000 // past what is kept, and past the wait after a failure
      await letIn('after the source came back')
      await refuse('after the source came back')
    }
  }
}
await sts.close()
await server[Symbol.asyncDispose]()

const reasons = kinds.reduce((sum, { bad }) => sum + Object.keys(bad).length, 0)
for (const [code, count] of [...codes].sort((a, b) => b[1] - a[1]))
  console.log(String(count).padStart(8), code)
console.log(
  `\n${kinds.length} kinds of credential, ${reasons} reasons to refuse, ${presented} presentations (${ROUNDS} rounds)`,
)
console.log(`let in: ${accepted} (at most 0); good callers refused: ${lost} (at most 0)`)
if (accepted > 0 || lost > 0 || away) process.exitCode = 1
