import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium as engine, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsentRig, challengeOf, startConsentRig, user } from '../support/consent-rig.js'
import { chromium, needs } from './binaries.js'

const read = { provider: 'calendar', scopes: ['read'] } as const

describe.skipIf(chromium === undefined)(
  needs(chromium, 'chromium', 'consent in a real browser'),
  () => {
    let rig: ConsentRig
    const closing: (() => Promise<unknown>)[] = []

    /** A browser profile of its own, signed in to the application as `subject`. */
    async function profile(subject: string): Promise<BrowserContext> {
      const folder = mkdtempSync(join(tmpdir(), 'deputize-chromium-'))
      const context = await engine.launchPersistentContext(folder, {
        executablePath: chromium!,
        headless: true,
        args: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-quic',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
        ],
      })
      closing.push(async () => {
        await context.close()
        rmSync(folder, { recursive: true, force: true })
      })
      await context.addCookies([{ name: 'user', value: subject, url: rig.origin }])
      context.setDefaultTimeout(10_000)
      return context
    }

    /** Signs in at the provider as `login` and agrees, until the application's own page. */
    async function agree(page: Page, url: string, login: string): Promise<void> {
      await page.goto(url)
      for (let form = 0; form < 4 && !page.url().startsWith(rig.origin); form++) {
        if (await page.locator('input[name=login]').count()) {
          await page.fill('input[name=login]', login)
          await page.fill('input[name=password]', 'any')
        }
        await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')])
      }
    }

    let alice: BrowserContext
    let bob: BrowserContext
    beforeAll(async () => {
      rig = await startConsentRig()
      rig.open()
      ;[alice, bob] = await Promise.all([profile('alice'), profile('bob')])
    })
    afterAll(async () => {
      await Promise.all(closing.map((close) => close()))
      await rig.close()
    })

    const asked = (subject: string) => {
      const acting = rig.agent.unverifiedUser(user(subject))
      return { acting, ask: () => rig.serving.getToken(acting, read) }
    }

    it('refuses another profile that opens the link, and stores nothing (O01, O02)', async () => {
      const { acting, ask } = asked('alice')
      const challenge = await challengeOf(ask())
      const before = rig.tokenRequests()
      const page = await bob.newPage()
      await agree(page, challenge.authorizationUrl, 'bob')
      expect(await page.locator('h1').textContent()).toBe('Not your link')
      expect(rig.tokenRequests()).toBe(before)
      expect(await rig.serving.authorizationStatus(acting, challenge.sessionUri)).toBe('wrong-user')
      await challengeOf(ask())
      await challengeOf(asked('bob').ask())
      // And the link is dead for the one whom it was made for.
      const own = await alice.newPage()
      await agree(own, challenge.authorizationUrl, 'alice')
      expect(await own.locator('h1').textContent()).toBe('Not your link')
      expect(rig.tokenRequests()).toBe(before)
    })

    it('connects the one who was asked; back and reload do no harm (O09)', async () => {
      const { ask } = asked('alice')
      const { authorizationUrl } = await challengeOf(ask())
      const page = await alice.newPage()
      const before = rig.tokenRequests()
      await agree(page, authorizationUrl, 'alice')
      expect(await page.locator('h1').textContent()).toBe('Connected')
      const token = await ask()
      expect(JSON.parse(atob(token.value.split('.')[1]!)).sub).toBe('alice')

      await page.reload()
      expect(await page.locator('h1').textContent()).toBe('Connected')
      const callback = page.url()
      await page.goto(`${rig.origin}/`)
      await page.goBack()
      expect(page.url()).toBe(callback)
      expect(await page.locator('h1').textContent()).toBe('Connected')
      expect((await ask()).value).toBe(token.value)
      expect(rig.tokenRequests()).toBe(before + 1)
    })

    it('shows a page that runs nothing and tells nobody where it was (O11)', async () => {
      const { authorizationUrl } = await challengeOf(
        rig.serving.getToken(asked('alice').acting, { ...read, scopes: ['write'] }),
      )
      const callback = new URL(await rig.callbackUrlOf(authorizationUrl, 'alice'))
      callback.searchParams.set('error', '<script>document.title="owned"</script>')
      callback.searchParams.set('error_description', '<img src=x onerror=alert(1)>')
      callback.hash = '<svg/onload=alert(1)>'
      const page = await alice.newPage()
      const dialogs: string[] = []
      page.on('dialog', (dialog) => {
        dialogs.push(dialog.message())
        return dialog.dismiss()
      })
      const requests: string[] = []
      page.on('request', (request) => requests.push(new URL(request.url()).pathname))
      const answer = await page.goto(callback.href)
      expect(answer?.headers()['content-security-policy']).toMatch(/^default-src 'none'/)
      expect(await page.title()).toBe('Not connected')
      expect(await page.content()).not.toContain('onerror')
      expect(dialogs).toEqual([])
      expect(requests.filter((path) => path !== '/favicon.ico')).toEqual([callback.pathname])
      const ran = await page.evaluate(() => {
        const script = document.createElement('script')
        script.textContent = 'globalThis.owned = true'
        document.body.append(script)
        return 'owned' in globalThis
      })
      expect(ran).toBe(false)
    })

    it('cannot be posted to or framed from another site (W18)', async () => {
      const { acting, ask } = asked('carol')
      const { authorizationUrl, sessionUri } = await challengeOf(ask())
      const callback = await rig.callbackUrlOf(authorizationUrl, 'carol')
      const carol = await profile('carol')
      const page = await carol.newPage()
      // Another port of the same host: cookies go along, as SameSite would let them between sites of one application.
      await page.goto(`${rig.services.issuer}/.well-known/openid-configuration`)
      const before = rig.tokenRequests()
      const framed = callback.replace(/state=[^&]+/, `state=${'A'.repeat(43)}`)
      await page.setContent(
        `<form method=post action="${callback.replaceAll('&', '&amp;')}"><button>go</button></form>
         <iframe src="${framed.replaceAll('&', '&amp;')}"></iframe>`,
      )
      await expect
        .poll(() => page.frames().some((frame) => frame.url().startsWith('chrome-error://')))
        .toBe(true)
      await Promise.all([page.waitForNavigation(), page.click('button')])
      expect(await page.locator('h1').textContent()).toBe('Not this way')
      expect(rig.tokenRequests()).toBe(before)
      expect(await rig.serving.authorizationStatus(acting, sessionUri)).toBe('pending')
    })

    it('goes back to the return URL with the session in the address and no code', async () => {
      const { acting } = asked('bob')
      const challenge = await challengeOf(
        rig.serving.getToken(acting, { ...read, returnUrl: `${rig.origin}/connected` }),
      )
      const page = await bob.newPage()
      await agree(page, challenge.authorizationUrl, 'bob')
      const url = new URL(page.url())
      expect([url.pathname, [...url.searchParams.keys()]]).toEqual([
        '/connected',
        ['session', 'outcome'],
      ])
      expect(await page.evaluate(() => document.referrer)).not.toContain('code=')
      await rig.serving.getToken(acting, read)
    })
  },
)
