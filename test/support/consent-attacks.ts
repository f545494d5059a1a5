/**
 * Attacks on the consent road, each against a real OpenID provider and an application on loopback. Shared by the tests and
 * by `npm run proof consent-attacks`.
 */
import { type OutboundCredentialProvider, oauth2 } from 'deputize'
import { type ConsentRig, challengeOf, startConsentRig, user } from './consent-rig.js'
import { type HostileServer, replyJson, startHostileServer } from './hostile-server.js'

interface AttackOutcome {
  readonly attempts: number
  /** Attempts after which somebody had a token whom nobody meant to have it. */
  successes: number
}

export interface Scene extends AsyncDisposable {
  readonly rig: ConsentRig
  readonly credentials: OutboundCredentialProvider
  /** A provider that the application trusts as little as any other, and that is hostile. */
  readonly evil: HostileServer
  /** Authorization codes that reached it. */
  codesAtEvil(): number
  /** Grants that attacks left in the vault. */
  grantsStored: number
}

export interface Attack {
  readonly id: string
  readonly title: string
  run(scene: Scene): Promise<AttackOutcome>
}

const read = { provider: 'calendar', scopes: ['read'] } as const
let people = 0

export async function startScene(): Promise<Scene> {
  const rig = await startConsentRig()
  const evil = await startHostileServer()
  evil.routes.set('/token', replyJson({ access_token: 'stolen', token_type: 'Bearer' }))
  const credentials = rig.open({
    providers: {
      evil: oauth2({
        issuer: evil.issuer,
        clientId: 'agent-at-evil',
        clientSecret: 'evil-secret',
        allowInsecureLoopback: true,
      }),
    },
  })
  return {
    rig,
    credentials,
    evil,
    codesAtEvil: () => evil.tokenRequests().filter(({ form }) => form.has('code')).length,
    grantsStored: 0,
    async [Symbol.asyncDispose]() {
      await rig.close()
      await evil[Symbol.asyncDispose]()
    },
  }
}

/** Two users whom no other attack has met. */
function cast(scene: Scene) {
  const n = ++people
  const [alice, mallory] = [`alice${n}`, `mallory${n}`]
  const acting = (subject: string) => scene.rig.agent.unverifiedUser(user(subject))
  return { alice, mallory, acting }
}

/** Whether any of the users has a token at any provider now. A success of the attack: no honest consent was finished. */
async function anybodyConnected(scene: Scene, subjects: readonly string[]): Promise<boolean> {
  let found = 0
  for (const subject of subjects) {
    for (const provider of ['calendar', 'evil']) {
      const acting = scene.rig.agent.unverifiedUser(user(subject))
      const served = scene.credentials.getToken(acting, { provider, scopes: ['read'] })
      found += await served.then(
        () => 1,
        () => 0,
      )
    }
  }
  scene.grantsStored += found
  return found > 0
}

/** Runs `attempt` on a fresh consent of Alice's, and counts it when somebody is connected or the honest server was asked. */
async function attempts<T>(
  scene: Scene,
  variants: readonly T[],
  attempt: (
    variant: T,
    on: ReturnType<typeof cast> & { readonly link: string; readonly sessionUri: string },
  ) => Promise<unknown>,
  options: { readonly mayAsk?: boolean } = {},
): Promise<AttackOutcome> {
  let successes = 0
  for (const variant of variants) {
    const who = cast(scene)
    const challenge = await challengeOf(scene.credentials.getToken(who.acting(who.alice), read))
    const before = scene.rig.tokenRequests()
    const { authorizationUrl: link, sessionUri } = challenge
    await attempt(variant, { ...who, link, sessionUri })
    const asked = scene.rig.tokenRequests() > before && !options.mayAsk
    if ((await anybodyConnected(scene, [who.alice, who.mallory])) || asked) successes++
  }
  return { attempts: variants.length, successes }
}

/** The callback address of `link`, changed. */
async function tampered(
  scene: Scene,
  link: string,
  subject: string,
  change: (url: URL) => void,
): Promise<string> {
  const url = new URL(await scene.rig.callbackUrlOf(link, subject))
  change(url)
  return url.href
}

/**
 * Lets the evil provider send the user on to the honest one with our state: cross-app OAuth account takeover.
 *
 * @param iss What the answer says of its issuer; not every honest server sends it.
 */
async function throughEvil(
  scene: Scene,
  redirectTo: string,
  subject: string,
  iss: 'honest' | 'none' | 'evil',
): Promise<void> {
  const { rig, evil, credentials } = scene
  const acting = rig.agent.unverifiedUser(user(subject))
  evil.routes.set('/authorize', (response, request) => {
    const asked = new URL(request.target, evil.issuer).searchParams
    const onward = new URL(`${rig.services.issuer}/auth`)
    onward.search = new URLSearchParams({
      response_type: 'code',
      client_id: 'agent',
      redirect_uri: `${rig.origin}/oauth/callback/${redirectTo}`,
      scope: 'read',
      state: asked.get('state') ?? '',
      code_challenge: asked.get('code_challenge') ?? '',
      code_challenge_method: 'S256',
    }).toString()
    response.writeHead(302, { location: onward.href }).end()
  })
  const { authorizationUrl } = await challengeOf(
    credentials.getToken(acting, { provider: 'evil', scopes: ['read'] }),
  )
  const browser = rig.browserOf(subject)
  const page = await browser.open(authorizationUrl, {
    stopAt: (next) => next.origin === rig.origin,
  })
  const callback = new URL(page.url)
  if (iss === 'none') callback.searchParams.delete('iss')
  if (iss === 'evil') callback.searchParams.set('iss', evil.issuer)
  await browser.open(callback.href)
}

export const attacks: readonly Attack[] = [
  {
    id: 'O01',
    title: 'a link that was forwarded to another user',
    run: (scene) =>
      attempts(scene, [1, 2, 3], (_, { link, mallory }) => scene.rig.consent(link, mallory)),
  },
  {
    id: 'O01',
    title: 'the callback of a consent of the attacker, opened by the victim',
    run: (scene) =>
      attempts(scene, [1, 2, 3], async (_, { link, alice, mallory }) => {
        const callback = await scene.rig.callbackUrlOf(link, alice)
        await scene.rig.browserOf(mallory).open(callback)
      }),
  },
  {
    id: 'O02',
    title: 'a link opened by a browser that is signed in to nobody',
    run: (scene) =>
      attempts(scene, [1], async (_, { link, alice }) => {
        await fetch(await scene.rig.callbackUrlOf(link, alice))
      }),
  },
  {
    id: 'O03',
    title: 'a provider that redirects to an honest one with our state',
    run: (scene) =>
      attempts(scene, ['honest', 'none', 'evil'] as const, async (iss, { alice }) => {
        await throughEvil(scene, 'calendar', alice, iss)
        await throughEvil(scene, 'files', alice, iss)
      }),
  },
  {
    id: 'O04',
    title: 'a code of one provider sent to the callback of another',
    run: (scene) =>
      attempts(scene, ['evil', 'honest', undefined], async (iss, { link, alice }) => {
        const { rig, evil } = scene
        const callback = await tampered(scene, link, alice, ({ searchParams }) => {
          searchParams.set('code', 'code-of-evil')
          if (iss === 'evil') searchParams.set('iss', evil.issuer)
          if (iss === undefined) searchParams.delete('iss')
        })
        const target = iss === 'honest' ? callback.replace('/calendar?', '/evil?') : callback
        await rig.browserOf(alice).open(target)
      }),
  },
  {
    id: 'O05',
    title: 'iss missing, wrong, doubled or almost right',
    run: (scene) =>
      attempts(
        scene,
        ['', 'https://evil.example', 'slash', 'double', 'double-wrong', 'case', 'gone'] as const,
        async (kind, { link, alice }) => {
          const { issuer } = scene.rig.services
          const callback = await tampered(scene, link, alice, ({ searchParams }) => {
            searchParams.delete('iss')
            if (kind === 'gone') return
            if (kind === 'double' || kind === 'double-wrong') searchParams.append('iss', issuer)
            if (kind === 'double') searchParams.append('iss', issuer)
            else if (kind === 'double-wrong') searchParams.append('iss', 'https://evil.example')
            else if (kind === 'slash') searchParams.append('iss', `${issuer}/`)
            else if (kind === 'case') searchParams.append('iss', issuer.toUpperCase())
            else searchParams.append('iss', kind)
          })
          await scene.rig.browserOf(alice).open(callback)
        },
      ),
  },
  {
    id: 'O06',
    title: 'state missing, empty, guessed, cut, doubled, an array, or 10 kB long',
    run: (scene) =>
      attempts(
        scene,
        [
          (q) => q.delete('state'),
          (q) => q.set('state', ''),
          (q) => q.set('state', 'A'.repeat(43)),
          (q) => q.set('state', q.get('state')!.slice(0, -1)),
          (q) => q.set('state', `${q.get('state')} `),
          (q) => q.append('state', q.get('state')!),
          (q) => q.append('state', 'A'.repeat(43)),
          (q) => {
            q.set('state[]', q.get('state')!)
            q.delete('state')
          },
          (q) => q.set('state', 'A'.repeat(10_000)),
          (q) => q.set('state', '__proto__'),
        ] as readonly ((query: URLSearchParams) => void)[],
        async (change, { link, alice }) => {
          const callback = await tampered(scene, link, alice, (url) => change(url.searchParams))
          await scene.rig.browserOf(alice).open(callback)
        },
      ),
  },
  {
    id: 'O06',
    title: 'a state after its ten minutes',
    run: (scene) =>
      attempts(scene, [1], async (_, { link, alice }) => {
        const callback = await scene.rig.callbackUrlOf(link, alice)
        scene.rig.aheadMs += 600_001
        await scene.rig.browserOf(alice).open(callback)
      }),
  },
  {
    id: 'O10',
    title: 'the code of one session in the callback of another',
    run: (scene) =>
      attempts(
        scene,
        [1, 2],
        async (_, { link, alice, mallory, acting }) => {
          const theirs = await challengeOf(scene.credentials.getToken(acting(mallory), read))
          const stolen = new URL(await scene.rig.callbackUrlOf(theirs.authorizationUrl, mallory))
          const callback = await tampered(scene, link, alice, ({ searchParams }) =>
            searchParams.set('code', stolen.searchParams.get('code')!),
          )
          await scene.rig.browserOf(alice).open(callback)
        },
        { mayAsk: true }, // the code is sent, and the server refuses it: the verifier is another
      ),
  },
  {
    id: 'O11',
    title: 'an error callback that carries a page',
    run: (scene) =>
      attempts(scene, hostileTexts, async (text, { link, alice }) => {
        const callback = await tampered(scene, link, alice, ({ searchParams }) => {
          searchParams.delete('code')
          searchParams.set('error', text)
          searchParams.set('error_description', text)
          searchParams.set('error_uri', text)
        })
        const page = await scene.rig.browserOf(alice).open(callback)
        if (page.body.includes(text)) throw new Error(`The page shows ${text}`)
      }),
  },
  {
    id: 'W18',
    title: 'a callback that is posted, or asked for by another method',
    run: (scene) =>
      attempts(scene, ['POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'], async (method, on) => {
        const callback = await scene.rig.callbackUrlOf(on.link, on.alice)
        const headers = { cookie: `user=${on.alice}` }
        const { status } = await fetch(callback, { method, headers })
        if (status !== 405) throw new Error(`${method} gave ${status}`)
      }),
  },
]

/** Texts that would do harm on a page that showed them. */
export const hostileTexts: readonly string[] = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  'javascript:alert(1)',
  "' onmouseover='alert(1)",
  '</title><svg/onload=alert(1)>',
  '{{7*7}}<%= 7*7 %>',
  'access_denied<b>',
  'a\r\nset-cookie: user=mallory',
  '\u202egnp.exe',
]
