import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type ClientAuthMethod, checkClient, clientAuthenticator } from './client-auth.js'

async function sent(clientAuth: ClientAuthMethod, clientId: string, clientSecret?: string) {
  const request = { body: new URLSearchParams({ grant_type: 'x' }), headers: new Headers() }
  const authenticate = await clientAuthenticator({ clientId, clientAuth, clientSecret })
  authenticate(request)
  const authorization = request.headers.get('authorization')
  return { body: String(request.body), basic: authorization && atob(authorization.slice(6)) }
}

/** A server that takes what stands before and after the colon as it is; most that do not decode are of this kind. */
const unreserved = 'ABCZabcz0189-._*'

describe('client authentication', () => {
  it.each<[id: string, secret: string, basic: string]>([
    ['my-agent', 's3cret', 'my-agent:s3cret'],
    ['c-1', 's_1', 'c-1:s_1'],
    [unreserved, unreserved, `${unreserved}:${unreserved}`],
    ['agent:1', 'a b', 'agent%3A1:a+b'],
    ['id', '+', 'id:%2B'],
    ['id', '%', 'id:%25'],
    ['id', '&=', 'id:%26%3D'],
    ['id', "~!'()", 'id:%7E%21%27%28%29'],
    ['id', 'é€', 'id:%C3%A9%E2%82%AC'],
    ['https://agent.example/client', 'x', 'https%3A%2F%2Fagent.example%2Fclient:x'],
  ])(
    'by client_secret_basic encodes %j and %j as RFC 6749 Appendix B says, and no more (O42)',
    async (id, secret, basic) => {
      expect(await sent('client_secret_basic', id, secret)).toEqual({ body: 'grant_type=x', basic })
    },
  )

  it('by client_secret_post is in the body only (O43)', async () => {
    expect(await sent('client_secret_post', 'my-agent', 'a b')).toEqual({
      body: 'grant_type=x&client_id=my-agent&client_secret=a+b',
      basic: null,
    })
  })

  it('by none names the client and proves nothing (O43)', async () => {
    expect(await sent('none', 'my-agent')).toEqual({
      body: 'grant_type=x&client_id=my-agent',
      basic: null,
    })
  })

  it('goes no further without a secret', async () => {
    for (const clientAuth of ['client_secret_basic', 'client_secret_post'] as const) {
      const client = { clientId: 'a', clientAuth, clientSecret: () => '' }
      await expect(clientAuthenticator(client, 'clientSecret of x')).rejects.toThrow(
        /^clientSecret of x must/,
      )
    }
  })

  it.each<[object, ClientAuthMethod]>([
    [{}, 'none'],
    [{ clientAuth: 'none', clientSecret: undefined }, 'none'],
    [{ clientSecret: 's' }, 'client_secret_basic'],
    [{ clientSecret: () => 's' }, 'client_secret_basic'],
    [{ clientSecret: 's', clientAuth: 'client_secret_post' }, 'client_secret_post'],
  ])('reads %j as %s', (options, method) => {
    expect(checkClient({ clientId: 'a', ...options }).clientAuth).toBe(method)
  })

  it.each<[object, RegExp]>([
    [{ clientSecret: undefined }, /^clientSecret .*environment variable/],
    [{ clientSecret: '' }, /^clientSecret /],
    [{ clientAuth: 'client_secret_basic' }, /^clientSecret /],
    [{ clientAuth: 'client_secret_post', clientSecret: undefined }, /^clientSecret /],
    [{ clientAuth: 'none', clientSecret: 's' }, /^clientAuth "none" takes no clientSecret/],
    [{ clientAuth: 'basic', clientSecret: 's' }, /^clientAuth must be .*got basic/],
    [{ clientAuth: null, clientSecret: 's' }, /^clientAuth must be/],
    [{ clientId: '' }, /^clientId /],
    [{ clientId: '\ud800' }, /^clientId /],
  ])('refuses the options %j', (options, message) => {
    const wrong = () => checkClient({ clientId: 'a', ...options } as never)
    expect(wrong).toThrow(TypeError)
    expect(wrong).toThrow(message)
  })

  it('keeps a secret that nobody prints', () => {
    const client = checkClient({ clientId: 'a', clientSecret: 'c4nary' })
    expect(inspect(client) + JSON.stringify(client)).not.toContain('c4nary')
  })
})
