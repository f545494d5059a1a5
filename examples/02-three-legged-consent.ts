/**
 * A tool that needs the user's consent: the link is shown, the user agrees, the tool runs.
 *
 *   npm run example 02-three-legged-consent
 *
 * Starts a real OpenID provider, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import {
  findAuthorizationRequired,
  OutboundCredentialProvider,
  oauth2,
  requireToken,
  type UserRef,
  WorkloadIdentity,
} from 'deputize'
import { nodeHandler } from 'deputize/node'
import { cookie, listen, stop } from './api-server.js'
import { Browser } from './browser.js'
import { startOpenIdProvider } from './openid-provider.js'

const app = createServer()
const appOrigin = await listen(app)
await using idp = await startOpenIdProvider({
  clients: [
    {
      client_id: 'agent',
      client_secret: 'agent-secret',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [`${appOrigin}/oauth/callback/files`],
    },
  ],
  resourceServers: { 'https://api.files.example': { scopes: ['files:read'] } },
  refreshTokens: 'always',
})

// 1. Say where the user comes back to, and who is in front of the browser there. This must come from your own session:
//    a link that was forwarded to somebody else is refused by it.
const sessions = new Map<string, UserRef>()
const credentials = new OutboundCredentialProvider({
  providers: {
    files: oauth2({
      issuer: idp.issuer,
      clientId: 'agent',
      clientSecret: 'agent-secret',
      allowInsecureLoopback: true, // this machine only; leave it out everywhere else
    }),
  },
  callbackUrl: `${appOrigin}/oauth/callback`,
  identifyUser: (request) => sessions.get(cookie(request, 'session') ?? ''),
  allowInsecureLoopback: true,
})
app.on(
  'request',
  nodeHandler((request) => credentials.handleCallback(request)),
)

// 2. Wrap the tool, and act for the user. With an InboundVerifier it would be agent.actFor(principal).
const listFiles = requireToken(
  { provider: 'files', scopes: ['files:read'] },
  async (token, folder: string) =>
    `${folder}: 3 files, read with a token for ${token.scopes.join(' ')}`,
)
const ana: UserRef = { issuer: 'https://login.example.com', subject: 'ana' }
const agent = new WorkloadIdentity({ name: 'files-agent' })
const callTool = () => credentials.runAs(agent.unverifiedUser(ana), () => listFiles('/reports'))

// 3. The first call throws and the tool has not run; the error carries the link, whatever wrapped it since.
const error = await callTool().catch(
  (thrown: unknown) => new Error('the agent failed', { cause: thrown }),
)
const consent = findAuthorizationRequired(error)
assert.ok(consent)
console.log(`The user has to consent to: ${consent.scopes.join(' ')}`)

const browser = new Browser({ login: 'ana' })
sessions.set('anas-session', ana)
browser.setCookie(appOrigin, 'session', 'anas-session')
const page = await browser.open(consent.authorizationUrl)
assert.match(page.body, /Connected/)

const answer = await callTool()
console.log(answer)
assert.match(String(answer), /^\/reports: 3 files/)
await stop(app)
