/**
 * A server on a real socket that speaks as real ones do where they differ from the RFCs: what it answers is changed on its
 * way out, so that its codes, rotation and revocation are its own.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { OutboundCredentialProvider } from '../../src/outbound/index.js'
import { type OAuth2Options, oauth2 } from '../../src/providers/index.js'
import {
  type AuthorizationServerOptions,
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from '../../src/testing/index.js'
import { WorkloadIdentity } from '../../src/workload/index.js'

type Change = NonNullable<AuthorizationServerOptions['answer']>
const HOUR = 3_600_000
const user = { issuer: 'https://app.example', subject: 'ada' }
const agent = new WorkloadIdentity({ name: 'my-agent' })

let server: RunningAuthorizationServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

async function connected(change: Change, provider: Partial<OAuth2Options> = {}, scopes = ['read']) {
  let current = change
  const running = await startAuthorizationServer({
    answer: (form, plain) => current(form, plain),
  })
  server = running
  let aheadMs = 0
  const credentials = new OutboundCredentialProvider({
    callbackUrl: 'http://127.0.0.1:9/cb',
    allowInsecureLoopback: true,
    clock: () => Date.now() + aheadMs,
    providers: {
      other: oauth2({
        issuer: running.issuer,
        clientId: running.clientId,
        clientSecret: running.clientSecret,
        allowInsecureLoopback: true,
        ...provider,
      }),
    },
  })
  const acting = agent.unverifiedUser(user)
  const consent = async () => {
    const { authorizationUrl } = await credentials.beginAuthorization(acting, {
      provider: 'other',
      scopes,
    })
    const answer = await fetch(authorizationUrl, { redirect: 'manual' })
    const back = new Request(answer.headers.get('location')!)
    return (await credentials.handleCallback(back, { user })).status
  }
  expect(await consent()).toBe(200)
  return {
    consent,
    get: (...wanted: string[]) =>
      credentials.getToken(acting, {
        provider: 'other',
        scopes: wanted.length > 0 ? wanted : scopes,
      }),
    end: () => credentials.disconnect(acting, { provider: 'other' }),
    later: (hours = 2) => {
      aheadMs += hours * HOUR
    },
    become: (next: Change) => {
      current = next
    },
    requests: () => running.requests.filter((line) => line === 'POST /token').length,
  }
}

const as: Change = (_, plain) => plain()
const isRefresh = (form: URLSearchParams) => form.get('grant_type') === 'refresh_token'
const refuse =
  (status: number, body: object | string): Change =>
  (form, plain) =>
    isRefresh(form) ? { status, body } : plain()
const withMembers =
  (members: object): Change =>
  (_, plain) => {
    const answer = plain()
    return { ...answer, body: { ...(answer.body as object), ...members } }
  }
const required = { code: 'ERR_AUTHORIZATION_REQUIRED' }

describe('a server that differs', () => {
  it.each<[what: string, change: Change]>([
    ['invalid_grant', refuse(400, { error: 'invalid_grant' })],
    ['bad_refresh_token in HTTP 200', refuse(200, { error: 'bad_refresh_token' })],
    [
      'words',
      refuse(403, { error: 'unauthorized_client', error_description: 'refresh_token is invalid' }),
    ],
  ])('by how it says that a refresh token is dead asks at once: %s', async (_, change) => {
    const { get, later, become, consent } = await connected(as)
    become(change)
    later()
    await expect(get()).rejects.toMatchObject(required)
    become(as)
    await consent()
    await get()
  })

  it.each<[what: string, change: Change]>([
    ['403 unauthorized_client', refuse(403, { error: 'unauthorized_client' })],
    ['400 invalid_request', refuse(400, { error: 'invalid_request' })],
    ['an empty 400', refuse(400, '')],
  ])(
    'by an unclear refusal asks at the second, and comes back by itself: %s',
    async (_, change) => {
      const { get, later, become } = await connected(as)
      become(change)
      later()
      await expect(get()).rejects.toMatchObject({ code: 'ERR_OAUTH_REFUSED' })
      later()
      await expect(get()).rejects.toMatchObject(required)
      later()
      become(as)
      await get()
    },
  )

  it.each<[what: string, change: Change, provider: Partial<OAuth2Options>]>([
    ['no scope', withMembers({ scope: undefined }), {}],
    ['an empty scope', withMembers({ scope: '' }), {}],
    ['null for a scope', withMembers({ scope: null }), {}],
    ['scopes joined by commas', withMembers({ scope: 'read,write' }), {}],
    [
      'scopes in another spelling',
      withMembers({ scope: 'urn:r write' }),
      { scopeAliases: { 'urn:r': 'read' } },
    ],
    ['null members', withMembers({ error: null, id_token: null }), {}],
    ['an ID token that nobody asked for', withMembers({ id_token: 'x.y.z' }), {}],
  ])('in its answers is understood: %s', async (_, change, provider) => {
    const { get, later } = await connected(change, provider, ['read', 'write'])
    await get('read')
    later()
    expect((await get('read', 'write')).scopes).toEqual(['read', 'write'])
  })

  it.each<[what: string, change: Change]>([
    ['status 201', (_, plain) => ({ ...plain(), status: 201 })],
    ['no token type', withMembers({ token_type: undefined })],
    ['a scope that is no text', withMembers({ scope: 7 })],
    [
      'a member twice',
      (_, plain) => ({
        status: 200,
        body: JSON.stringify(plain().body).replace('{', '{"scope":"x",'),
      }),
    ],
  ])('by one odd answer to a refresh loses no grant: %s', async (_, change) => {
    const { get, later, become } = await connected(as)
    become(change)
    later()
    await expect(get()).rejects.toMatchObject({ code: 'ERR_SERVER_RESPONSE' })
    become(as)
    later()
    await get()
  })

  it('by what it grants does not ask the user without end', async () => {
    const { get, consent, become } = await connected(withMembers({ scope: 'read' }), {}, [
      'read',
      'write',
    ])
    await get('read')
    await expect(get('write')).rejects.toMatchObject({
      code: 'ERR_SCOPE_NOT_GRANTED',
      askedScopes: ['read', 'write'],
      grantedScopes: ['read'],
    })
    become(as)
    await consent()
    await get('write')
  })

  it('by a limit for one grant is asked once', async () => {
    const { get, later, become, requests } = await connected(as)
    become((form, plain) =>
      isRefresh(form)
        ? { status: 429, body: { error: 'slow_down' }, headers: { 'retry-after': '600' } }
        : plain(),
    )
    later()
    const before = requests()
    await expect(get()).rejects.toMatchObject({ status: 429 })
    await expect(get()).rejects.toMatchObject({ code: 'ERR_SERVER_UNAVAILABLE' })
    expect(requests()).toBe(before + 1)
  })

  it('by answering a revocation with another success has revoked', async () => {
    const { end } = await connected((form, plain) =>
      form.has('token') ? { status: 202, body: '' } : plain(),
    )
    expect(await end()).toMatchObject({ removed: true, revoked: true })
  })

  it('by a redirect URI that it knows already sends the user there', async () => {
    const redirectUri = 'http://127.0.0.1:9/signin?from=other'
    const { get } = await connected(as, { redirectUri })
    await get()
  })
})
