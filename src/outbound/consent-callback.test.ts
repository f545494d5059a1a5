import { OutboundCredentialProvider, oauth2, WorkloadIdentity } from 'deputize'
import { describe, expect, it } from 'vitest'
import type { AuditEvent } from '../audit.js'
import type { UserRef } from '../principal.js'
import { tokenVault } from '../vault/token-vault.js'
import type { OutboundCredentialProviderOptions } from './options.js'

const ISSUER = 'https://as.example'
const ada: UserRef = { issuer: 'https://people.example', subject: 'ada' }
const returnUrl = 'https://app.example/connected'

function open(options: Partial<OutboundCredentialProviderOptions> = {}, clientId = 'agent') {
  const audit: AuditEvent[] = []
  const held = { open: () => {}, asked: 0 }
  const gate = new Promise<void>((resolve) => {
    held.open = resolve
  })
  const credentials = new OutboundCredentialProvider({
    providers: {
      files: oauth2({
        issuer: ISSUER,
        endpoints: { authorization: `${ISSUER}/auth`, token: `${ISSUER}/token` },
        clientId,
        clientSecret: 'secret',
        fetch: async () => {
          held.asked++
          await gate
          return Response.json({ access_token: 'at-1', token_type: 'Bearer', expires_in: 3600 })
        },
      }),
    },
    callbackUrl: 'https://app.example/cb',
    identifyUser: () => ada,
    audit: (event) => void audit.push(event),
    ...options,
  })
  const agent = new WorkloadIdentity({ name: 'agent', allowedReturnUrls: [returnUrl] })
  const acting = agent.unverifiedUser(ada)
  const begin = (to?: string) =>
    credentials.beginAuthorization(acting, { provider: 'files', returnUrl: to })
  const callback = (link: { readonly authorizationUrl: string }, code = 'code=c') => {
    const state = new URL(link.authorizationUrl).searchParams.get('state')
    return new Request(`https://app.example/cb/files?${code}&state=${state}`)
  }
  return { credentials, acting, audit, held, begin, callback }
}
const location = (response: Response) => new URL(response.headers.get('location')!).searchParams

describe('the callback', () => {
  it('sends a second visitor, while the first waits, where the first goes', async () => {
    const { credentials, held, begin, callback } = open()
    const request = callback(await begin(returnUrl))
    const first = credentials.handleCallback(request.clone())
    const second = credentials.handleCallback(request.clone())
    await new Promise((resolve) => setTimeout(resolve, 20))
    held.open()
    const answers = await Promise.all([first, second, credentials.handleCallback(request)])
    expect(answers.map((one) => one.headers.get('location'))).toEqual(
      Array(3).fill(answers[0]!.headers.get('location')),
    )
    expect(location(answers[0]!).get('outcome')).toBe('connected')
    expect(held.asked).toBe(1)
  })

  it('gives the ticket again to the browser that has the code, and to no other', async () => {
    const { credentials, begin, callback } = open({ identifyUser: undefined } as never)
    const link = await begin(returnUrl)
    const first = await credentials.handleCallback(callback(link))
    const again = await credentials.handleCallback(callback(link))
    expect(again.headers.get('location')).toBe(first.headers.get('location'))
    const other = await credentials.handleCallback(callback(link, 'code=guess'))
    expect([other.status, other.headers.get('location')]).toEqual([410, null])
  })

  it.each([
    ['error=access_denied', 'denied'],
    ['error=server_error', 'failed'],
    ['nothing=at-all', 'failed'],
  ])('returns with the outcome of %s', async (answer, outcome) => {
    const { credentials, begin, callback } = open()
    const response = await credentials.handleCallback(callback(await begin(returnUrl), answer))
    expect(location(response).get('outcome')).toBe(outcome)
  })

  it('tells the audit trail who came under another issuer, and the page nobody', async () => {
    const came = { issuer: 'https://other.example', subject: 'ada' }
    const { credentials, audit, begin, callback } = open({ identifyUser: () => came })
    const response = await credentials.handleCallback(callback(await begin()))
    const page = await response.text()
    expect(response.status).toBe(403)
    expect(page).not.toContain('other.example')
    expect(audit.at(-1)).toMatchObject({
      type: 'consent_refused',
      reason: expect.stringContaining('the subject is the same and the issuer is not'),
      cameAs: came,
      reference: /Reference: ([\w-]{8})</.exec(page)?.[1],
    })
  })

  it('does not let another user who comes later change what is settled, or learn where it went', async () => {
    let who = ada
    const { credentials, acting, held, begin, callback } = open({ identifyUser: () => who })
    held.open()
    const link = await begin(returnUrl)
    await credentials.handleCallback(callback(link))
    who = { ...ada, subject: 'mallory' }
    expect((await credentials.handleCallback(callback(link))).status).toBe(403)
    expect(await credentials.authorizationStatus(acting, link.sessionUri)).toBe('done')
  })

  it.each([
    ['issuer', { issuer: 'https://elsewhere.example' }],
    ['client', { clientId: 'other-client' }],
  ])('refuses a session whose %s is not the one that is configured now', async (_, changed) => {
    const vault = tokenVault()
    const before = open({ vault })
    const link = await before.begin()
    const files = oauth2({
      issuer: ISSUER,
      endpoints: { authorization: `${ISSUER}/auth`, token: `${ISSUER}/token` },
      clientId: 'agent',
      clientSecret: 'secret',
      fetch: () => Promise.reject(new Error('must not be asked')),
      ...changed,
    })
    const { credentials, audit } = open({ vault, providers: { files } })
    expect((await credentials.handleCallback(before.callback(link))).status).toBe(502)
    expect(audit.at(-1)).toMatchObject({
      type: 'consent_refused',
      reason: expect.stringContaining('no longer configured'),
    })
  })

  it('tells the audit trail why nothing was decided', async () => {
    const failing = () => {
      throw new Error('session store is down')
    }
    const { credentials, audit, begin, callback } = open({ identifyUser: failing })
    const response = await credentials.handleCallback(callback(await begin()))
    expect(response.status).toBe(503)
    const reference = /Reference: ([\w-]{8})</.exec(await response.text())?.[1]
    const reason = 'identifyUser threw'
    expect(audit.at(-1)).toMatchObject({ type: 'callback_failed', reason, reference })
  })

  it('says that nobody can finish a link without a user and a return URL', async () => {
    const { credentials, audit, begin, callback } = open({ identifyUser: undefined } as never)
    expect((await credentials.handleCallback(callback(await begin()))).status).toBe(401)
    expect(audit.at(-1)).toMatchObject({
      type: 'callback_failed',
      reason: expect.stringContaining('nobody can finish this link'),
    })
  })

  it('tells the developer of two instances that keep links in memory', async () => {
    const [one, two] = [open(), open()]
    const response = await two.credentials.handleCallback(one.callback(await one.begin()))
    expect([response.status, await response.text()]).toEqual([
      404,
      expect.stringContaining('one vault with a store'),
    ])
    expect(two.audit.at(-1)).toMatchObject({ type: 'callback_failed', code: 'ERR_CONSENT_SESSION' })
    const shared = open({ vault: tokenVault() })
    const page = await shared.credentials.handleCallback(one.callback(await one.begin()))
    expect(await page.text()).not.toContain('one vault')
  })
})

describe('a link', () => {
  it('is one for two tools that ask at once, with the union of their scopes', async () => {
    const { credentials, acting, held, callback } = open()
    held.open()
    const { authorizationRequired: links } = await credentials.getTokens(acting, [
      { provider: 'files', scopes: ['read'] },
      { provider: 'files', scopes: ['write'] },
    ])
    expect(links.map((one) => [...one.scopes].sort())).toEqual([['read', 'write']])
    await credentials.handleCallback(callback(links[0]!))
    for (const scope of ['read', 'write']) {
      const token = await credentials.getToken(acting, { provider: 'files', scopes: [scope] })
      expect(token.value).toBe('at-1')
    }
  })

  it('can be had again by its owner, while it is pending', async () => {
    const { credentials, acting, begin, callback } = open()
    const link = await begin()
    const again = await credentials.pendingAuthorization(acting, link.sessionUri)
    expect(again?.authorizationUrl).toBe(link.authorizationUrl)
    const mallory = new WorkloadIdentity({ name: 'agent' }).unverifiedUser({ ...ada, subject: 'm' })
    const other = new WorkloadIdentity({ name: 'agent', issuer: 'https://w.example' })
    for (const who of [mallory, other.unverifiedUser(ada)]) {
      const refused = credentials.pendingAuthorization(who, link.sessionUri)
      await expect(refused).rejects.toMatchObject({ code: 'ERR_CONSENT_SESSION' })
    }
    await credentials.handleCallback(callback(link, 'error=access_denied'))
    expect(await credentials.pendingAuthorization(acting, link.sessionUri)).toBeUndefined()
  })
})
