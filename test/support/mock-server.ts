/** `oauth2-mock-server` on loopback. It checks neither clients nor refresh tokens; what the tests need is added by its events. */
import { randomUUID } from 'node:crypto'
import { OAuth2Server } from 'oauth2-mock-server'
import type { OtherServer } from './other-server.js'

const API = 'https://api.example'

export async function startMockServer(): Promise<OtherServer> {
  const server = new OAuth2Server()
  await server.issuer.keys.generate('RS256')
  await server.start(0, '127.0.0.1')
  const port = server.address().port
  const issuer = `http://127.0.0.1:${port}`
  server.issuer.url = issuer
  const revoked: string[] = []
  const dead = new Set<string>()
  const given = new Set<string>()
  server.service.on('beforeTokenSigning', (token) => {
    token.payload.aud ??= API
    token.payload.sub ??= 'my-agent' // required of access tokens (RFC 9068 §2.2)
    token.payload.jti = randomUUID() // two of one second are one token otherwise
  })
  server.service.on('beforeResponse', (response, request) => {
    const body = request.body as { refresh_token?: string }
    if (body.refresh_token !== undefined && dead.has(body.refresh_token)) {
      response.statusCode = 400
      response.body = { error: 'invalid_grant' }
    } else if (typeof response.body === 'object') {
      given.add(String(response.body.refresh_token))
      if (body.refresh_token !== undefined) dead.add(body.refresh_token)
    }
  })
  server.service.on('beforeRevoke', (response, request) => {
    revoked.push(String((request as { body?: { token?: string } }).body?.token))
    response.statusCode = 202
  })
  return {
    issuer,
    provider: {
      clientId: 'my-agent',
      clientSecret: 's3cret',
      // It calls every scope of a user so, unless a request names them.
      scopeAliases: { dummy: 'read' },
      tokenParameters: { aud: API },
    },
    inbound: { kind: 'jwt', audience: API },
    rotates: true,
    approve: async (link) => {
      const answer = await fetch(link, { redirect: 'manual' })
      return answer.headers.get('location') ?? ''
    },
    endGrants: () => {
      for (const token of given) dead.add(token)
    },
    revoked: () => revoked,
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
