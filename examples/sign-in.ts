/** What a web application does to sign a user in: authorization code with PKCE, by hand. */
import { createHash, randomBytes } from 'node:crypto'
import { Browser } from './browser.js'

export interface SignIn {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
  /** The agent that the token is for. */
  readonly resource: string
  readonly scope: string
  /** Who types a name into the provider's form. */
  readonly login: string
}

/** The user's access token for the agent. */
export async function signIn(request: SignIn): Promise<string> {
  const { issuer, clientId, redirectUri, resource } = request
  const verifier = randomBytes(32).toString('base64url')
  const url = new URL(`${issuer}/auth`)
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: request.scope,
    resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  const page = await new Browser({ login: request.login }).open(url.href, {
    stopAt: (next) => next.href.startsWith(redirectUri),
  })
  const code = new URL(page.url).searchParams.get('code')
  if (!code) throw new Error(`No code in ${page.url}: ${page.body.slice(0, 200)}`)
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: clientId,
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    }),
  })
  const answer = (await response.json()) as { access_token?: string }
  if (!answer.access_token) throw new Error(`No token: HTTP ${response.status}`)
  return answer.access_token
}
