/**
 * Functions of the application whose answer decides something. An asynchronous function where a synchronous one fits, or
 * an answer of another kind, must let nobody pass: a promise of `false` counts as true in a condition.
 */
import { describe, expect, it } from 'vitest'
import { readClock } from '../src/clock.js'
import type { Authenticator } from '../src/inbound/authenticator.js'
import { jwtBearer } from '../src/inbound/jwt-bearer.js'
import { sigv4 } from '../src/inbound/sigv4.js'
import { InboundVerifier } from '../src/inbound/verifier.js'
import { OutboundCredentialProvider } from '../src/outbound/credential-provider.js'
import { oauth2 } from '../src/providers/oauth2.js'
import { requireToken } from '../src/tools/require-token.js'
import { WorkloadIdentity } from '../src/workload/identity.js'
import { clock, region, secretAccessKey, service, smithy } from './support/aws-signers.js'
import { makeKey, signToken } from './support/issuer.js'

const key = makeKey()
const issuer = 'https://idp.example'
const claims = { iss: issuer, aud: 'agent', sub: 'ada', client_id: 'web', exp: clock() / 1000 + 60 }
const bearer = (more: object) =>
  jwtBearer({ issuer, allowedAudience: ['agent'], jwks: { keys: [key.jwk] }, ...more })
const askBearer = (more: object, its: () => unknown = clock, changes: object = {}) =>
  new InboundVerifier({ authenticators: [bearer(more)], clock: its as () => number }).verifyToken(
    signToken(key, { ...claims, ...changes }),
  )
async function askSigned(more: object) {
  const authenticator = sigv4({
    region,
    service,
    credentials: () => ({ secretAccessKey }),
    mayActForUser: () => true,
    replay: null,
    ...more,
  })
  const headers = { 'x-amzn-bedrock-agentcore-runtime-user-id': 'ada' }
  const verifier = new InboundVerifier({ authenticators: [authenticator], clock })
  return verifier.verify(await smithy({ headers }))
}
async function askWrapped(authenticate: () => unknown) {
  const inner = bearer({})
  const recognise: Authenticator['recognise'] = (request) => ({
    ...inner.recognise(request),
    authenticate: authenticate as never,
  })
  const verifier = new InboundVerifier({ authenticators: [{ ...inner, recognise }], clock })
  return verifier.verifyToken(signToken(key, claims))
}
const agent = new WorkloadIdentity({ name: 'agent' })
const credentials = new OutboundCredentialProvider({
  providers: { p: oauth2({ issuer, clientId: 'c', fetch: () => Promise.reject(new Error()) }) },
})
const askTool = (more: object) => {
  const acting = agent.unverifiedUser({ issuer, subject: 'ada' })
  return requireToken({ provider: 'p', acting, credentials, ...more }, () => 1)()
}

/** What functions answer with that were meant to decide. */
const wrong: [string, () => unknown][] = [
  ['a promise of false', async () => false],
  ['a promise of true', async () => true],
  ['a promise that rejects', () => Promise.reject(new Error('x'))],
  ['a text', () => 'no'],
  ['a number', () => 1],
  ['null', () => null],
  ['an object', () => ({})],
  ['a generator', function* () {}],
  ['an async generator', async function* () {}],
]

/** The function under each name, called with a good answer: what is refused below is refused for the answer. */
it('lets callers in by good answers', async () => {
  const profile = { isClient: () => true, refuse: () => undefined }
  expect(await askBearer({ profile })).not.toHaveProperty('user')
  expect(await askBearer({ profile: { isClient: () => false } })).toHaveProperty('user')
  for (const yes of [() => true, async () => true]) {
    const claim = yes
    const { user } = await askSigned({ mayActForUser: yes, replay: { claim } })
    expect(user?.subject).toBe('ada')
  }
})

describe.each<[string, (answer: () => unknown) => Promise<unknown>, good?: string[]]>([
  ['profile.isClient', (isClient) => askBearer({ profile: { isClient } })],
  [
    'profile.isClient of a token without sub',
    (isClient) =>
      askBearer({ profile: { isClient, tokensWithoutSubject: 'client' } }, clock, {
        sub: undefined,
      }),
  ],
  ['profile.refuse', (refuse) => askBearer({ profile: { refuse } })],
  ['the clock of a verifier', (its) => askBearer({}, its, { exp: 1 }), ['a number']],
  ['any other clock', async (its) => readClock(its as () => number)(), ['a number']],
  ['mayActForUser', (mayActForUser) => askSigned({ mayActForUser }), ['a promise of true']],
  ['a replay guard', (claim) => askSigned({ replay: { claim } }), ['a promise of true']],
  ['credentials of sigv4', (given) => askSigned({ credentials: given })],
  ['an authenticator around another', askWrapped],
  ['acting of requireToken', (acting) => askTool({ acting })],
  ['credentials of requireToken', (given) => askTool({ credentials: given })],
  ['account of requireToken', (account) => askTool({ account }), ['a text']],
])('%s', (_, ask, good = []) => {
  it.each(wrong.filter(([name]) => !good.includes(name)))(
    'lets nobody pass by %s',
    async (_, answer) => {
      await expect(ask(answer)).rejects.toThrow()
    },
  )
})

it.each(['isClient', 'refuse'])(
  'a promise of profile.%s is named, and is not waited for',
  async (name) => {
    for (const answer of [async () => false, () => Promise.reject(new Error('x'))]) {
      const asked = askBearer({ profile: { [name]: answer } })
      await expect(asked).rejects.toThrow(new RegExp(`^profile\\.${name} must return .* a promise`))
    }
  },
)
