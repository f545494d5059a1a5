import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { listen } from '../../../test/support/local-server.js'
import { findAuthorizationRequired } from '../../errors/consent.js'
import { OutboundCredentialProvider } from '../../outbound/credential-provider.js'
import { oauth2 } from '../../providers/oauth2.js'
import { startAuthorizationServer } from '../../testing/authorization-server.js'
import { requireToken } from '../../tools/require-token.js'
import { WorkloadIdentity } from '../../workload/identity.js'
import { type LoopbackCallback, loopbackCallback } from './loopback-callback.js'

function asked(callback: LoopbackCallback, host: string): Promise<number | undefined> {
  return new Promise((done, failed) => {
    request(callback.callbackUrl, { headers: { host } }, (response) => {
      response.resume().on('end', () => done(response.statusCode))
    })
      .on('error', failed)
      .end()
  })
}

describe('loopbackCallback', () => {
  it('takes one person at a terminal through a consent', async () => {
    await using server = await startAuthorizationServer({ user: 'ada' })
    await using callback = await loopbackCallback()
    const credentials = new OutboundCredentialProvider({
      providers: {
        api: oauth2({
          issuer: server.issuer,
          clientId: server.clientId,
          clientSecret: server.clientSecret,
          allowInsecureLoopback: true,
        }),
      },
      callbackUrl: callback.callbackUrl,
      identifyUser: 'unsafe-single-user',
      allowInsecureLoopback: true,
    })
    callback.handle((incoming) => credentials.handleCallback(incoming))
    const agent = new WorkloadIdentity({ name: 'terminal-agent' })
    const me = agent.unverifiedUser({ issuer: 'urn:this-machine', subject: 'me' })
    const tool = requireToken({ provider: 'api', scopes: ['read'] }, (token) => token)
    const asMe = () => credentials.runAs(me, () => tool())

    const consent = findAuthorizationRequired(await asMe().catch((error: unknown) => error))
    expect(consent?.provider).toBe('api')
    const page = await fetch(consent!.authorizationUrl)
    expect([page.status, new URL(page.url).origin]).toEqual([
      200,
      new URL(callback.callbackUrl).origin,
    ])
    const token = await asMe()
    const claims = JSON.parse(Buffer.from(token.value.split('.')[1]!, 'base64url').toString())
    expect(claims).toMatchObject({ sub: 'ada', scope: expect.stringContaining('read') })
    credentials.close()
  })

  it('gives an address on 127.0.0.1 with a free port, or the one asked for', async () => {
    await using callback = await loopbackCallback()
    expect(callback.callbackUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
    const { port } = new URL(callback.callbackUrl)
    await callback.close()
    await using again = await loopbackCallback({ port: Number(port) })
    expect(again.callbackUrl).toBe(callback.callbackUrl)
  })

  it('answers 503 until somebody handles, and then with what they say', async () => {
    await using callback = await loopbackCallback()
    expect((await fetch(callback.callbackUrl)).status).toBe(503)
    callback.handle(async (incoming) => new Response(incoming.url))
    expect(await (await fetch(`${callback.callbackUrl}/api?x=1`)).text()).toBe(
      `${callback.callbackUrl}/api?x=1`,
    )
  })

  it('W18 answers no page that comes by another name (DNS rebinding)', async () => {
    await using callback = await loopbackCallback()
    let handled = 0
    callback.handle(async () => {
      handled++
      return new Response()
    })
    const { port, host } = new URL(callback.callbackUrl)
    for (const other of [
      `evil.example:${port}`,
      'evil.example',
      `localhost:${port}`,
      '127.0.0.1',
      `127.0.0.1:${Number(port) + 1}`,
      `127.0.0.1.evil.example:${port}`,
    ]) {
      expect(await asked(callback, other), other).toBe(404)
    }
    expect(handled).toBe(0)
    expect(await asked(callback, host)).toBe(200)
  })

  it('rejects when the port is taken', async () => {
    await using taken = await listen(() => {})
    await expect(loopbackCallback({ port: taken.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
  })

  it('closes at once, with a browser still connected, and twice', async () => {
    const callback = await loopbackCallback()
    const asking = new Promise<void>((handled) => {
      callback.handle(() => {
        handled()
        return new Promise(() => {})
      })
    })
    const open = fetch(callback.callbackUrl)
    open.catch(() => {})
    await asking
    await callback.close()
    await callback.close()
    await expect(open).rejects.toThrow()
    await expect(fetch(callback.callbackUrl)).rejects.toThrow()
  })
})
