/**
 * The flows against authorization servers that npm offers and that nobody here wrote: what they answer, how they check
 * clients, and how they rotate is theirs.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { InboundVerifier, introspection, jwtBearer } from '../../src/inbound/index.js'
import { OutboundCredentialProvider } from '../../src/outbound/index.js'
import { type ClientAuthMethod, oauth2 } from '../../src/providers/index.js'
import { WorkloadIdentity } from '../../src/workload/index.js'
import { startMockServer } from '../support/mock-server.js'
import { startNodeOAuthServer } from '../support/node-oauth-server.js'
import type { OtherServer } from '../support/other-server.js'

const HOUR = 3_600_000
const CALLBACK = 'https://app.example/cb'
const user = { issuer: 'https://app.example', subject: 'ada' }
const methods = ['client_secret_basic', 'client_secret_post'] as const
type Start = () => Promise<OtherServer>
const servers: [name: string, start: Start][] = [
  ['@node-oauth/oauth2-server', () => startNodeOAuthServer(`${CALLBACK}/other`)],
  ['oauth2-mock-server', startMockServer],
]

let server: OtherServer | undefined
afterEach(async () => {
  await server?.[Symbol.asyncDispose]()
  server = undefined
})

async function connected(start: Start, clientAuth: ClientAuthMethod & (typeof methods)[number]) {
  const running = await start()
  server = running
  let aheadMs = 0
  const credentials = new OutboundCredentialProvider({
    callbackUrl: CALLBACK,
    clock: () => Date.now() + aheadMs,
    providers: {
      other: oauth2({
        issuer: running.issuer,
        allowInsecureLoopback: true,
        ...running.provider,
        clientAuth,
      }),
    },
  })
  const agent = new WorkloadIdentity({ name: 'my-agent' })
  const acting = agent.unverifiedUser(user)
  const wish = { provider: 'other', scopes: ['read'] }
  const consent = async () => {
    const { authorizationUrl } = await credentials.beginAuthorization(acting, wish)
    const back = await running.approve(authorizationUrl)
    expect((await credentials.handleCallback(new Request(back), { user })).status).toBe(200)
  }
  return {
    running,
    credentials,
    consent,
    self: () => credentials.getToken(agent.actAsSelf(), wish),
    get: () => credentials.getToken(acting, wish),
    end: () => credentials.disconnect(acting, { provider: 'other' }),
    later: () => {
      aheadMs += 2 * HOUR
    },
  }
}

function verifierOf({ issuer, inbound }: OtherServer) {
  const authenticator =
    inbound.kind === 'jwt'
      ? jwtBearer({
          issuer,
          allowedAudience: [inbound.audience],
          allowInsecureLoopback: true,
        })
      : introspection({
          issuer,
          introspectionEndpoint: inbound.endpoint,
          clientId: inbound.clientId,
          clientSecret: inbound.clientSecret,
          clientAuth: inbound.clientAuth ?? 'client_secret_basic',
          allowedAudience: null,
          allowedClients: [inbound.clientId],
          allowInsecureLoopback: true,
          tokensWithoutSubject: 'client',
          allowUntypedTokens: true,
        })
  return new InboundVerifier({ authenticators: [authenticator] })
}

describe.each(servers)('%s', (_, start) => {
  describe.each(methods)('with %s', (clientAuth) => {
    it('gives the agent a token of its own', async () => {
      const { self } = await connected(start, clientAuth)
      const token = await self()
      expect(token.value.length).toBeGreaterThan(10)
      expect((await self()).value).toBe(token.value)
    })

    it('gives a token for a user, renews it, and rotates', async () => {
      const { consent, get, later, running } = await connected(start, clientAuth)
      await expect(get()).rejects.toMatchObject({ code: 'ERR_AUTHORIZATION_REQUIRED' })
      await consent()
      const values = new Set([(await get()).value])
      for (let round = 0; round < 3; round++) {
        later()
        values.add((await get()).value)
      }
      expect(values.size).toBe(4)
      expect(running.rotates).toBe(true)
    })

    it('refuses a dead refresh token, and the user is asked again', async () => {
      const { consent, get, later, running } = await connected(start, clientAuth)
      await consent()
      later()
      await running.endGrants()
      await expect(get()).rejects.toMatchObject({ code: 'ERR_AUTHORIZATION_REQUIRED' })
      await consent()
      await get()
    })

    it('takes a token back at a disconnect', async () => {
      const { consent, get, end, running } = await connected(start, clientAuth)
      await consent()
      expect(await end()).toMatchObject({ removed: true, revoked: true })
      expect(running.revoked()).toHaveLength(1)
      await expect(get()).rejects.toMatchObject({ code: 'ERR_AUTHORIZATION_REQUIRED' })
    })

    it('issues tokens that are verified where they come in', async () => {
      const { consent, get, self, running } = await connected(start, clientAuth)
      await consent()
      const verifier = verifierOf(running)
      for (const token of [await get(), await self()]) {
        const principal = await verifier.verifyToken(token.value)
        expect(principal.issuer).toBe(running.issuer)
        const { scopeAliases = {} } = running.provider
        expect(principal.scopes.map((scope) => scopeAliases[scope] ?? scope)).toContain('read')
      }
      await expect(verifier.verifyToken('not-a-token')).rejects.toThrow()
    })
  })
})
