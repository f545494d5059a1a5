import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { codeOf } from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { authenticatedFetch } from '../fetch/authenticated-fetch.js'
import { apiKey } from '../providers/api-key.js'
import { awsIam } from '../providers/aws-iam.js'
import { startFakeSts } from '../testing/fake-sts.js'
import { checkSignature } from '../testing/sigv4-check.js'
import { requireAwsCredentials } from '../tools/require-aws-credentials.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { OutboundCredentialProvider } from './credential-provider.js'

const roleArn = 'arn:aws:iam::111122223333:role/worker'
const acting = new WorkloadIdentity({ name: 'report.agent' }).actAsSelf()

async function rig() {
  const sts = await startFakeSts()
  const events: AuditEvent[] = []
  const seen: { target: string; verdict: unknown }[] = []
  const known = new Map([[sts.caller.accessKeyId, sts.caller]])
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const headers = new Map(Object.entries(request.headers).map(([n, v]) => [n, String(v)]))
    const { method = '', url: target = '' } = request
    const verdict = checkSignature({ method, target, headers, body: Buffer.concat(chunks) }, known)
    seen.push({ target, verdict })
    const location = /^\/to\?(.*)/.exec(target)?.[1]
    if (location) response.writeHead(307, { location: decodeURIComponent(location) })
    response.end('ok')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
    await sts.close()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const shared = { region: 'eu-west-1', credentials: sts.caller, allowInsecureLoopback: true }
  const credentials = new OutboundCredentialProvider({
    providers: {
      own: awsIam({ ...shared, service: 's3', origins: [origin] }),
      role: awsIam({ ...shared, service: 's3', roleArn, stsEndpoint: sts.endpoint }),
      key: apiKey({ key: 'k' }),
    },
    audit: (event) => events.push(event),
  })
  return { sts, events, seen, origin, credentials }
}

describe('getAwsCredentials', () => {
  it('assumes the role in the name of the workload, narrowed by the policy of the call', async () => {
    const { sts, credentials, events } = await rig()
    const policy = { Version: '2012-10-17', Statement: [] }
    await credentials.getAwsCredentials(acting, { provider: 'role', policy })
    expect(sts.requests[0]?.parameters).toMatchObject({
      RoleArn: roleArn,
      RoleSessionName: 'report.agent',
      Policy: JSON.stringify(policy),
    })
    expect(events).toEqual([
      expect.objectContaining({
        type: 'aws_credentials_served',
        workload: 'report.agent',
        provider: 'role',
        roleArn,
      }),
    ])
  })

  it('gives an SDK client a function that works', async () => {
    const { sts, credentials } = await rig()
    const client = new STSClient({
      endpoint: sts.endpoint,
      region: 'eu-west-1',
      credentials: credentials.awsCredentials(acting, { provider: 'role' }),
    })
    const { Arn } = await client.send(new GetCallerIdentityCommand({}))
    expect(Arn).toBe('arn:aws:sts::111122223333:assumed-role/worker/report.agent')
  })

  it('refuses a policy without a role, another kind of provider, and a literal acting', async () => {
    const { credentials } = await rig()
    const get = (request: { provider: string; policy?: string }, who = acting) =>
      credentials.getAwsCredentials(who, request)
    await expect(get({ provider: 'own', policy: '{}' })).rejects.toThrow(TypeError)
    expect(await codeOf(get({ provider: 'key' }))).toBe('ERR_CONFIGURATION')
    expect(await codeOf(get({ provider: 'none' }))).toBe('ERR_CONFIGURATION')
    expect(await codeOf(credentials.getToken(acting, { provider: 'own' }))).toBe(
      'ERR_CONFIGURATION',
    )
    expect(await codeOf(credentials.getApiKey(acting, { provider: 'own' }))).toBe(
      'ERR_CONFIGURATION',
    )
    await expect(get({ provider: 'own' }, { ...acting })).rejects.toThrow(TypeError)
    expect(() => credentials.awsCredentials(acting, { provider: 'key' })).toThrow()
  })
})

describe('requireAwsCredentials', () => {
  it('injects the credentials first', async () => {
    const { sts, credentials } = await rig()
    const tool = requireAwsCredentials({ provider: 'own' }, async (aws, n: number) => {
      return [aws.secretAccessKey, n] as const
    })
    expect(await credentials.runAs(acting, () => tool(7))).toEqual([sts.caller.secretAccessKey, 7])
    expect(tool.length).toBe(1)
    expect(await codeOf(tool(1))).toBe('ERR_NO_ACTING_CONTEXT')
    expect(() => requireAwsCredentials({ provider: '' })).toThrow(TypeError)
  })
})

describe('authenticatedFetch with awsIam', () => {
  it('signs what it sends', async () => {
    const { sts, seen, origin, credentials } = await rig()
    const signed = authenticatedFetch({ provider: 'own', acting, credentials })
    const answer = await signed(`${origin}/a b/c*?z=1&a=x y`, { method: 'PUT', body: 'hello' })
    expect(await answer.text()).toBe('ok')
    await signed(new Request(`${origin}/r`, { method: 'POST', body: 'x' }))
    expect(seen.map((one) => one.verdict)).toEqual([sts.caller, sts.caller])
  })

  it('S42 sends no credential to another host, and asks for none', async () => {
    const { origin, seen, credentials, events } = await rig()
    const signed = authenticatedFetch({ provider: 'own', acting, credentials })
    for (const url of [
      'https://evil.example/',
      'https://s3.us-east-1.amazonaws.com/',
      origin.replace('127.0.0.1', 'localhost'),
    ]) {
      expect(await codeOf(signed(url))).toBe('ERR_ORIGIN_NOT_ALLOWED')
    }
    expect([seen, events]).toEqual([[], []])
  })

  it('S42 never signs across a redirect', async () => {
    const { origin, seen, credentials } = await rig()
    const signed = authenticatedFetch({ provider: 'own', acting, credentials })
    for (const target of [`${origin}/other`, 'https://evil.example/']) {
      const url = `${origin}/to?${encodeURIComponent(target)}`
      await expect(signed(url)).rejects.toThrow(/redirect/)
      await expect(signed(url, { redirect: 'error' })).rejects.toThrow(/redirect/)
      expect((await signed(url, { redirect: 'manual' })).status).toBe(307)
    }
    expect(seen.every((one) => one.target.startsWith('/to?'))).toBe(true)
  })
})
