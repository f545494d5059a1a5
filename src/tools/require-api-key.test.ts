import { describe, expect, it } from 'vitest'
import { actingFor, agent, FakeCredentials } from '../../test/support/credentials.js'
import { currentActing } from '../context/run-context.js'
import { NoActingContextError } from '../errors/workload.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { apiKey } from '../providers/api-key.js'
import { oauth2 } from '../providers/oauth2.js'
import { Secret } from '../secret.js'
import { requireApiKey } from './require-api-key.js'

const credentials = new OutboundCredentialProvider({
  providers: {
    search: apiKey({ key: 'k-1' }),
    late: apiKey({ key: async () => new Secret('k-2') }),
    broken: apiKey({ key: () => 'k\r\nX-Evil: 1' }),
    oauth: oauth2({ issuer: 'https://idp.example', clientId: 'c', clientSecret: 's' }),
  },
})
const asSelf = <T>(fn: () => T) => credentials.runAs(agent.actAsSelf(), fn)
const search = { provider: 'search' }

describe('requireApiKey', () => {
  it('injects the key first, as a Secret', async () => {
    const tool = requireApiKey(search, (key, text: string, limit = 10) => [key, text, limit])
    const [key, ...args] = await asSelf(() => tool('x'))
    expect(key).toBeInstanceOf(Secret)
    expect((key as Secret).reveal()).toBe('k-1')
    expect(`${key}${JSON.stringify(key)}`).not.toContain('k-1')
    expect(args).toEqual(['x', 10])
  })

  it('calls the function of a key at each use', async () => {
    const tool = requireApiKey({ provider: 'late' })((key: Secret) => key.reveal())
    expect(await asSelf(() => tool())).toBe('k-2')
  })

  it('W16 keeps name, this and the length of the parameters left', async () => {
    function find(this: { id: number }, _: Secret, text: string) {
      return `${this.id} ${text}`
    }
    const tool = requireApiKey(search, find)
    expect([tool.name, tool.length]).toEqual(['find', 1])
    expect(await asSelf(() => tool.call({ id: 1 }, 'x'))).toBe('1 x')
  })

  it('W08 rejects outside of any scope', async () => {
    await expect(requireApiKey(search, () => 1)()).rejects.toBeInstanceOf(NoActingContextError)
  })

  it('takes acting and credentials as values and as functions of the call', async () => {
    const fake = new FakeCredentials()
    const byValue = requireApiKey(
      { ...search, acting: actingFor('ada'), credentials: fake },
      (key) => key.reveal(),
    )
    expect(await byValue()).toBe('key.ada.search')
    const byCall = requireApiKey(
      { ...search, acting: (name: string) => actingFor(name), credentials: () => fake },
      (key, _name: string) => [key.reveal(), currentActing().user?.subject],
    )
    expect(await byCall('bob')).toEqual(['key.bob.search', 'bob'])
  })

  it('O56 does not run the function with a key that would break a header', async () => {
    let ran = false
    const tool = requireApiKey({ provider: 'broken' }, () => {
      ran = true
    })
    const error = await asSelf(() => tool()).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).not.toContain('Evil')
    expect(ran).toBe(false)
  })

  it.each(['oauth', 'none'])('rejects for the provider %s, which has no key', async (provider) => {
    await expect(asSelf(() => requireApiKey({ provider }, () => 1)())).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
    })
  })

  it('W16 refuses generators, a second time, no function and wrong options', () => {
    expect(() => requireApiKey(search, function* () {})).toThrow(TypeError)
    expect(() =>
      requireApiKey(
        search,
        requireApiKey(search, () => 1),
      ),
    ).toThrow(TypeError)
    expect(() => requireApiKey(search, undefined as never)).toThrow(TypeError)
    expect(() => requireApiKey({ provider: '' })).toThrow(TypeError)
  })

  it('W16 decorates nothing, and says what to do', () => {
    const decorate = requireApiKey(search) as unknown as (...args: unknown[]) => never
    expect(
      () =>
        class {
          @decorate
          async find() {}
        },
    ).toThrow(/does not decorate methods/)
    expect(() => decorate(class {}, 'find', {})).toThrow(/does not decorate methods/)
  })
})
