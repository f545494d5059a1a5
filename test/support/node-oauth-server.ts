/** `@node-oauth/oauth2-server` on loopback, with a model in memory, a revocation and an introspection endpoint. */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import OAuth2Server from '@node-oauth/oauth2-server'
import type { OtherServer } from './other-server.js'

const CLIENT_ID = 'my-agent'
const CLIENT_SECRET = 's3cret-of_the.agent'

export async function startNodeOAuthServer(redirectUri: string): Promise<OtherServer> {
  const codes = new Map<string, OAuth2Server.AuthorizationCode>()
  const tokens = new Map<string, OAuth2Server.Token>()
  const byRefreshToken = new Map<string, OAuth2Server.Token>()
  const client: OAuth2Server.Client = {
    id: CLIENT_ID,
    grants: ['authorization_code', 'refresh_token', 'client_credentials'],
    redirectUris: [redirectUri],
  }
  const oauth = new OAuth2Server({
    model: {
      getClient: async (id, secret) =>
        id === CLIENT_ID && (secret === null || secret === CLIENT_SECRET) ? client : undefined,
      validateRedirectUri: async (uri) => uri === redirectUri,
      validateScope: async (_user, _client, scope) => scope ?? [],
      getUserFromClient: async () => ({ name: CLIENT_ID }),
      saveAuthorizationCode: async (code, forClient, user) => {
        const saved = { ...code, client: forClient, user }
        codes.set(code.authorizationCode, saved)
        return saved
      },
      getAuthorizationCode: async (code) => codes.get(code),
      revokeAuthorizationCode: async ({ authorizationCode }) => codes.delete(authorizationCode),
      saveToken: async (token, forClient, user) => {
        const saved = { ...token, client: forClient, user }
        tokens.set(token.accessToken, saved)
        if (token.refreshToken) byRefreshToken.set(token.refreshToken, saved)
        return saved
      },
      getAccessToken: async (token: string) => tokens.get(token),
      getRefreshToken: async (token: string) =>
        byRefreshToken.get(token) as OAuth2Server.RefreshToken | undefined,
      revokeToken: async ({ refreshToken }: OAuth2Server.RefreshToken) =>
        byRefreshToken.delete(refreshToken),
      verifyScope: async () => true,
    } as OAuth2Server.AuthorizationCodeModel,
    allowEmptyState: false,
  })
  const revoked: string[] = []
  const mayAsk = ({ headers }: IncomingMessage) =>
    headers.authorization === `Basic ${btoa(`${CLIENT_ID}:${CLIENT_SECRET}`)}`
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
    const asked = new OAuth2Server.Request({
      headers: { ...request.headers, 'content-length': `${Buffer.concat(chunks).length}` } as never,
      method: request.method ?? '',
      query: Object.fromEntries(url.searchParams),
      body,
    })
    const answered = new OAuth2Server.Response({ headers: {} })
    try {
      switch (url.pathname) {
        case '/authorize':
          await oauth.authorize(asked, answered, {
            authenticateHandler: { handle: () => ({ name: 'ada' }) },
          })
          break
        case '/token':
          await oauth.token(asked, answered, { requireClientAuthentication: {} })
          break
        case '/revoke':
          revoked.push(body.token ?? '')
          byRefreshToken.delete(body.token ?? '')
          return void response.writeHead(204).end() // any success will do
        case '/introspect':
          if (!mayAsk(request)) return void response.writeHead(401).end()
          return sendIntrospection(response, tokens.get(body.token ?? ''))
      }
    } catch {
      // What went wrong is in the response.
    }
    response.writeHead(answered.status ?? 500, answered.headers)
    response.end(answered.body === undefined ? '' : JSON.stringify(answered.body))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    issuer,
    provider: {
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      endpoints: {
        authorization: `${issuer}/authorize`,
        token: `${issuer}/token`,
        revocation: `${issuer}/revoke`,
      },
    },
    inbound: {
      kind: 'introspection',
      endpoint: `${issuer}/introspect`,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
    },
    rotates: true,
    approve: async (link) => {
      const answer = await fetch(link, { redirect: 'manual' })
      return answer.headers.get('location') ?? ''
    },
    endGrants: () => byRefreshToken.clear(),
    revoked: () => revoked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

function sendIntrospection(response: ServerResponse, token: OAuth2Server.Token | undefined): void {
  const ends = token?.accessTokenExpiresAt?.getTime() ?? 0
  const body =
    token === undefined
      ? { active: false }
      : {
          active: true,
          sub: token.user.name,
          client_id: token.client.id,
          aud: 'https://api.example',
          scope: token.scope?.join(' '),
          exp: Math.floor(ends / 1000),
          jti: randomUUID(),
        }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
