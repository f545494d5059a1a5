import { describe, expect, it } from 'vitest'
import { type AwsIamOptions, awsIam } from './aws-iam.js'

const base = { region: 'eu-west-1', service: 's3' }
const roleArn = 'arn:aws:iam::111122223333:role/worker'

describe('awsIam', () => {
  it.each<[Partial<AwsIamOptions>, string]>([
    [{}, 'https://s3.eu-west-1.amazonaws.com'],
    [{ region: 'cn-north-1' }, 'https://s3.cn-north-1.amazonaws.com.cn'],
    [{ origins: ['https://b.s3.eu-west-1.amazonaws.com'] }, 'https://b.s3.eu-west-1.amazonaws.com'],
    [{ origins: ['https://iam.amazonaws.com'] }, 'https://iam.amazonaws.com'],
    [{ origins: ['https://api.example.com'] }, 'https://api.example.com'],
  ])('S42 goes with %j to %s', (changes, origin) => {
    expect(awsIam({ ...base, ...changes }).origins).toEqual([origin])
  })

  it.each<[string, object]>([
    ['region', { region: 'evil.example/' }],
    ['region', { region: undefined }],
    ['service', { service: 'S3' }],
    ['service', { service: '' }],
    ['roleArn', { roleArn: 'arn:aws:sts::111122223333:assumed-role/a/b' }],
    ['policy', { policy: {} }],
    ['policy', { roleArn, policy: 'no json' }],
    ['policy', { roleArn, policy: '[]' }],
    ['policy', { roleArn, policy: { a: 'x'.repeat(2048) } }],
    ['externalId', { externalId: 'x' }],
    ['sessionName', { roleArn, sessionName: 'a b' }],
    ['sessionName', { sessionName: 'ab' }],
    ['stsEndpoint', { roleArn, stsEndpoint: 'http://sts.example' }],
    ['credentials', { credentials: 'AKID' }],
    ['AWS credentials', { credentials: { accessKeyId: 'x' } }],
    ['origins', { origins: ['https://s3.us-east-1.amazonaws.com'] }],
    ['origins', { origins: ['https://s3.us-east-1.api.aws'] }],
    ['origins', { origins: ['http://s3.eu-west-1.amazonaws.com'] }],
    ['origins', { origins: ['https://*.amazonaws.com'] }],
  ])('S42 names the option %s that is wrong: %j', (name, changes) => {
    expect(() => awsIam({ ...base, ...changes } as AwsIamOptions)).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringContaining(name) }),
    )
  })

  it('prints no secret', async () => {
    const credentials = { accessKeyId: 'A', secretAccessKey: 'CANARY', sessionToken: 'CANARY' }
    const { inspect } = await import('node:util')
    const provider = awsIam({ ...base, credentials })
    expect(
      inspect(provider, { depth: 9, showHidden: true }) + JSON.stringify(provider),
    ).not.toContain('CANARY')
  })
})
