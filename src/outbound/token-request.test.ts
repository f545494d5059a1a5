import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeOf } from '../../test/support/issuer.js'
import { makePrincipal } from '../principal.js'
import { oauth2 } from '../providers/oauth2.js'
import type { Flow } from '../providers/provider.js'
import { type RunningAuthorizationServer, startAuthorizationServer } from '../testing/index.js'
import { requireToken } from '../tools/require-token.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { OutboundCredentialProvider } from './credential-provider.js'

const agent = new WorkloadIdentity({ name: 'flow-agent' })
/** A caller that presented a token of its own, without a user. */
const client = makePrincipal({
  method: 'jwt',
  issuer: 'https://idp.example',
  subject: 'batch',
  scopes: [],
  audience: [],
  claims: {},
})
let server: RunningAuthorizationServer
beforeAll(async () => {
  server = await startAuthorizationServer()
})
afterAll(() => server.close())

function open(defaultFlow?: Flow) {
  const { issuer, clientId, clientSecret } = server
  const options = { issuer, clientId, clientSecret, allowInsecureLoopback: true }
  return new OutboundCredentialProvider({
    providers: { api: oauth2(defaultFlow ? { ...options, defaultFlow } : options) },
    allowInsecureLoopback: true,
  })
}

describe('the flow of a request', () => {
  it('W08 gives the agent its own token when it acts as itself', async () => {
    const token = await open().getToken(agent.actAsSelf(), { provider: 'api' })
    expect(token.value).toMatch(/^ey/)
  })

  it('W08 refuses a caller without a user, also while the token of the agent is in memory', async () => {
    const credentials = open()
    const caller = agent.actFor(client)
    expect(await codeOf(credentials.getToken(caller, { provider: 'api' }))).toBe('ERR_NO_USER')
    await credentials.getToken(agent.actAsSelf(), { provider: 'api' })
    await credentials.getToken(caller, { provider: 'api', flow: 'M2M' })
    for (let time = 0; time < 2; time++) {
      expect(await codeOf(credentials.getToken(caller, { provider: 'api' }))).toBe('ERR_NO_USER')
      const tool = requireToken({ provider: 'api', acting: caller, credentials }, () => 'ran')
      expect(await codeOf(tool())).toBe('ERR_NO_USER')
    }
  })

  it('gives such a caller the token of the agent where the call, the tool or the provider names M2M', async () => {
    const caller = agent.actFor(client)
    const asked = { provider: 'api', flow: 'M2M' } as const
    const credentials = open()
    expect((await credentials.getToken(caller, asked)).value).toMatch(/^ey/)
    const tool = requireToken({ ...asked, acting: caller, credentials }, (token) => token.value)
    expect(await tool()).toMatch(/^ey/)
    expect((await open('M2M').getToken(caller, { provider: 'api' })).value).toMatch(/^ey/)
  })
})
