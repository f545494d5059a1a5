/** Every two authenticators in one verifier, in both orders: each credential is judged by its own authenticator alone. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as signers from '../../test/support/aws-signers.js'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, makeKey, signToken } from '../../test/support/issuer.js'
import { signCallerIdentity } from '../aws/sign-caller-identity.js'
import { type RunningFakeSts, startFakeSts } from '../testing/fake-sts.js'
import type { Authenticator, RawRequest } from './authenticator.js'
import { awsWebIdentity } from './aws-web-identity.js'
import { introspection } from './introspection.js'
import { jwtBearer } from './jwt-bearer.js'
import { sigv4 } from './sigv4.js'
import { stsIdentity } from './sts-identity.js'
import { workloadToken } from './workload-token.js'

const { clock } = signers
const key = makeKey()
const awsKey = makeKey('ES384', 'aws')
const holder = makeKey()
const account = '111122223333'
const allowedAudience = ['agent']
const jwks = { keys: [key.jwk, awsKey.jwk] }
const nowSeconds = clock() / 1000
const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
const token = (iss: string, claims: object = {}, typ?: string, by = key) =>
  signToken(
    by,
    { iss, sub: 'someone', aud: 'agent', jti: 'j', exp: nowSeconds + 600, ...claims },
    typ === undefined ? {} : { typ },
  )
const bearer = (value: string): RawRequest => ({
  method: 'GET',
  target: '/',
  headers: [
    ['Host', 'agent.example.com'],
    ['Authorization', `Bearer ${value}`],
  ],
})

let sts: RunningFakeSts
beforeAll(async () => {
  sts = await startFakeSts()
})
afterAll(() => sts.close())

/** What introspection was asked about. */
const introspected: (string | null)[] = []

interface Kind {
  readonly make: (at: number) => Authenticator
  /** A credential for what `make` gave at that place, another one each time. */
  readonly credential: (at: number) => RawRequest | Promise<RawRequest>
}

let count = 0
const opaque = (claims: object) => ({
  make: () =>
    introspection({
      issuer: 'https://opaque.example',
      introspectionEndpoint: 'https://opaque.example/introspect',
      clientId: 'c',
      clientSecret: 's',
      allowedAudience,
      ...claims,
      fetch: async (_, init) => {
        introspected.push(new URLSearchParams(String(init?.body)).get('token'))
        return Response.json({ active: true, sub: 'someone', aud: 'agent', token_type: 'Bearer' })
      },
    }),
  credential: () => bearer(`opaque-token-${count++}`),
})
const signed = (presign: boolean): Kind => ({
  make: (at) =>
    sigv4({
      region: signers.region,
      service: `service-${at}`,
      credentials: () => ({ secretAccessKey: signers.secretAccessKey }),
    }),
  credential: (at) =>
    signers.smithy({ presign, service: `service-${at}`, target: `/?n=${count++}` }),
})
const identity = (form: 'header' | 'presigned'): Kind => ({
  make: () => stsIdentity({ serverId: 's', allowedAccounts: [account], fetch: sts.fetch }),
  credential: async () => ({
    method: 'GET',
    target: '/',
    headers: Object.entries(
      await signCallerIdentity({ serverId: 's', credentials: sts.caller, clock, form }),
    ),
  }),
})

const kinds: Record<string, Kind> = {
  jwt: {
    make: (at) => jwtBearer({ issuer: `https://jwt-${at}.example`, jwks, allowedAudience }),
    credential: (at) => bearer(token(`https://jwt-${at}.example`)),
  },
  'jwt with dpop': {
    make: (at) =>
      jwtBearer({ issuer: `https://bound-${at}.example`, jwks, allowedAudience, dpop: {} }),
    credential: (at) => {
      const { kid: _, ...jwk } = holder.jwk
      const { crv, kty, x, y } = jwk
      const jkt = digest(JSON.stringify({ crv, kty, x, y }))
      const bound = token(`https://bound-${at}.example`, { cnf: { jkt } })
      const claims = { jti: `p${count++}`, htm: 'GET', htu: 'https://agent.example.com/' }
      const proof = signToken(
        holder,
        { ...claims, iat: Math.floor(nowSeconds), ath: digest(bound) },
        { typ: 'dpop+jwt', kid: undefined, jwk },
      )
      return {
        method: 'GET',
        target: '/',
        headers: [
          ['Authorization', `DPoP ${bound}`],
          ['DPoP', proof],
        ],
      }
    },
  },
  'aws web identity': {
    make: (at) =>
      awsWebIdentity({
        issuer: `https://aws-${at}.example`,
        jwks,
        allowedAudience,
        allowedAccounts: [account],
      }),
    credential: (at) =>
      bearer(
        token(
          `https://aws-${at}.example`,
          {
            sub: `arn:aws:iam::${account}:role/app`,
            'https://sts.amazonaws.com/': { aws_account: account },
          },
          undefined,
          awsKey,
        ),
      ),
  },
  workload: {
    make: (at) =>
      workloadToken({
        issuer: `https://agents-${at}.example`,
        jwks,
        allowedAudience,
        allowedWorkloads: null,
      }),
    credential: (at) =>
      bearer(
        token(`https://agents-${at}.example`, { sub: 'agent-x' }, 'workload-access-token+jwt'),
      ),
  },
  introspection: opaque({}),
  'introspection with dpop': opaque({ dpop: {} }),
  'sts, header': identity('header'),
  'sts, presigned': identity('presigned'),
  'sigv4, header': signed(false),
  'sigv4, presigned': signed(true),
}
const names = Object.keys(kinds)
const pairs = names.flatMap((one) => names.map((two) => [one, two] as const))

describe('two authenticators of one verifier', () => {
  it.each(pairs)('%s and %s judge their own credentials', async (...pair) => {
    const both = pair.map((name) => kinds[name]!)
    const make = () =>
      new InboundVerifier({
        authenticators: both.map(({ make }, at) => make(at)),
        resource: 'https://agent.example.com',
        clock,
      })
    const [one, two] = pair.map((name) => name.split(/[ ,]/)[0])
    if (one === two && (one === 'introspection' || one === 'sts')) {
      expect(make).toThrow(new RegExp(`one ${one}`))
      return
    }
    const verifier = make()
    introspected.length = 0
    const opaqueTokens: string[] = []
    for (const [at, { credential }] of both.entries()) {
      for (let round = 0; round < 2; round++) {
        const request = await credential(at)
        const value = request.headers.find(([, text]) => text.startsWith('Bearer opaque'))?.[1]
        if (value) opaqueTokens.push(value.slice(7))
        expect([at, await codeOf(verifier.verify(request))]).toEqual([at, undefined])
      }
    }
    // Nor does the issuer of opaque tokens see what is malformed, or is for nobody.
    for (const stray of [
      'deputize-aws-v1.x',
      'deputize-aws-v1.',
      token('https://nobody.example'),
      'eyJ.e.x',
    ]) {
      expect(await codeOf(verifier.verify(bearer(stray)))).toMatch(/^ERR_/)
    }
    expect(introspected).toEqual(opaqueTokens)
  })
})
