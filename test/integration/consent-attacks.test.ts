import { ConsentWrongUserError, OutboundCredentialProvider } from 'deputize'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attacks, hostileTexts, type Scene, startScene } from '../support/consent-attacks.js'
import { challengeOf, user } from '../support/consent-rig.js'

let scene: Scene
beforeAll(async () => {
  scene = await startScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

const read = { provider: 'calendar', scopes: ['read'] } as const
let people = 0
const someone = () => {
  const name = `someone${++people}`
  return { name, acting: scene.rig.agent.unverifiedUser(user(name)) }
}

describe('attacks on the consent road', () => {
  it.each(attacks.map((attack) => [attack.title, attack.id, attack] as const))(
    'end with nothing stored: %s (%s)',
    async (_title, _id, attack) => {
      const codes = scene.codesAtEvil()
      const { attempts, successes } = await attack.run(scene)
      expect(attempts).toBeGreaterThan(0)
      expect(successes).toBe(0)
      expect(scene.codesAtEvil() - codes).toBe(0)
      scene.rig.aheadMs = 0
    },
  )

  it('tell the one who was asked, and the audit trail, of a forwarded link (O01)', async () => {
    const { acting, name } = someone()
    const { rig, credentials } = scene
    const challenge = await challengeOf(credentials.getToken(acting, read))
    const waiting = credentials.waitForAuthorization(acting, challenge.sessionUri)
    const outcome = expect(waiting).rejects.toBeInstanceOf(ConsentWrongUserError)
    const page = await rig.consent(challenge.authorizationUrl, 'mallory')
    await outcome
    expect(page.status).toBe(403)
    expect(rig.audit.findLast((event) => event.type === 'consent_refused')).toMatchObject({
      reason: 'opened by another user',
      user: user(name),
      sessionUri: challenge.sessionUri,
    })
    // The link is dead for Alice too: she gets a new one.
    expect((await rig.consent(challenge.authorizationUrl, name)).status).toBe(403)
    const again = await challengeOf(credentials.getToken(acting, read))
    expect(again.sessionUri).not.toBe(challenge.sessionUri)
  })

  it('compare issuer and subject of the user, not the subject alone (O01)', async () => {
    const { acting, name } = someone()
    const { authorizationUrl } = await challengeOf(scene.credentials.getToken(acting, read))
    const callback = await scene.rig.callbackUrlOf(authorizationUrl, name)
    const answer = await scene.credentials.handleCallback(new Request(callback), {
      user: { issuer: 'https://elsewhere.example', subject: name },
    })
    expect(answer.status).toBe(403)
    await challengeOf(scene.credentials.getToken(acting, read))
  })

  it('exchange a code once when the callback comes ten times at once (O09)', async () => {
    const { acting, name } = someone()
    const { rig, credentials } = scene
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const before = rig.tokenRequests()
    const pages = await Promise.all(
      Array.from({ length: 10 }, () => rig.browserOf(name).open(callback)),
    )
    expect(rig.tokenRequests() - before).toBe(1)
    expect(pages.map((page) => page.status)).toEqual(Array(10).fill(200)) // all go where the first goes
    const token = await credentials.getToken(acting, read)
    // Back, reload: the connection stands, and the server is not asked again.
    expect((await rig.browserOf(name).open(callback)).status).toBe(200)
    expect((await credentials.getToken(acting, read)).value).toBe(token.value)
    expect(rig.tokenRequests() - before).toBe(1)
  })

  it('exchange a code once when two processes get the callback (O09)', async () => {
    const { acting, name } = someone()
    const { rig, credentials } = scene
    const other = rig.open()
    const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
    const callback = await rig.callbackUrlOf(authorizationUrl, name)
    const before = rig.tokenRequests()
    const answers = await Promise.all(
      [credentials, other, credentials, other].map((one) =>
        one.handleCallback(new Request(callback), { user: user(name) }),
      ),
    )
    expect(rig.tokenRequests() - before).toBe(1)
    expect(answers.filter((answer) => answer.status === 200).length).toBeGreaterThanOrEqual(1)
  })

  it('close the session on an error callback and say what it was (O11)', async () => {
    const { acting, name } = someone()
    const { rig, credentials } = scene
    const { authorizationUrl, sessionUri } = await challengeOf(credentials.getToken(acting, read))
    const url = new URL(await rig.callbackUrlOf(authorizationUrl, name))
    url.searchParams.delete('code')
    url.searchParams.set('error', 'server_error')
    await rig.browserOf(name).open(url.href)
    await expect(credentials.waitForAuthorization(acting, sessionUri)).rejects.toMatchObject({
      code: 'ERR_CONSENT_FAILED',
      reason: 'server_error',
    })
  })

  it.each(['done', 'failed', 'unknown', 'invalid', 'wrong-user', 'sign-in'])(
    'get pages that nothing can be put into: %s (O11)',
    async (kind) => {
      const { acting, name } = someone()
      const { rig, credentials } = scene
      const { authorizationUrl } = await challengeOf(credentials.getToken(acting, read))
      const url = new URL(await rig.callbackUrlOf(authorizationUrl, name))
      if (kind === 'failed') url.searchParams.set('iss', hostileTexts[0]!)
      if (kind === 'unknown') url.searchParams.set('state', 'A'.repeat(43))
      if (kind === 'invalid') url.searchParams.set('state', hostileTexts[0]!)
      hostileTexts.forEach((text, i) => {
        url.searchParams.set(`x${i}`, text)
      })
      const cookie = kind === 'wrong-user' ? 'user=mallory' : `user=${name}`
      const answer = await fetch(url, kind === 'sign-in' ? {} : { headers: { cookie } })
      const body = await answer.text()
      for (const text of hostileTexts) expect(body).not.toContain(text)
      expect(body).not.toMatch(/<(script|style|img|link|iframe|form|a)\b/)
      expect(body).not.toContain(url.searchParams.get('code'))
      expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    },
  )
})

describe('the state machine of a session', () => {
  /** What the tests may do to one session, in any order, and what its state allows (O52, O53). */
  type Step =
    | 'callback'
    | 'wrong-callback'
    | 'complete'
    | 'wrong-complete'
    | 'senders-complete'
    | 'minute'
    | 'ten-minutes'
  const steps: readonly Step[] = [
    'callback',
    'wrong-callback',
    'complete',
    'wrong-complete',
    'senders-complete',
    'minute',
    'ten-minutes',
  ]

  it.each([
    ['with a user at the callback', true],
    ['by the sealed-code road', false],
  ])('holds for any order of events, %s (O52, O53)', async (_, known) => {
    const { rig } = scene
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...steps), { maxLength: 7 }), async (order) => {
        const { acting, name } = someone()
        rig.aheadMs = 0
        const credentials = rig.open(known ? {} : { identifyUser: undefined as never })
        const request = { ...read, returnUrl: `${rig.origin}/connected` }
        const challenge = await challengeOf(credentials.getToken(acting, request))
        const callback = await rig.callbackUrlOf(challenge.authorizationUrl, name)
        const before = rig.tokenRequests()
        let model: 'pending' | 'code-held' | 'done' | 'wrong-user' | 'expired' = 'pending'
        let heldAtMs = 0
        let brought = challenge.sessionUri
        for (const step of order) {
          if (step === 'minute') rig.aheadMs += 60_000
          if (step === 'ten-minutes') rig.aheadMs += 600_000
          if (model === 'pending' && rig.aheadMs >= 600_000) model = 'expired'
          if (model === 'code-held' && rig.aheadMs - heldAtMs >= 60_000) model = 'expired'
          if (step.endsWith('callback')) {
            const subject = step === 'callback' ? name : 'mallory'
            const headers = { cookie: `user=${subject}` }
            const answer = await credentials.handleCallback(new Request(callback, { headers }))
            const back = answer.headers.get('location')
            if (model === 'pending' && back) brought = new URL(back).searchParams.get('session')!
            if (model === 'pending') {
              if (!known) heldAtMs = rig.aheadMs
              model = !known ? 'code-held' : subject === name ? 'done' : 'wrong-user'
            }
          }
          if (step.endsWith('complete')) {
            // Who was shown the link is the user who was asked, and has not got the ticket of the browser.
            const sent = step === 'senders-complete'
            const subject = step === 'wrong-complete' ? 'mallory' : name
            const sessionUri = sent ? challenge.sessionUri : brought
            const completed = await credentials
              .completeAuthorization({ sessionUri, user: user(subject) })
              .then(
                () => true,
                () => false,
              )
            expect(completed).toBe(model === 'code-held' && subject === name && !sent)
            if (model === 'code-held' && !sent) model = completed ? 'done' : 'wrong-user'
          }
          const status = await credentials.authorizationStatus(acting, challenge.sessionUri)
          expect(status).toBe(model === 'code-held' ? 'pending' : model)
        }
        expect(rig.tokenRequests() - before).toBe(model === 'done' ? 1 : 0)
      }),
      { numRuns: 25 },
    )
    rig.aheadMs = 0
  })
})

it('an OutboundCredentialProvider has no road around the binding', () => {
  const methods = Object.getOwnPropertyNames(OutboundCredentialProvider.prototype).sort()
  expect(methods).toEqual([
    'authorizationStatus',
    'awsCredentials',
    'beginAuthorization',
    'bind',
    'close',
    'completeAuthorization',
    'connections',
    'constructor',
    'disconnect',
    'getApiKey',
    'getAwsCredentials',
    'getToken',
    'getTokens',
    'handleCallback',
    'pendingAuthorization', // gives a link again, to the user who was asked alone
    'provider',
    'runAs',
    'waitForAuthorization',
  ])
})
