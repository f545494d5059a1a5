/**
 * An agent that lets AWS callers in by their IAM identity, and that calls AWS itself with a role of its own.
 *
 *   npm run example 08-agent-behind-sts
 *
 * Starts a stand-in for AWS STS that checks signatures, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { InboundVerifier, OutboundCredentialProvider, WorkloadIdentity } from 'deputize'
import { signCallerIdentity } from 'deputize/aws'
import { stsIdentity } from 'deputize/inbound'
import { nodeHandler } from 'deputize/node'
import { awsIam } from 'deputize/providers'
import { startFakeSts } from 'deputize/testing'
import { requireAwsCredentials } from 'deputize/tools'
import { listen, stop } from './api-server.js'

await using sts = await startFakeSts()

// 1. Say who may call. The server needs no AWS credentials for that: STS tells who signed.
const verifier = new InboundVerifier({
  authenticators: [
    stsIdentity({
      serverId: 'report-agent.example.com',
      allowedRoles: ['arn:aws:iam::111122223333:role/caller-role'],
      mayActForUser: (_caller, userId) => userId === 'ana',
      fetch: sts.fetch, // the stand-in; leave it out everywhere else
    }),
  ],
  audit: (event) => console.log(`  audit: ${event.type}`, 'code' in event ? event.code : ''),
})
const agent = new WorkloadIdentity({ name: 'report-agent' })

// 2. Say as whom the agent calls AWS: a role, in a session that is named after the agent and may read one bucket.
const credentials = new OutboundCredentialProvider({
  providers: {
    reports: awsIam({
      region: 'eu-west-1',
      service: 's3',
      roleArn: 'arn:aws:iam::111122223333:role/report-reader',
      credentials: sts.caller, // leave it out for the default chain: environment, container, instance
      stsEndpoint: sts.endpoint,
      allowInsecureLoopback: true, // this machine only; leave both out everywhere else
    }),
  },
})
const policy = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::reports/*' }],
}
const readReport = requireAwsCredentials(
  { provider: 'reports', policy },
  async (aws, name: string) => `${name}, read with ${aws.accessKeyId.slice(0, 4)}…`,
)

const app = createServer(
  nodeHandler(async (request) => {
    const caller = await verifier.authenticate(request)
    if (caller instanceof Response) return caller
    const report = await credentials.runAs(agent.actFor(caller), () => readReport('2026.csv'))
    return Response.json({ caller: caller.subject, user: caller.user?.subject, report })
  }),
)
const origin = await listen(app)

// 3. Call it.
const mine = { serverId: 'report-agent.example.com', credentials: sts.caller, region: 'eu-west-1' }
const stranger = { ...sts.caller, secretAccessKey: 'a guess' }
const callers = {
  'the allowed role': await signCallerIdentity(mine),
  'the same, as a bearer token': await signCallerIdentity({ ...mine, form: 'presigned' }),
  'for a user': await signCallerIdentity({ ...mine, userId: 'ana' }),
  'for a user that it may not act for': await signCallerIdentity({ ...mine, userId: 'bob' }),
  'signed for another server': await signCallerIdentity({ ...mine, serverId: 'other.example.com' }),
  'a wrong secret': await signCallerIdentity({ ...mine, credentials: stranger }),
  nobody: {},
}
const statuses: number[] = []
for (const [who, headers] of Object.entries(callers)) {
  console.log(who)
  const response = await fetch(origin, { headers })
  console.log(`  ${response.status} ${await response.text()}`)
  statuses.push(response.status)
}
assert.deepEqual(statuses, [200, 200, 200, 403, 401, 401, 401])
const sessions = sts.requests.filter((request) => request.action === 'AssumeRole')
assert.deepEqual(
  sessions.map((request) => request.parameters.RoleSessionName),
  ['report-agent'],
)
await stop(app)
