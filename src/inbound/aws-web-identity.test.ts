import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, fakeClock, makeKey, signToken } from '../../test/support/issuer.js'
import { presentedToken } from '../principal.js'
import { type AwsWebIdentityOptions, awsWebIdentity } from './aws-web-identity.js'

const account = '111122223333'
const issuer = 'https://abc123-def456.tokens.sts.global.api.aws'
const key = makeKey('ES384')
const clock = fakeClock()
const now = clock() / 1000
const namespace = 'https://sts.amazonaws.com/'
const claims = {
  iss: issuer,
  sub: `arn:aws:iam::${account}:role/team/worker`,
  aud: 'agent',
  iat: now,
  exp: now + 300,
  jti: 'x',
  [namespace]: { aws_account: account, source_region: 'us-east-1', principal_tags: { team: 'a' } },
}
const verify = (changes: object = {}, options: Partial<AwsWebIdentityOptions> = {}) => {
  const authenticators = [
    awsWebIdentity({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'], ...options }),
  ]
  const verifier = new InboundVerifier({ authenticators, clock }, () => signToken(key, claims))
  return verifier.verifyToken(signToken(key, { ...claims, ...changes }))
}

describe('awsWebIdentity', () => {
  it('gives the IAM identity, and no user', async () => {
    const principal = await verify()
    expect(principal).toMatchObject({
      method: 'jwt',
      issuer,
      subject: claims.sub,
      iam: { accountId: account, arn: claims.sub, principalArn: claims.sub },
    })
    expect(principal.user).toBeUndefined()
    expect(presentedToken(principal)).toBeDefined()
    expect(principal.claims[namespace]).toMatchObject({ principal_tags: { team: 'a' } })
  })

  it.each<[string, object, Partial<AwsWebIdentityOptions>, string]>([
    [
      'another account than that of sub',
      { [namespace]: { aws_account: '999999999999' } },
      {},
      'ERR_BAD_CLAIMS',
    ],
    ['no claims of AWS', { [namespace]: undefined }, {}, 'ERR_BAD_CLAIMS'],
    ['a sub that is no ARN', { sub: 'worker' }, {}, 'ERR_BAD_CLAIMS'],
    ['a session as sub', { sub: `arn:aws:sts::${account}:assumed-role/a/b` }, {}, 'ERR_BAD_CLAIMS'],
    ['another audience', { aud: 'other' }, {}, 'ERR_AUDIENCE_MISMATCH'],
    ['another issuer', { iss: 'https://xyz.tokens.sts.global.api.aws' }, {}, 'ERR_UNKNOWN_ISSUER'],
    [
      'another role',
      {},
      { allowedRoles: [`arn:aws:iam::${account}:role/other`] },
      'ERR_CLIENT_NOT_ALLOWED',
    ],
    ['another account', {}, { allowedAccounts: ['999999999999'] }, 'ERR_CLIENT_NOT_ALLOWED'],
  ])('S37 refuses %s', async (_, changes, options, code) => {
    expect(await codeOf(verify(changes, options))).toBe(code)
  })

  it('lets an allowed role in, whatever its path', async () => {
    const allowedRoles = [`arn:aws:iam::${account}:role/worker`]
    expect((await verify({}, { allowedRoles })).iam?.accountId).toBe(account)
  })

  it.each<[object]>([
    [{ issuer: undefined }],
    [{ allowedAudience: undefined }],
    [{ allowedRole: [] }],
  ])('names what is wrong in %j', (changes) => {
    const options = { issuer, allowedAudience: ['a'], ...changes }
    expect(() => awsWebIdentity(options as AwsWebIdentityOptions)).toThrow(TypeError)
  })
})
