import { OutboundCredentialProvider, WorkloadIdentity } from 'deputize'
import { signCallerIdentity } from 'deputize/aws'
import { awsIam } from 'deputize/providers'
import { describe, expect, it, vi } from 'vitest'

const notFound = vi.hoisted(() => () => {
  throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
})
vi.mock('@smithy/signature-v4', notFound)
vi.mock('@aws-sdk/credential-providers', notFound)

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const install = (name: string) => ({
  code: 'ERR_CONFIGURATION',
  message: expect.stringContaining(`npm install ${name}`),
})

describe('without the optional AWS packages', () => {
  it('names the signer', async () => {
    await expect(signCallerIdentity({ serverId: 's', credentials })).rejects.toMatchObject(
      install('@smithy/signature-v4'),
    )
  })

  it('names the credential chain', async () => {
    const acting = new WorkloadIdentity({ name: 'agent' }).actAsSelf()
    const outbound = new OutboundCredentialProvider({
      providers: { s3: awsIam({ region: 'eu-west-1', service: 's3' }) },
    })
    await expect(outbound.getAwsCredentials(acting, { provider: 's3' })).rejects.toMatchObject(
      install('@aws-sdk/credential-providers'),
    )
  })
})
