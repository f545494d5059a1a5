import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { actingFor, FakeCredentials } from '../../test/support/credentials.js'
import { AccessToken } from '../access-token.js'
import { accessToken, currentActing } from '../context/run-context.js'
import { NoActingContextError } from '../errors/workload.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { oauth2 } from '../providers/oauth2.js'
import {
  type RunningAuthorizationServer,
  startAuthorizationServer,
} from '../testing/authorization-server.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { requireApiKey } from './require-api-key.js'
import { requireToken } from './require-token.js'

const credentials = new FakeCredentials()
const ada = actingFor('ada')
const bob = actingFor('bob')
const asAda = <T>(fn: () => T) => credentials.runAs(ada, fn)
const api = { provider: 'api', scopes: ['read'] } as const

describe('requireToken with options and function', () => {
  it('injects the token first and leaves the arguments alone', async () => {
    const object = { a: 1 }
    const tool = requireToken(api, async (token, ...args: unknown[]) => [token, args])
    const [token, args] = (await asAda(() => tool(object, undefined, null))) as [
      AccessToken,
      unknown[],
    ]
    expect(token).toBeInstanceOf(AccessToken)
    expect(token.value).toBe('ada.api.read.0')
    expect(args).toEqual([object, undefined, null])
    expect(args[0]).toBe(object)
  })

  it('does not shift an optional argument that is left out', async () => {
    const tool = requireToken(
      api,
      (token, a: string, b?: number, ...rest: string[]) => [token.provider, a, b, rest] as const,
    )
    expect(await asAda(() => tool('x'))).toEqual(['api', 'x', undefined, []])
    expect(await asAda(() => tool('x', 2, 'y'))).toEqual(['api', 'x', 2, ['y']])
  })

  it('lets defaults work', async () => {
    const tool = requireToken(api, (_, day = 'today') => day)
    expect(await asAda(() => tool())).toBe('today')
  })

  it.each([
    ['two parameters', requireToken(api, (_, _day: string) => 1), 1],
    ['the token only', requireToken(api, (_) => 1), 0],
    ['no parameter', requireToken(api, () => 1), 0],
    ['a default', requireToken(api, (_, _a: string, _b = 1) => 1), 1],
    ['rest', requireToken(api, (_, ..._rest: string[]) => 1), 0],
    ['curried', requireToken(api)((_: AccessToken, _a: string, _b: string) => 1), 2],
  ])('W16 has the length of the parameters left: %s', (_, tool, length) => {
    expect(tool.length).toBe(length)
  })

  it('W16 keeps name and this, and throws only as a rejection', async () => {
    function listEvents(this: { id: number }, _: AccessToken, day: string) {
      return `${this.id} ${day}`
    }
    const tool = requireToken(api, listEvents)
    expect(tool.name).toBe('listEvents')
    expect(await asAda(() => tool.call({ id: 7 }, 'mon'))).toBe('7 mon')
    const thrown = new Error('mine')
    const throwing = requireToken(api, (): number => {
      throw thrown
    })
    await expect(asAda(() => throwing())).rejects.toBe(thrown)
    expect(throwing.name).toBe('')
  })

  it('W16 gives a promise for a synchronous function, and awaits what it returns', async () => {
    const tool = requireToken(api, () => 3)
    const promise = asAda(() => tool())
    expect(promise).toBeInstanceOf(Promise)
    expect(await promise).toBe(3)
    const nested = requireToken(api, () => Promise.resolve(4))
    expect(await asAda(() => nested())).toBe(4)
  })

  it('W08 rejects outside of any scope, and does not run the function', async () => {
    let ran = false
    const tool = requireToken(api, () => {
      ran = true
    })
    await expect(tool()).rejects.toBeInstanceOf(NoActingContextError)
    await expect(tool()).rejects.toThrow(/requireToken\(\{ provider: "api" \}\)/)
    expect(ran).toBe(false)
  })

  it('does not run the function when there is no token', async () => {
    let ran = false
    const failing = new FakeCredentials()
    failing.refuse = new Error('no token')
    const tool = requireToken(api, () => {
      ran = true
    })
    await expect(failing.runAs(ada, tool)).rejects.toThrow('no token')
    expect(ran).toBe(false)
  })

  it('asks anew at each call, and only then', async () => {
    const own = new FakeCredentials()
    const tool = requireToken(api, () => {})
    expect(own.asked).toEqual([])
    await own.runAs(ada, async () => {
      await tool()
      await tool()
    })
    expect(own.asked).toHaveLength(2)
  })

  it('passes the request on, and nothing that says who acts', async () => {
    const own = new FakeCredentials()
    const signal = new AbortController().signal
    const request = {
      provider: 'api',
      scopes: ['read'],
      flow: 'M2M',
      resource: 'https://api.example',
      onAuthorizationRequired: 'wait',
      returnUrl: 'https://app.example',
      signal,
    } as const
    await requireToken({ ...request, acting: ada, credentials: own }, () => {})()
    expect(own.asked).toEqual([{ ...request, account: undefined, subject: 'ada' }])
  })

  it('chooses the account by value or by the arguments', async () => {
    const own = new FakeCredentials()
    const fixed = requireToken({ ...api, account: 'work' }, (token) => token.account)
    expect(await own.runAs(ada, fixed)).toBe('work')
    const chosen = requireToken(
      { ...api, account: (_day: string, label: string) => label },
      (token, _day: string, _label: string) => token.account,
    )
    expect(await own.runAs(ada, () => chosen('mon', 'home'))).toBe('home')
    expect(own.asked.map((one) => one.account)).toEqual(['work', 'home'])
    const failing = requireToken(
      {
        ...api,
        account: () => {
          throw new Error('no label')
        },
      },
      () => {},
    )
    await expect(own.runAs(ada, failing)).rejects.toThrow('no label')
  })
})

describe('acting and credentials', () => {
  it('need no scope when both are given, as values or as functions of the call', async () => {
    const byValue = requireToken({ ...api, acting: ada, credentials }, (t) => t.value)
    expect(await byValue()).toBe('ada.api.read.0')
    const byCall = requireToken(
      {
        ...api,
        acting: (_: string, job: { for: string }) => actingFor(job.for),
        credentials: () => credentials,
      },
      (token, _: string, _job: { for: string }) => [token.value, currentActing().user?.subject],
    )
    expect(await byCall('x', { for: 'eve' })).toEqual(['eve.api.read.0', 'eve'])
  })

  it('win over the scope, one by one', async () => {
    const other = new FakeCredentials()
    const tool = requireToken({ ...api, acting: bob }, (t) => t.value)
    expect(await asAda(() => tool())).toBe('bob.api.read.0')
    const elsewhere = requireToken({ ...api, credentials: other }, (t) => t.value)
    expect(await asAda(() => elsewhere())).toBe('ada.api.read.0')
    expect(other.asked).toHaveLength(1)
  })

  it('W07 change the scope for the call only, and hide tokens of another user', async () => {
    const seen = await asAda(
      requireToken(api, async () => {
        const inner = requireToken({ provider: 'other', acting: bob }, () => {
          expect(() => accessToken('api')).toThrow(TypeError)
          return currentActing()
        })
        return [await inner(), currentActing()]
      }),
    )
    expect(seen).toEqual([bob, ada])
  })

  it.each([
    ['only acting', { acting: ada }],
    ['only credentials', { credentials }],
  ])('W08 need each other without a scope: %s', async (_, options) => {
    await expect(requireToken({ ...api, ...options }, () => {})()).rejects.toBeInstanceOf(
      NoActingContextError,
    )
  })

  it.each([undefined, null])(
    'W08 a function that gives %s falls back on nobody',
    async (nobody) => {
      const tool = requireToken({ ...api, acting: () => nobody as never }, () => {})
      await expect(asAda(() => tool())).rejects.toBeInstanceOf(NoActingContextError)
      const without = requireToken({ ...api, credentials: () => nobody as never }, () => {})
      await expect(asAda(() => without())).rejects.toBeInstanceOf(NoActingContextError)
    },
  )

  it.each([
    ['a copy', { ...bob }],
    ['parsed JSON', JSON.parse(JSON.stringify(bob))],
    ['a promise of one', Promise.resolve(bob)],
    ['a name', 'bob'],
  ])('W03 take no acting from %s', async (_, acting) => {
    const value = requireToken({ ...api, acting: acting as never }, () => {})
    await expect(asAda(() => value())).rejects.toThrow(TypeError)
    const call = requireToken({ ...api, acting: () => acting as never }, () => {})
    await expect(asAda(() => call())).rejects.toThrow(/must come from a WorkloadIdentity/)
  })
})

describe('what a model passes', () => {
  it('W03 never changes who acts, which provider or which scopes', async () => {
    const own = new FakeCredentials()
    const tool = requireToken(api, (token, ..._args: unknown[]) => [
      token.value,
      currentActing().user?.subject,
    ])
    const name = fc.constantFrom(
      'acting',
      'credentials',
      'provider',
      'providerName',
      'userId',
      'scopes',
      'token',
      'account',
      'flow',
      '__proto__',
      'constructor',
    )
    const hostile = fc.oneof(
      fc.constant(bob),
      fc.constant('bob'),
      fc.constant(['admin']),
      fc.json(),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(name, hostile), { maxLength: 3 }), async (args) => {
        expect(await own.runAs(ada, () => tool(...args))).toEqual(['ada.api.read.0', 'ada'])
        const asked = own.asked.pop()
        expect(asked).toEqual({ ...api, account: undefined, subject: 'ada' })
      }),
    )
    const parsed = JSON.parse('{"__proto__":{"provider":"evil","acting":"bob"}}')
    expect(await own.runAs(ada, () => tool(parsed))).toEqual(['ada.api.read.0', 'ada'])
  })

  it('W04 finds no token in a result that only mentions it', async () => {
    const tool = requireToken(api, (token) => ({ token, text: `${token}`, copy: { ...token } }))
    expect(JSON.stringify(await asAda(() => tool()))).not.toContain('ada.api')
  })
})

describe('several credentials', () => {
  it('W09 wraps one function for two providers, each with its own parameter', async () => {
    const tool = requireToken(
      { provider: 'outer' },
      requireToken(
        { provider: 'inner' },
        (inner: AccessToken, outer: AccessToken, text: string) => [
          inner.provider,
          outer.provider,
          text,
          accessToken('inner') === inner,
          accessToken('outer') === outer,
        ],
      ),
    )
    expect(await asAda(() => tool('x'))).toEqual(['inner', 'outer', 'x', true, true])
    expect(tool.length).toBe(1)
  })

  it('W09 takes a key beside a token of the same provider name', async () => {
    const tool = requireToken(
      api,
      requireApiKey({ provider: 'api' }, (key, token: AccessToken) => [
        key.reveal(),
        token.provider,
      ]),
    )
    expect(await asAda(() => tool())).toEqual(['key.ada.api', 'api'])
  })

  it('W09 refuses to wrap twice for one provider, at any depth', () => {
    const once = requireToken(api, (_: AccessToken) => 1)
    expect(() => requireToken({ provider: 'api', scopes: ['write'] }, once)).toThrow(/already/)
    const other = requireToken({ provider: 'other' }, once)
    expect(() => requireToken(api, other)).toThrow(TypeError)
    expect(() => requireToken(api)(other)).toThrow(TypeError)
  })

  it('is safe in parallel', async () => {
    const slow = new FakeCredentials()
    slow.wait = () => new Promise((done) => setImmediate(done))
    const tool = requireToken(api, async (token, name: string) => {
      await new Promise((done) => setImmediate(done))
      return token.value === `${name}.api.read.0` && accessToken('api') === token
    })
    const names = Array.from({ length: 100 }, (_, at) => `u${at}`)
    const fine = await Promise.all(
      names.map((name) => slow.runAs(actingFor(name), () => tool(name))),
    )
    expect(fine.every(Boolean)).toBe(true)
  })
})

describe('what requireToken refuses at the line that calls it', () => {
  it.each([
    ['a generator', function* () {}],
    ['an async generator', async function* () {}],
    ['a bound generator', function* () {}.bind(null)],
  ])('W16 %s, and names the way', (_, fn) => {
    expect(() => requireToken(api, fn as () => unknown)).toThrow(
      /Wrap the function that each step calls/,
    )
    expect(() => requireToken(api)(fn as () => unknown)).toThrow(TypeError)
  })

  it.each([[undefined], [null], ['text'], [{}]])('%j in place of a function', (fn) => {
    expect(() => requireToken(api, fn as never)).toThrow(TypeError)
    expect(() => requireToken(api)(fn as never)).toThrow(TypeError)
  })

  it.each([
    [{}],
    [{ provider: '' }],
    [{ provider: 1 }],
    [{ provider: 'api', scopes: 'read write' }],
    [{ provider: 'api', scopes: ['read write'] }],
  ])('the options %j', (options) => {
    expect(() => requireToken(options as never)).toThrow(TypeError)
  })
})

describe('requireToken as a decorator', () => {
  class Base {
    readonly name = 'base'
    @requireToken(api)
    async list(day: string, _limit?: number) {
      return `${this.name} ${day} ${accessToken('api').value}`
    }
    @requireToken(api)
    static async of(this: typeof Base, kind: string) {
      // biome-ignore lint/complexity/noThisInStatic: that this is the class is what the test looks at
      return [this === Base, kind, accessToken('api').provider]
    }
    @requireToken(api)
    async #hidden(day: string) {
      return `${this.name} ${day}`
    }
    @requireToken(api)
    async same<T>(value: T): Promise<T> {
      return value
    }
    @requireToken({ provider: 'outer' })
    @requireToken({ provider: 'inner' })
    async two() {
      return [accessToken('outer').provider, accessToken('inner').provider]
    }
    hidden(day: string) {
      return this.#hidden(day)
    }
  }
  class Heir extends Base {
    override readonly name = 'heir' as never
    override async list(day: string) {
      return `heir of ${await super.list(day)}`
    }
  }

  it('W16 works on instance, static, private, generic and inherited methods', async () => {
    await asAda(async () => {
      expect(await new Base().list('mon')).toBe('base mon ada.api.read.0')
      expect(await new Heir().list('tue')).toBe('heir of heir tue ada.api.read.0')
      expect(await Base.of('x')).toEqual([true, 'x', 'api'])
      expect(await new Base().hidden('wed')).toBe('base wed')
      expect(await new Base().same({ a: 1 })).toEqual({ a: 1 })
      expect(await new Base().two()).toEqual(['outer', 'inner'])
    })
  })

  it('W16 keeps name and length of the method', () => {
    expect([Base.prototype.list.name, Base.prototype.list.length]).toEqual(['list', 2])
    expect([Base.of.name, Base.of.length]).toEqual(['of', 1])
  })

  it('W08 rejects outside of any scope', async () => {
    await expect(new Base().list('mon')).rejects.toBeInstanceOf(NoActingContextError)
  })

  it('W09 refuses to decorate twice for one provider', () => {
    expect(
      () =>
        class {
          @requireToken(api)
          @requireToken({ provider: 'api', scopes: ['write'] })
          async list() {}
        },
    ).toThrow(TypeError)
  })

  const decorate = requireToken(api) as unknown as (...args: unknown[]) => never
  it.each([
    [
      'getter',
      () =>
        class {
          @decorate
          get day() {
            return 1
          }
        },
    ],
    [
      'field',
      () =>
        class {
          @decorate
          day = async () => 1
        },
    ],
    [
      'class',
      () => {
        @decorate
        class Whole {}
        return Whole
      },
    ],
    [
      'accessor',
      () =>
        class {
          @decorate
          accessor day = 1
        },
    ],
  ])('W16 refuses a %s, and says so', (kind, make) => {
    expect(make).toThrow(`@requireToken decorates methods; this is a ${kind}`)
  })

  it('W16 refuses a generator method', () => {
    expect(
      () =>
        class {
          @decorate
          *days() {}
        },
    ).toThrow(/generators/)
  })

  it.each([
    ['an instance method', {}, 'list', {}],
    ['a static method', class {}, 'list', {}],
    ['a symbol', class {}, Symbol('list'), {}],
  ])('W16 refuses the decorators of old compilers on %s', (_, target, key, descriptor) => {
    const old = requireToken(api) as unknown as (...args: unknown[]) => unknown
    expect(() => old(target, key, descriptor)).toThrow(/experimentalDecorators/)
  })

  it('is a wrapper too when map() passes more arguments', async () => {
    const [tool] = [(_: AccessToken, text: string) => text].map(requireToken(api) as never) as [
      (text: string) => Promise<string>,
    ]
    expect(await asAda(() => tool('x'))).toBe('x')
  })
})

describe('with a real authorization server', () => {
  let server: RunningAuthorizationServer
  beforeAll(async () => {
    server = await startAuthorizationServer()
  })
  afterAll(() => server.close())

  it('gives the tool a token that the server issued, once for fifty calls', async () => {
    const provider = new OutboundCredentialProvider({
      providers: {
        api: oauth2({
          issuer: server.issuer,
          clientId: server.clientId,
          clientSecret: server.clientSecret,
          allowInsecureLoopback: true,
        }),
      },
      allowInsecureLoopback: true,
    })
    const tool = requireToken(api, async (token, city: string) => ({
      city,
      token,
      same: accessToken('api') === token,
    }))
    const agent = new WorkloadIdentity({ name: 'weather-agent' })
    const results = await provider.runAs(agent.actAsSelf(), () =>
      Promise.all(Array.from({ length: 50 }, () => tool('Oslo'))),
    )
    expect(new Set(results.map((one) => one.token.value)).size).toBe(1)
    expect(results.every((one) => one.city === 'Oslo' && one.same)).toBe(true)
    expect(results[0]?.token.authorization).toMatch(/^Bearer ey/)
    expect(server.requests.filter((one) => one === 'POST /token')).toHaveLength(1)
    provider.close()
  })
})
