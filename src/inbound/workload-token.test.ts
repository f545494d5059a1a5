import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, fakeClock, makeKey, signToken } from '../../test/support/issuer.js'
import { presentedToken } from '../principal.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { signingKeys } from '../workload/signing-keys.js'
import { jwtBearer } from './jwt-bearer.js'
import { type WorkloadTokenOptions, workloadToken } from './workload-token.js'

const clock = fakeClock()
const user = { issuer: 'https://idp.example', subject: 'ana' }
const issuer = 'https://agents.example'
const audience = 'https://b.example'

const agentOf = (name: string, at = issuer) =>
  new WorkloadIdentity({ name, issuer: at, keys: signingKeys(), clock })
const [a, b, c] = ['agent-a', 'agent-b', 'agent-c'].map((name) =>
  agentOf(name, `https://${name}.example`),
) as [WorkloadIdentity, WorkloadIdentity, WorkloadIdentity]

/** Accepts the tokens of `agent`, whose metadata is served without a network. */
const trusting = (agent: WorkloadIdentity, changes: Partial<WorkloadTokenOptions> = {}) =>
  new InboundVerifier({
    authenticators: [
      workloadToken({
        issuer: agent.issuer!,
        allowedAudience: [audience],
        allowedWorkloads: null,
        fetch: (input, init) => agent.handler(new Request(input as string, init)),
        ...changes,
      }),
    ],
    clock,
  })
const tokenOf = async (acting: ReturnType<WorkloadIdentity['actAsSelf']>, to = audience) =>
  (await acting.workloadAccessToken({ audience: to })).value

const key = makeKey()
const by = (claims: object, header: object = { typ: 'workload-access-token+jwt' }) => {
  const now = clock() / 1000
  const all = { iss: issuer, sub: 'agent-x', aud: audience, jti: 'j', exp: now + 60, ...claims }
  return signToken(key, all, header)
}
const fixed = (changes: Partial<WorkloadTokenOptions> = {}) =>
  new InboundVerifier(
    {
      authenticators: [
        workloadToken({
          issuer,
          jwks: { keys: [key.jwk] },
          allowedAudience: [audience],
          allowedWorkloads: ['agent-x'],
          ...changes,
        }),
      ],
      clock,
    },
    () => by({}),
  )

describe('workloadToken', () => {
  it('J61 tells the agent, its user, and how the user is known', async () => {
    const token = await tokenOf(a.unverifiedUser(user))
    const principal = await trusting(a, { allowedWorkloads: ['agent-a'] }).verifyToken(token)
    expect(principal).toMatchObject({
      method: 'workload',
      issuer: a.issuer,
      subject: 'agent-a',
      user,
      userKnown: 'asserted',
      actor: { issuer: a.issuer, subject: 'agent-a' },
      audience: [audience],
      scopes: [],
    })
    expect(presentedToken(principal)?.reveal()).toBe(token)
    expect(JSON.stringify(principal)).not.toContain(token.slice(-20))
  })

  it('J61 lets B act for the user of A, and C see both', async () => {
    const atB = await trusting(a).verifyToken(await tokenOf(a.unverifiedUser(user)))
    const acting = b.actFor(atB)
    expect(acting).toMatchObject({ user, userKnown: 'asserted', workload: { name: 'agent-b' } })
    const atC = await trusting(b).verifyToken(await tokenOf(acting))
    expect(atC).toMatchObject({ subject: 'agent-b', user, userKnown: 'asserted' })
    expect(atC.actor).toEqual({
      issuer: b.issuer,
      subject: 'agent-b',
      actor: { issuer: a.issuer, subject: 'agent-a' },
    })
    expect(c.actFor(atC).actor).toEqual(atC.actor)
    const own = await b.verifyWorkloadAccessToken(await tokenOf(acting), { audience })
    expect(own.actor).toEqual({ issuer: a.issuer, subject: 'agent-a' })
  })

  it('J61 makes no user of an agent that acts as itself', async () => {
    const principal = await trusting(a).verifyToken(await tokenOf(a.actAsSelf()))
    expect(principal.user).toBeUndefined()
    expect(b.actFor(principal)).toMatchObject({ actor: { subject: 'agent-a' } })
    expect(b.actFor(principal).user).toBeUndefined()
  })

  it.each([
    [6, undefined],
    [7, undefined],
    [8, 'ERR_BAD_CLAIMS'],
    [1000, 'ERR_TOKEN_TOO_LARGE'],
  ])('J61 with %i agents before the caller: %s', async (depth, code) => {
    let act = '{"sub":"a"}'
    for (let at = 1; at < depth; at++) act = `{"sub":"a","act":${act}}`
    const token = by(JSON.parse(`{"act":${act}}`))
    expect(await codeOf(fixed().verifyToken(token))).toBe(code)
  })

  it.each<[string, object, object | undefined, string]>([
    ['another workload', { sub: 'agent-y' }, undefined, 'ERR_CLIENT_NOT_ALLOWED'],
    [
      'a workload whose caller is allowed',
      { sub: 'agent-y', act: { sub: 'agent-x' } },
      undefined,
      'ERR_CLIENT_NOT_ALLOWED',
    ],
    ['another audience', { aud: 'https://c.example' }, undefined, 'ERR_AUDIENCE_MISMATCH'],
    ['no audience', { aud: undefined }, undefined, 'ERR_AUDIENCE_MISMATCH'],
    ['another issuer', { iss: 'https://agents.example/' }, undefined, 'ERR_UNKNOWN_ISSUER'],
    ['no exp', { exp: undefined }, undefined, 'ERR_BAD_CLAIMS'],
    ['exp gone by', { exp: 1 }, undefined, 'ERR_TOKEN_EXPIRED'],
    ['no jti', { jti: undefined }, undefined, 'ERR_BAD_CLAIMS'],
    ['a user without user_known', { user: { iss: 'i', sub: 's' } }, undefined, 'ERR_BAD_CLAIMS'],
    ['a user as a text', { user: 's', user_known: 'verified' }, undefined, 'ERR_BAD_CLAIMS'],
    [
      'user_known of another word',
      { user: { iss: 'i', sub: 's' }, user_known: 'yes' },
      undefined,
      'ERR_BAD_CLAIMS',
    ],
    ['a key that it is bound to', { cnf: { jkt: 'x' } }, undefined, 'ERR_PROOF_REQUIRED'],
    ['typ JWT', {}, { typ: 'JWT' }, 'ERR_TOKEN_TYPE'],
    ['typ at+jwt', {}, { typ: 'at+jwt' }, 'ERR_TOKEN_TYPE'],
    ['no typ', {}, {}, 'ERR_TOKEN_TYPE'],
    ['alg RS256', {}, { typ: 'workload-access-token+jwt', alg: 'RS256' }, 'ERR_ALG_NOT_ALLOWED'],
  ])('J61 J63 refuses %s', async (_, claims, header, code) => {
    expect(await codeOf(fixed().verifyToken(by(claims, header)))).toBe(code)
  })

  it('J62 limits whose users an agent may speak for', async () => {
    const limited = fixed({ allowedUserIssuers: ['https://idp.example'] })
    const of = (iss: string) => by({ user: { iss, sub: 's' }, user_known: 'verified' })
    expect(await codeOf(limited.verifyToken(of('https://idp.example')))).toBeUndefined()
    expect(await codeOf(limited.verifyToken(of('https://idp.example/')))).toBe(
      'ERR_CLIENT_NOT_ALLOWED',
    )
    expect(await codeOf(limited.verifyToken(by({})))).toBeUndefined()
  })

  it('J44 J64 passes for no access token, nor an access token for it', async () => {
    const bearer = new InboundVerifier({
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: [audience] }),
      ],
      clock,
    })
    expect(await codeOf(bearer.verifyToken(by({})))).toBe('ERR_TOKEN_TYPE')
    expect(await codeOf(fixed().verifyToken(by({}, { typ: 'at+jwt' })))).toBe('ERR_TOKEN_TYPE')
  })

  it('J63 does not take the token of one agent for that of another', async () => {
    const stranger = agentOf('agent-a', a.issuer) // the same name and issuer, another key
    const forged = await tokenOf(stranger.unverifiedUser(user))
    expect(await codeOf(trusting(a).verifyToken(forged))).toBe('ERR_UNKNOWN_KEY')
  })

  it('is told to no client as an authorization server', async () => {
    const verifier = new InboundVerifier({
      authenticators: [
        workloadToken({ issuer, allowedAudience: [audience], allowedWorkloads: null }),
      ],
      resource: audience,
    })
    const at = `${audience}/.well-known/oauth-protected-resource`
    const metadata = await verifier.metadataHandler(new Request(at)).json()
    expect(metadata).toEqual({ resource: audience, bearer_methods_supported: ['header'] })
  })

  it.each<[object, RegExp]>([
    [{ issuer: 'x' }, /issuer/],
    [{ allowedAudience: undefined }, /allowedAudience/],
    [{ allowedWorkloads: undefined }, /allowedWorkloads/],
    [{ allowedWorkloads: [] }, /allowedWorkloads/],
    [{ allowedUserIssuers: [] }, /allowedUserIssuers/],
    [{ clockToleranceMs: 300_001 }, /clockToleranceMs/],
    [{ jwks: { keys: [] } }, /jwks/],
    [{ allowedClients: ['a'] }, /no option "allowedClients"/],
  ])('refuses the options %j', (changes, message) => {
    expect(() => fixed(changes)).toThrow(TypeError)
    expect(() => fixed(changes)).toThrow(message)
  })
})
