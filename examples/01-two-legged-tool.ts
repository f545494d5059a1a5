/**
 * A tool that calls a service in the agent's own name.
 *
 *   npm run example 01-two-legged-tool
 *
 * Starts an authorization server of its own, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { OutboundCredentialProvider, oauth2, requireToken, WorkloadIdentity } from 'deputize'
import { startAuthorizationServer } from 'deputize/testing'

await using server = await startAuthorizationServer()

// 1. Say who the agent is, and where tokens come from.
const agent = new WorkloadIdentity({ name: 'weather-agent' })
const credentials = new OutboundCredentialProvider({
  providers: {
    weather: oauth2({
      issuer: server.issuer,
      clientId: server.clientId,
      clientSecret: server.clientSecret,
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
  },
})

// 2. Wrap the tool. The model sees forecast(city); it never sees the token.
const forecast = requireToken(
  { provider: 'weather', scopes: ['forecast:read'] },
  async (token, city: string) =>
    `sunny in ${city} (${token.tokenType}, ${token.value.length} characters)`,
)

// 3. Call it as if there were no token at all.
await credentials.runAs(agent.actAsSelf(), async () => {
  const cities = ['Lisbon', 'Porto', 'Faro']
  const answers = await Promise.all(cities.map((city) => forecast(city)))
  for (const answer of answers) console.log(answer)
  assert.match(answers[1] ?? '', /^sunny in Porto \(Bearer/)
})
assert.equal(server.requests.filter((line) => line === 'POST /token').length, 1)
console.log('Three calls, one request for a token.')
