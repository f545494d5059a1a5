import { inspect } from 'node:util'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import { startFakeSts } from '../testing/fake-sts.js'
import { type AwsCredentialsLike, redactedCredentials } from './aws-credentials.js'
import { AwsCredentialSource } from './credential-source.js'

const base = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'SECRET-CANARY' }
const roleArn = 'arn:aws:iam::111122223333:role/worker'

describe('AWS credentials', () => {
  it('print no secret, and an SDK client takes them', async () => {
    await using sts = await startFakeSts()
    const { secretAccessKey, sessionToken } = sts.caller
    const credentials = redactedCredentials({ ...sts.caller, expiration: new Date() })
    expect(credentials.secretAccessKey).toBe(secretAccessKey)
    expect(credentials.sessionToken).toBe(sessionToken)
    const holder = { credentials, list: [credentials] }
    const shown = [
      inspect(holder, { depth: 9, showHidden: true, getters: true }),
      JSON.stringify(holder),
      `${credentials}`,
      inspect({ ...credentials }),
      inspect(structuredClone({ ...credentials })),
      Object.keys(credentials).join(),
    ].join()
    expect(shown).not.toContain(secretAccessKey)
    expect(shown).not.toContain(sessionToken)
    const client = new STSClient({
      endpoint: sts.endpoint,
      region: 'us-east-1',
      credentials: redactedCredentials(sts.caller),
    })
    expect((await client.send(new GetCallerIdentityCommand({}))).Arn).toBe(sts.caller.arn)
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no key id', { secretAccessKey: 'x' }],
    ['no secret', { accessKeyId: 'x' }],
    ['an empty session token', { ...base, sessionToken: '' }],
    ['an expiration that is none', { ...base, expiration: new Date(Number.NaN) }],
  ])('are refused with %s', (_, value) => {
    expect(() => redactedCredentials(value as AwsCredentialsLike)).toThrow(TypeError)
  })

  it('S43 are renewed five minutes before they expire, once for many callers', async () => {
    const clock = fakeClock()
    let calls = 0
    const source = new AwsCredentialSource({
      region: 'eu-west-1',
      credentials: async () => {
        calls++
        return { ...base, accessKeyId: `A${calls}`, expiration: new Date(clock() + 900_000) }
      },
    })
    const get = async () => (await source.get({ sessionName: 's', clock })).accessKeyId
    expect(new Set(await Promise.all(Array.from({ length: 50 }, get)))).toEqual(new Set(['A1']))
    clock.advance(600_000)
    expect(await get()).toBe('A1')
    clock.advance(1)
    expect(await get()).toBe('A2')
    expect(calls).toBe(2)
  })

  it('S43 serve on while a renewal fails, but not in their last minute', async () => {
    const clock = fakeClock()
    let broken = false
    const source = new AwsCredentialSource({
      region: 'eu-west-1',
      credentials: async () => {
        if (broken)
          throw Object.assign(new Error('SECRET-CANARY'), { name: 'CredentialsProviderError' })
        return { ...base, expiration: new Date(clock() + 900_000) }
      },
    })
    const get = () => source.get({ sessionName: 's', clock })
    await get()
    broken = true
    clock.advance(800_000)
    expect((await get()).accessKeyId).toBe(base.accessKeyId)
    clock.advance(41_000)
    const error = (await get().catch((e: unknown) => e)) as Error
    expect(error).toMatchObject({ code: 'ERR_AWS_CREDENTIALS', reason: 'CredentialsProviderError' })
    expect(inspect(error, { depth: 9 })).not.toContain('CANARY')
  })

  it('asks a function without expiration each time', async () => {
    let calls = 0
    const credentials = async () => ({ ...base, accessKeyId: `A${++calls}` })
    const source = new AwsCredentialSource({ region: 'eu-west-1', credentials })
    await source.get({ sessionName: 's', clock: Date.now })
    expect((await source.get({ sessionName: 's', clock: Date.now })).accessKeyId).toBe('A2')
  })

  it('assume a role with a session name and a policy, one session each', async () => {
    const sts = await startFakeSts()
    onTestFinished(() => sts.close())
    const source = new AwsCredentialSource({
      region: 'eu-west-1',
      credentials: sts.caller,
      roleArn,
      externalId: 'ext-1',
      stsEndpoint: sts.endpoint,
    })
    const get = (sessionName: string, policy?: string) =>
      source.get({ sessionName, policy, clock: Date.now })
    const [a, again, b, narrow] = await Promise.all([
      get('agent-a'),
      get('agent-a'),
      get('agent-b'),
      get('agent-a', '{"Version":"2012-10-17"}'),
    ])
    expect(again).toBe(a)
    expect(await get('agent-a')).toBe(a)
    expect(new Set([a, b, narrow].map((one) => one?.accessKeyId)).size).toBe(3)
    expect(sts.requests).toHaveLength(3)
    expect(sts.requests.map((request) => request.parameters)).toContainEqual(
      expect.objectContaining({
        Action: 'AssumeRole',
        RoleArn: roleArn,
        RoleSessionName: 'agent-a',
        ExternalId: 'ext-1',
        Policy: '{"Version":"2012-10-17"}',
      }),
    )
  })

  it('say what STS refused, and nothing that it said', async () => {
    const sts = await startFakeSts()
    onTestFinished(() => sts.close())
    const source = new AwsCredentialSource({
      region: 'eu-west-1',
      credentials: { ...sts.caller, secretAccessKey: 'SECRET-CANARY' },
      roleArn,
      stsEndpoint: sts.endpoint,
    })
    const error = (await source
      .get({ sessionName: 's', clock: Date.now })
      .catch((e: unknown) => e)) as Error
    expect(error).toMatchObject({ code: 'ERR_AWS_CREDENTIALS', reason: 'SignatureDoesNotMatch' })
    expect(inspect(error, { depth: 9 })).not.toContain('CANARY')
    expect(await codeOf(Promise.reject(error))).toBe('ERR_AWS_CREDENTIALS')
  })
})
