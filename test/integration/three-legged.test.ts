import {
  AccountAmbiguousError,
  type AuthorizationRequiredError,
  type AuthorizationSettled,
  ConfigurationError,
  ConsentDeniedError,
  ConsentExpiredError,
  ConsentFailedError,
  ConsentSessionError,
  ConsentWrongUserError,
  memoryStore,
  ScopeNotGrantedError,
} from 'deputize'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ConsentRig,
  challengeOf,
  type RigOptions,
  startConsentRig,
  user,
} from '../support/consent-rig.js'

let rig: ConsentRig
let people = 0
beforeAll(async () => {
  rig = await startConsentRig()
})
afterAll(() => rig.close())
beforeEach(() => {
  rig.aheadMs = 0
})

/** A user whom no other test has met, and an agent that acts for them. */
function somebody(options: RigOptions = {}) {
  const name = `user${++people}`
  const credentials = rig.open(options)
  rig.serving = credentials
  return { name, credentials, acting: rig.agent.unverifiedUser(user(name)) }
}

const read = { provider: 'calendar', scopes: ['read'] } as const

describe('consent against a real OpenID provider', () => {
  it('asks the user, exchanges the code once, and serves the token from the vault', async () => {
    const { name, credentials, acting } = somebody()
    const before = rig.tokenRequests()
    const challenge = await challengeOf(credentials.getToken(acting, read))
    expect(rig.tokenRequests()).toBe(before)
    const page = await rig.consent(challenge.authorizationUrl, name)
    expect([page.status, page.url.split('?')[0]]).toEqual([
      200,
      `${rig.origin}/oauth/callback/calendar`,
    ])
    const token = await credentials.getToken(acting, read)
    expect(JSON.parse(atob(token.value.split('.')[1]!))).toMatchObject({ sub: name, scope: 'read' })
    await credentials.getToken(acting, read)
    expect(rig.tokenRequests()).toBe(before + 1)
  })

  it('sends PKCE S256, a redirect URI of the provider, and a nonce where openid is asked (O07)', async () => {
    const { credentials, acting } = somebody()
    const calendar = await challengeOf(credentials.getToken(acting, read))
    const mail = await challengeOf(credentials.getToken(acting, { ...read, provider: 'mail' }))
    const asked = [calendar, mail].map((one) => new URL(one.authorizationUrl).searchParams)
    expect(asked.map((query) => query.get('redirect_uri'))).toEqual([
      `${rig.origin}/oauth/callback/calendar`,
      `${rig.origin}/oauth/callback/mail`,
    ])
    for (const query of asked) {
      expect(query.get('code_challenge_method')).toBe('S256')
      expect(query.get('code_challenge')).toMatch(/^[\w-]{43}$/)
      expect(query.get('state')).toMatch(/^[\w-]{43}$/)
    }
    expect(asked[0]!.has('nonce')).toBe(false)
    expect(asked[1]!.get('nonce')).toMatch(/^[\w-]{43}$/)
    const secrets = ['state', 'nonce', 'code_challenge'].map((key) => asked[1]!.get(key))
    expect(new Set(secrets).size).toBe(3)
  })

  it('gives fifty calls for the same missing consent one session', async () => {
    const { credentials, acting } = somebody()
    const all = await Promise.all(
      Array.from({ length: 50 }, () => challengeOf(credentials.getToken(acting, read))),
    )
    expect(new Set(all.map((one) => one.sessionUri)).size).toBe(1)
    expect(new Set(all.map((one) => one.authorizationUrl)).size).toBe(1)
  })

  it('gives two processes that ask for the same consent one link', async () => {
    const store = memoryStore()
    const { credentials, acting } = somebody({ store })
    const other = rig.open({ store })
    const [a, b] = await Promise.all([
      challengeOf(credentials.getToken(acting, read)),
      challengeOf(other.getToken(acting, read)),
    ])
    expect(a.sessionUri).toBe(b.sessionUri)
  })

  it('serves a subset of what was granted, and asks for the union when more is wanted', async () => {
    const { name, credentials, acting } = somebody()
    const both = { provider: 'calendar', scopes: ['read', 'write'] }
    const first = await challengeOf(credentials.getToken(acting, both))
    await rig.consent(first.authorizationUrl, name)
    const token = await credentials.getToken(acting, both)
    expect((await credentials.getToken(acting, read)).value).toBe(token.value)
    const more = await challengeOf(credentials.getToken(acting, { ...read, scopes: ['admin'] }))
    expect([...more.scopes].sort()).toEqual(['admin', 'read', 'write'])
  })

  it('serves after a restart with the same store without a request', async () => {
    const store = memoryStore()
    const { name, credentials, acting } = somebody({ store })
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    await rig.consent(authorizationUrl, name)
    const token = await credentials.getToken(acting, read)
    const before = rig.services.requests.length
    const restarted = await rig.open({ store }).getToken(acting, read)
    expect(restarted.value).toBe(token.value)
    expect(rig.services.requests.length).toBe(before)
  })

  it('keeps what one user has from another, and from another agent', async () => {
    const { name, credentials, acting } = somebody()
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    await rig.consent(authorizationUrl, name)
    const { WorkloadIdentity } = await import('deputize')
    const strangers = [
      rig.agent.unverifiedUser(user(`${name}-other`)),
      rig.agent.unverifiedUser({ issuer: 'https://elsewhere.example', subject: name }),
      new WorkloadIdentity({ name: 'other-agent' }).unverifiedUser(user(name)),
    ]
    for (const stranger of strangers) await challengeOf(credentials.getToken(stranger, read))
  })

  it('works for a client without secret, refresh included', async () => {
    const { name, credentials, acting } = somebody()
    const open = { provider: 'open', scopes: ['read'] }
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, open))
    await rig.consent(authorizationUrl, name)
    const token = await credentials.getToken(acting, open)
    rig.aheadMs = 7_200_000
    expect((await credentials.getToken(acting, open)).value).not.toBe(token.value)
  })

  it('gives all missing consents together from getTokens()', async () => {
    const { credentials, acting } = somebody()
    const { results, authorizationRequired } = await credentials.getTokens(acting, [
      read,
      { provider: 'files', scopes: ['files'] },
      { provider: 'nobody' },
    ])
    expect(results.map((result) => result.ok)).toEqual([false, false, false])
    expect(authorizationRequired.map((one) => one.provider)).toEqual(['calendar', 'files'])
  })

  it('refuses acting for nobody with a typed error', async () => {
    const { credentials } = somebody()
    await expect(
      credentials.getToken(rig.agent.actAsSelf(), { ...read, flow: 'USER_FEDERATION' }),
    ).rejects.toMatchObject({ code: 'ERR_NO_USER' })
  })
})

describe('return URLs', () => {
  it('sends the browser to the registered return URL with the session and the outcome, and nothing else', async () => {
    const { name, credentials, acting } = somebody()
    const returnUrl = `${rig.origin}/connected`
    const challenge = await challengeOf(credentials.getToken(acting, { ...read, returnUrl }))
    const page = await rig.consent(challenge.authorizationUrl, name)
    const url = new URL(page.url)
    expect(url.origin + url.pathname).toBe(returnUrl)
    expect([...url.searchParams]).toEqual([
      ['session', challenge.sessionUri],
      ['outcome', 'connected'],
    ])
    expect(await credentials.authorizationStatus(acting, challenge.sessionUri)).toBe('done')
  })

  it.each([
    ['another path', '/connected/'],
    ['a longer path', '/connected/more'],
    ['a query', '/connected?next=x'],
    ['a fragment', '/connected#x'],
    ['another case', '/Connected'],
    ['an encoded letter', '/%63onnected'],
    ['a dot segment', '/x/../connected'],
    ['a backslash', '\\connected'],
    ['user info before the host', '@evil.example/connected'],
    ['a line break', '/connected\r\nx: y'],
  ])('refuse %s that was not registered (O12)', async (_, path) => {
    const { credentials, acting } = somebody()
    const before = rig.services.requests.length
    const error = await credentials
      .getToken(acting, { ...read, returnUrl: rig.origin + path })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConfigurationError)
    expect((error as Error).message).toMatch(/not registered. Add it, exactly as it is/)
    expect(rig.services.requests.length).toBe(before)
  })

  it.each([
    '//evil.example',
    'https://evil.example',
    'javascript:alert(1)',
    '',
    'data:text/html,x',
  ])('refuse %j (O12)', async (returnUrl) => {
    const { credentials, acting } = somebody()
    await expect(credentials.getToken(acting, { ...read, returnUrl })).rejects.toBeInstanceOf(
      ConfigurationError,
    )
  })
})

describe('outcomes', () => {
  it('tells a refusal: page, status, waiter and event', async () => {
    const events: AuthorizationSettled[] = []
    const { name, credentials, acting } = somebody({
      onAuthorizationSettled: (event) => void events.push(event),
    })
    const { authorizationUrl, sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const waiting = credentials.waitForAuthorization(acting, sessionUri).catch((e: unknown) => e)
    const page = await rig.consent(authorizationUrl, name, { deny: true })
    expect([page.status, /Not connected/.test(page.body)]).toEqual([200, true])
    expect(await waiting).toBeInstanceOf(ConsentDeniedError)
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('denied')
    const reference = /Reference: ([\w-]{8})</.exec(page.body)?.[1]
    const told = { sessionUri, reference, user: user(name), provider: 'calendar' }
    expect(events).toEqual([{ ...told, outcome: 'denied', reason: 'access_denied' }])
    expect(rig.audit).toContainEqual(
      expect.objectContaining({ type: 'consent_refused', reason: 'access_denied', reference }),
    )
    const again = await challengeOf(credentials.getToken(acting, read))
    expect(again.sessionUri).not.toBe(sessionUri)
  })

  it('tells that nobody came in ten minutes, and refuses who comes later', async () => {
    const { name, credentials, acting } = somebody()
    const beforeMs = Date.now()
    const { authorizationUrl, sessionUri, expiresAtMs } = await challengeOf(
      credentials.getToken(acting, read),
    )
    expect(expiresAtMs - 600_000).toBeGreaterThanOrEqual(beforeMs)
    expect(expiresAtMs - 600_000).toBeLessThanOrEqual(Date.now())
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const before = rig.tokenRequests()
    rig.aheadMs = 600_001
    await expect(credentials.waitForAuthorization(acting, sessionUri)).rejects.toBeInstanceOf(
      ConsentExpiredError,
    )
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('expired')
    expect((await rig.browserOf(name).open(callback)).status).toBe(410)
    expect(rig.tokenRequests()).toBe(before)
    const again = await challengeOf(credentials.getToken(acting, read))
    expect(again.sessionUri).not.toBe(sessionUri)
  })

  it('tells the application of a consent that came too late', async () => {
    const events: AuthorizationSettled[] = []
    const { name, credentials, acting } = somebody({
      onAuthorizationSettled: (event) => void events.push(event),
    })
    const { authorizationUrl, sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    rig.aheadMs = 600_001
    await rig.browserOf(name).open(callback)
    await rig.browserOf(name).open(callback)
    expect(events.map((event) => [event.sessionUri, event.outcome])).toEqual([
      [sessionUri, 'expired'],
    ])
  })

  it('tells the application after the grant was written', async () => {
    let found: unknown
    const { name, credentials, acting } = somebody({
      onAuthorizationSettled: async (event) => {
        found = [event.outcome, (await credentials.getToken(acting, read)).provider, event.account]
        throw new Error('a listener of the application fails')
      },
    })
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    expect((await rig.consent(authorizationUrl, name)).status).toBe(200)
    await expect.poll(() => found).toEqual(['done', 'calendar', 'default'])
  })

  it('waits for no listener of the application, which may never end', async () => {
    const { name, credentials, acting } = somebody({
      onAuthorizationSettled: () => new Promise(() => {}),
    })
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    expect((await rig.consent(authorizationUrl, name)).status).toBe(200)
    await credentials.beginAuthorization(acting, { provider: 'calendar', scopes: ['more'] })
    expect(await credentials.disconnect(acting, { provider: 'calendar' })).toMatchObject({
      removed: true,
    })
  })

  it('shows the 401 page to a browser that is not signed in, and goes on once it is', async () => {
    const { name, credentials, acting } = somebody()
    const { authorizationUrl, sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const before = rig.tokenRequests()
    expect((await fetch(callback)).status).toBe(401)
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('pending')
    expect(rig.tokenRequests()).toBe(before)
    expect((await rig.browserOf(name).open(callback)).status).toBe(200)
  })

  it('takes the user from the framework before it asks the application', async () => {
    const { name, credentials, acting } = somebody({
      identifyUser: () => {
        throw new Error('not to be asked')
      },
    })
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const answer = await credentials.handleCallback(new Request(callback), { user: user(name) })
    expect(answer.status).toBe(200)
  })

  it('keeps the session when the application cannot say who is there', async () => {
    let broken = true
    const { name, credentials, acting } = somebody({
      identifyUser: () => {
        if (broken) throw new Error('session store is down: secret-of-the-app')
        return user(name)
      },
    })
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const first = await credentials.handleCallback(new Request(callback))
    expect([first.status, (await first.text()).includes('secret-of-the-app')]).toEqual([503, false])
    broken = false
    expect((await credentials.handleCallback(new Request(callback))).status).toBe(200)
  })
})

describe('the sealed-code road', () => {
  const returnUrl = () => `${rig.origin}/connected`

  async function held() {
    const one = somebody({ identifyUser: undefined as never })
    const challenge = await challengeOf(
      one.credentials.getToken(one.acting, { ...read, returnUrl: returnUrl() }),
    )
    const before = rig.tokenRequests()
    const page = await rig.consent(challenge.authorizationUrl, one.name)
    const [[parameter, sessionUri] = [], ...more] = [...new URL(page.url).searchParams]
    expect([parameter, more]).toEqual(['session', []])
    expect(sessionUri).toMatch(/:[A-Za-z0-9_-]{43}:[A-Za-z0-9_-]{43}$/)
    expect(sessionUri?.startsWith(`${challenge.sessionUri}:`)).toBe(true)
    expect(rig.tokenRequests()).toBe(before)
    return { ...one, sessionUri: sessionUri!, shown: challenge.sessionUri, before }
  }

  it('exchanges only when the application says who is there', async () => {
    const { credentials, acting, name, sessionUri, before } = await held()
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('pending')
    await credentials.completeAuthorization({ sessionUri, user: user(name) })
    expect(rig.tokenRequests()).toBe(before + 1)
    expect((await credentials.getToken(acting, read)).provider).toBe('calendar')
  })

  it('exchanges once when it is completed five times at once (O09, O53)', async () => {
    const { credentials, acting, name, sessionUri, before } = await held()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () =>
        credentials.completeAuthorization({ sessionUri, user: user(name) }),
      ),
    )
    expect(outcomes.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
    expect(rig.tokenRequests()).toBe(before + 1)
    await credentials.getToken(acting, read)
  })

  it('refuses another user, and nobody can complete it afterwards (O01)', async () => {
    const { credentials, acting, name, sessionUri, before } = await held()
    const complete = (subject: string) =>
      credentials.completeAuthorization({ sessionUri, user: user(subject) })
    await expect(complete('mallory')).rejects.toBeInstanceOf(ConsentWrongUserError)
    await expect(complete(name)).rejects.toBeInstanceOf(ConsentWrongUserError)
    await expect(complete('mallory')).rejects.toBeInstanceOf(ConsentSessionError)
    expect(rig.tokenRequests()).toBe(before)
    await challengeOf(credentials.getToken(acting, read))
  })

  it('is not finished by whoever sent the link to another (O01)', async () => {
    const { credentials, acting, name, sessionUri, shown, before } = await held()
    // The user who was asked knows the session's name; the code is of the user whom the link was sent to.
    for (const uri of [shown, `${shown}:${'A'.repeat(43)}`, `${shown}:`, `${sessionUri}:`]) {
      await expect(
        credentials.completeAuthorization({ sessionUri: uri, user: user(name) }),
      ).rejects.toBeInstanceOf(ConsentSessionError)
      await expect(
        credentials.completeAuthorization({ sessionUri: uri, user: user('mallory') }),
      ).rejects.toBeInstanceOf(ConsentSessionError)
    }
    expect(rig.tokenRequests()).toBe(before)
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('pending')
    await credentials.completeAuthorization({ sessionUri, user: user(name) })
  })

  it('keeps the code for sixty seconds', async () => {
    const { credentials, name, sessionUri, before } = await held()
    rig.aheadMs = 60_001
    await expect(
      credentials.completeAuthorization({ sessionUri, user: user(name) }),
    ).rejects.toBeInstanceOf(ConsentExpiredError)
    expect(rig.tokenRequests()).toBe(before)
  })

  it('tells a refusal by its own type', async () => {
    const { credentials, acting, name } = somebody({ identifyUser: undefined as never })
    const { authorizationUrl } = await challengeOf(
      credentials.getToken(acting, { ...read, returnUrl: returnUrl() }),
    )
    const page = await rig.consent(authorizationUrl, name, { deny: true })
    const sessionUri = new URL(page.url).searchParams.get('session')!
    await expect(
      credentials.completeAuthorization({ sessionUri, user: user(name) }),
    ).rejects.toBeInstanceOf(ConsentDeniedError)
  })

  it('says what is wrong when the application has no user to give', async () => {
    const { credentials, acting, sessionUri } = await held()
    await expect(
      credentials.completeAuthorization({ sessionUri, user: undefined as never }),
    ).rejects.toThrow(/user must be a UserRef/)
    expect(await credentials.authorizationStatus(acting, sessionUri)).toBe('pending')
  })
})

describe('waiting', () => {
  const wait = { ...read, onAuthorizationRequired: 'wait' as const }

  it('goes on when the consent was finished in another process', async () => {
    const store = memoryStore()
    const { name, credentials, acting } = somebody({ store })
    const other = rig.open({ store })
    const waiting = credentials.getToken(acting, wait)
    const { authorizationUrl } = await challengeOf(other.getToken(acting, read))
    rig.serving = other
    await rig.consent(authorizationUrl, name)
    expect((await waiting).value).toBe((await other.getToken(acting, read)).value)
  })

  it('lets fifty who wait go on together', async () => {
    const { name, credentials, acting } = somebody()
    const waiting = Promise.all(
      Array.from({ length: 50 }, () => credentials.getToken(acting, wait)),
    )
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const before = rig.tokenRequests()
    await rig.consent(authorizationUrl, name)
    expect(new Set((await waiting).map((token) => token.value)).size).toBe(1)
    expect(rig.tokenRequests() - before).toBe(1)
  })

  it('goes on at once when it was finished here', async () => {
    // No look at the store brings it: the timer between two looks never fires.
    const real = setTimeout
    vi.stubGlobal('setTimeout', (run: () => void, ms?: number, ...given: []) =>
      ms === 1_000 ? real(() => {}, 0) : real(run, ms, ...given),
    )
    const { name, credentials, acting } = somebody()
    const token = await credentials.getToken(acting, {
      ...read,
      onAuthorizationRequired: (challenge: AuthorizationRequiredError) => {
        void rig.consent(challenge.authorizationUrl, name)
      },
    })
    expect(token.account).toBe('default')
  })

  it.each([
    ['denied', { deny: true }, '', ConsentDeniedError],
    ['opened by another user', {}, '-other', ConsentWrongUserError],
  ] as const)('stops at once when it was %s', async (_, options, suffix, type) => {
    const { name, credentials, acting } = somebody()
    const error = await credentials
      .getToken(acting, {
        ...read,
        onAuthorizationRequired: async ({ authorizationUrl }: AuthorizationRequiredError) => {
          await rig.consent(authorizationUrl, name + suffix, options)
        },
      })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(type)
  })

  it('stops at once when the code did not redeem', async () => {
    const { name, credentials, acting } = somebody()
    const error = await credentials
      .getToken(acting, {
        ...read,
        onAuthorizationRequired: async ({ authorizationUrl }: AuthorizationRequiredError) => {
          const callback = new URL(await rig.callbackUrlOf(authorizationUrl, name))
          callback.searchParams.set('code', 'made-up')
          await rig.browserOf(name).open(callback.href)
        },
      })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConsentFailedError)
    expect(error).toMatchObject({ reason: 'invalid_grant' })
  })

  it('honours an AbortSignal, its own time limit, and close() (O50)', async () => {
    const { credentials, acting } = somebody()
    const { sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const controller = new AbortController()
    const reason = new Error('the caller went away')
    const pending = credentials.getToken(acting, { ...wait, signal: controller.signal })
    setTimeout(() => controller.abort(reason), 50)
    await expect(pending).rejects.toBe(reason)
    await expect(
      credentials.waitForAuthorization(acting, sessionUri, { timeoutMs: 50 }),
    ).rejects.toMatchObject({ name: 'TimeoutError' })
    const closing = credentials.waitForAuthorization(acting, sessionUri)
    setTimeout(() => credentials.close(), 50)
    await expect(closing).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('lets the function that is told decide to throw', async () => {
    const { credentials, acting } = somebody()
    const reason = new Error('no human here')
    await expect(
      credentials.getToken(acting, {
        ...read,
        onAuthorizationRequired: () => {
          throw reason
        },
      }),
    ).rejects.toBe(reason)
  })

  it('names the scopes that the provider did not grant, and only those (O18)', async () => {
    const { name, credentials, acting } = somebody()
    const error = await credentials
      .getToken(acting, {
        provider: 'calendar',
        scopes: ['read', 'unknown:scope'],
        onAuthorizationRequired: async ({ authorizationUrl }: AuthorizationRequiredError) => {
          await rig.consent(authorizationUrl, name)
        },
      })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ScopeNotGrantedError)
    expect(error).toMatchObject({ missingScopes: ['unknown:scope'] })
  })
})

describe('several accounts', () => {
  const mail = { provider: 'mail', scopes: ['read'] }

  async function connect(
    options: { account?: string; as: string; scopes?: string[] },
    who = somebody(),
  ) {
    const { account, as, scopes = ['read'] } = options
    const challenge = await who.credentials.beginAuthorization(who.acting, {
      ...mail,
      scopes,
      ...(account === undefined ? {} : { account }),
    })
    // The application's user stays the same; the account at the provider is whoever signs in there.
    const page = await rig.browserOf(who.name).open(challenge.authorizationUrl, { login: as })
    return { ...who, page, challenge }
  }

  it('labels an account by what the OpenID provider says of it', async () => {
    const { credentials, acting } = await connect({ as: 'ann' })
    expect((await credentials.getToken(acting, mail)).account).toBe('ann@mail.example')
  })

  it('makes a second row of another account, and asks which when none is named', async () => {
    const who = await connect({ as: 'ann' })
    await connect({ as: 'ann-work' }, who)
    const error = await who.credentials.getToken(who.acting, mail).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(AccountAmbiguousError)
    expect(error).toMatchObject({ accounts: ['ann@mail.example', 'ann-work@mail.example'] })
    for (const login of ['ann', 'ann-work']) {
      const token = await who.credentials.getToken(who.acting, {
        ...mail,
        account: `${login}@mail.example`,
      })
      expect(JSON.parse(atob(token.value.split('.')[1]!)).sub).toBe(login)
    }
  })

  it('renews the same account in its own row', async () => {
    const who = await connect({ as: 'ann' })
    await connect({ as: 'ann', scopes: ['write'] }, who)
    const token = await who.credentials.getToken(who.acting, { ...mail, scopes: ['write'] })
    expect(token.account).toBe('ann@mail.example')
  })

  it('makes a second row when more scopes are consented to with another account', async () => {
    const who = await connect({ as: 'ann' })
    const { authorizationUrl } = await challengeOf(
      who.credentials.getToken(who.acting, { ...mail, scopes: ['write'] }),
    )
    await rig.browserOf(who.name).open(authorizationUrl, { login: 'ann-work' })
    const held = (account: string) =>
      who.credentials.getToken(who.acting, { ...mail, account }).then(
        (token) => JSON.parse(atob(token.value.split('.')[1]!)).sub,
        (error) => error.code,
      )
    expect(await held('ann@mail.example')).toBe('ann')
    expect(await held('ann-work@mail.example')).toBe('ann-work')
  })

  it('keeps the name that the application gave when the same account consents again', async () => {
    const who = await connect({ as: 'ann', account: 'work' })
    const { authorizationUrl } = await challengeOf(
      who.credentials.getToken(who.acting, { ...mail, scopes: ['write'] }),
    )
    await rig.browserOf(who.name).open(authorizationUrl, { login: 'ann' })
    await connect({ as: 'ann', scopes: ['admin'] }, who)
    const token = await who.credentials.getToken(who.acting, { ...mail, scopes: ['admin'] })
    expect(token.account).toBe('work')
  })

  it('keeps a named account for the account that it was made with', async () => {
    const who = await connect({ as: 'ann', account: 'work' })
    const first = await who.credentials.getToken(who.acting, { ...mail, account: 'work' })
    const { challenge } = await connect({ as: 'mallory', account: 'work' }, who)
    expect(await who.credentials.authorizationStatus(who.acting, challenge.sessionUri)).toBe(
      'failed',
    )
    const still = await who.credentials.getToken(who.acting, { ...mail, account: 'work' })
    expect(still.value).toBe(first.value)
  })

  it('asks for a consent of its own for an account that is not connected', async () => {
    const who = await connect({ as: 'ann' })
    const challenge = await challengeOf(
      who.credentials.getToken(who.acting, { ...mail, account: 'home' }),
    )
    expect(challenge.account).toBe('home')
  })
})

describe('pending consents', () => {
  it('are at most ten a user: the oldest of eleven gives way, and its waiter is told (D02)', async () => {
    const { credentials, acting } = somebody()
    const ask = (scope: string) =>
      challengeOf(credentials.getToken(acting, { provider: 'calendar', scopes: [scope] }))
    const first = await ask('s0')
    const waiting = credentials
      .waitForAuthorization(acting, first.sessionUri)
      .catch((e: unknown) => e)
    const others = []
    for (let i = 1; i <= 10; i++) others.push(await ask(`s${i}`))
    expect(await waiting).toBeInstanceOf(ConsentExpiredError)
    const states = await Promise.all(
      others.map((one) => credentials.authorizationStatus(acting, one.sessionUri)),
    )
    expect(states).toEqual(others.map(() => 'pending'))
  })

  it('that are finished make room', async () => {
    const { name, credentials, acting } = somebody()
    const open = await challengeOf(
      credentials.getToken(acting, { provider: 'files', scopes: ['files'] }),
    )
    for (let i = 0; i < 10; i++) {
      const { authorizationUrl } = await challengeOf(
        credentials.getToken(acting, { provider: 'calendar', scopes: [`s${i}`] }),
      )
      await rig.consent(authorizationUrl, name, { deny: true })
    }
    expect(await credentials.authorizationStatus(acting, open.sessionUri)).toBe('pending')
  })

  it('of one user do not touch those of another', async () => {
    const [a, b] = [somebody(), somebody()]
    const theirs = await challengeOf(b.credentials.getToken(b.acting, read))
    for (let i = 0; i < 11; i++) {
      await challengeOf(a.credentials.getToken(a.acting, { ...read, scopes: [`s${i}`] }))
    }
    expect(await b.credentials.authorizationStatus(b.acting, theirs.sessionUri)).toBe('pending')
  })

  it('cannot be looked up by another user, another agent, or by guessing (O52)', async () => {
    const { WorkloadIdentity } = await import('deputize')
    const { name, credentials, acting } = somebody()
    const { sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const asked = [
      [rig.agent.unverifiedUser(user('mallory')), sessionUri],
      [rig.agent.actAsSelf(), sessionUri],
      [new WorkloadIdentity({ name: 'other-agent' }).unverifiedUser(user(name)), sessionUri],
      [acting, sessionUri.slice(0, -1)],
      [acting, `${sessionUri.slice(0, -1)}_`],
      [acting, 'urn:deputize:consent-session:'],
      [acting, sessionUri.replace('deputize', 'other')],
      [acting, ''],
      [acting, undefined as never],
    ] as const
    for (const [who, uri] of asked) {
      const errors = await Promise.all([
        credentials.authorizationStatus(who, uri).catch((e: unknown) => e),
        credentials.waitForAuthorization(who, uri).catch((e: unknown) => e),
      ])
      for (const error of errors) expect(error).toBeInstanceOf(ConsentSessionError)
    }
    await expect(
      credentials.completeAuthorization({ sessionUri, user: user(name) }),
    ).rejects.toBeInstanceOf(ConsentSessionError)
  })
})
