import { EventEmitter, on, once } from 'node:events'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { actingFor, FakeCredentials, random } from '../../test/support/credentials.js'
import { NoActingContextError } from '../errors/workload.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { oauth2 } from '../providers/oauth2.js'
import { requireToken } from '../tools/require-token.js'
import { WorkloadIdentity } from '../workload/identity.js'
import { accessToken, currentActing, currentScope } from './run-context.js'

const agent = new WorkloadIdentity({ name: 'calendar-agent' })
const real = new OutboundCredentialProvider({
  providers: { api: oauth2({ issuer: 'https://idp.example', clientId: 'c', clientSecret: 's' }) },
})
const user = (subject: string) => agent.unverifiedUser({ issuer: 'https://idp.example', subject })
const subject = () => currentActing().user?.subject

describe('runAs and currentActing', () => {
  it('W08 throws outside of any scope, and names the ways in', () => {
    expect(() => currentActing()).toThrow(NoActingContextError)
    expect(() => currentActing()).toThrow(/runAs\(acting, fn\).*bind\(acting, fn\)/)
  })

  it('gives the acting itself, and what the function returns', async () => {
    const ada = user('ada')
    expect(real.runAs(ada, () => currentActing())).toBe(ada)
    expect(await real.runAs(ada, async () => currentActing())).toBe(ada)
  })

  it('W07 ends with its function, also when it throws', async () => {
    expect(() =>
      real.runAs(user('ada'), () => {
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(currentScope()).toBeUndefined()
    await expect(
      real.runAs(user('ada'), async () => {
        await null
        throw new Error('later')
      }),
    ).rejects.toThrow('later')
    expect(currentScope()).toBeUndefined()
  })

  it('W07 nests, and comes back to the outer user', async () => {
    await real.runAs(user('ada'), async () => {
      await real.runAs(user('bob'), async () => {
        await null
        expect(subject()).toBe('bob')
      })
      expect(subject()).toBe('ada')
    })
  })

  it.each([
    ['a spread copy', { ...user('ada') }],
    ['parsed JSON', JSON.parse(JSON.stringify(user('ada')))],
    ['a literal', { workload: { name: 'x' }, user: { issuer: 'i', subject: 'ada' } }],
    ['an heir', Object.create(user('ada'))],
    ['nothing', undefined],
  ])('W03 takes no acting from %s', (_, acting) => {
    expect(() => real.runAs(acting, () => 1)).toThrow(TypeError)
    expect(() => real.bind(acting, () => 1)).toThrow(TypeError)
  })

  it('W07 bind keeps the user for emitters, with this, arguments and result', () => {
    const emitter = new EventEmitter()
    const got: unknown[] = []
    emitter.on(
      'x',
      real.bind(user('ada'), function (this: EventEmitter, ...args: number[]) {
        got.push(this === emitter, args, subject())
      }),
    )
    real.runAs(user('bob'), () => emitter.emit('x', 1, 2))
    emitter.emit('x')
    expect(got).toEqual([true, [1, 2], 'ada', true, [], 'ada'])
    expect(real.bind(user('ada'), (a: number) => a + 1)(1)).toBe(2)
  })

  it('W07 a bound function brings no token along from where it is called', () => {
    const credentials = new FakeCredentials()
    const bound = real.bind(user('ada'), () => accessToken('api'))
    const tool = requireToken({ provider: 'api' }, () => bound())
    return expect(credentials.runAs(actingFor('bob'), tool)).rejects.toThrow(TypeError)
  })

  it('W07 never shows 1,000 interleaved users each other', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
    const next = random(seed)
    const credentials = new FakeCredentials()
    credentials.wait = () => turn(next())
    const shared = new EventEmitter().setMaxListeners(0)
    let mismatches = 0
    let looks = 0
    const look = (name: string) => {
      looks++
      if (currentActing().user?.subject !== name) mismatches++
    }
    const tool = requireToken({ provider: 'api' }, async (token, name: string) => {
      await turn(next())
      look(name)
      if (!token.value.startsWith(`${name}.`)) mismatches++
      if (accessToken('api') !== token) mismatches++
    })
    const ways: ((name: string) => Promise<unknown>)[] = [
      async (name) => {
        await turn(next())
        look(name)
      },
      async (name) => {
        await Promise.all([
          turn(next()).then(() => look(name)),
          turn(next()).then(() => look(name)),
        ])
      },
      (name) => tool(name),
      async (name) => {
        for await (const _ of steps(next)) look(name)
      },
      async (name) => {
        const inner = `${name}-inner`
        await credentials.runAs(actingFor(inner), async () => {
          await turn(next())
          look(inner)
          await tool(inner)
        })
        look(name)
      },
      async (name) => {
        const bound = real.bind(actingFor(name), () => look(name))
        shared.once(`go ${name}`, bound)
        await turn(next())
        // Whoever comes along fires it.
        credentials.runAs(actingFor('somebody else'), () => shared.emit(`go ${name}`))
      },
      async (name) => {
        const through = new Transform({
          objectMode: true,
          transform(chunk, _, done) {
            look(name)
            done(null, chunk)
          },
        })
        await pipeline(Readable.from(steps(next)), through, async (source) => {
          for await (const _ of source) look(name)
        })
      },
    ]
    await Promise.all(
      Array.from({ length: 1000 }, (_, at) => {
        const name = `user-${at}`
        return credentials.runAs(actingFor(name), async () => {
          for (let step = 0; step < 6; step++) {
            await ways[Math.floor(next() * ways.length)]!(name)
            look(name)
          }
        })
      }),
    )
    expect(mismatches, `seed ${seed}`).toBe(0)
    expect(looks).toBeGreaterThan(6000)
    expect(currentScope()).toBeUndefined()
  })

  it('W07 event iterators see the user who iterates', async () => {
    const emitter = new EventEmitter()
    const names = await Promise.all(
      ['ada', 'bob']
        .map((name) =>
          real.runAs(user(name), async () => {
            const got: (string | undefined)[] = []
            const stop = new AbortController()
            const events = on(emitter, 'x', { signal: stop.signal })
            for await (const _ of events) {
              got.push(subject())
              if (got.length === 2) break
              setImmediate(() => emitter.emit('x'))
            }
            return got
          }),
        )
        .concat(
          (async () => {
            setImmediate(() => emitter.emit('x'))
            await once(emitter, 'x')
            return []
          })(),
        ),
    )
    expect(names).toEqual([['ada', 'ada'], ['bob', 'bob'], []])
  })
})

/** One of the ways in which a program waits. */
function turn(dice: number): Promise<void> {
  if (dice < 0.25) return Promise.resolve()
  if (dice < 0.5) return new Promise((done) => setTimeout(done, 0))
  if (dice < 0.75) return new Promise((done) => setImmediate(done))
  return new Promise((done) => process.nextTick(done))
}

async function* steps(next: () => number) {
  for (let step = 0; step < 3; step++) {
    await turn(next())
    yield step
  }
}

describe('accessToken', () => {
  const credentials = new FakeCredentials()
  const inScope = <T>(fn: () => T) => credentials.runAs(actingFor('ada'), fn)

  it('throws where no token of that provider was injected, and says what to do', async () => {
    expect(() => accessToken('api')).toThrow(/requireToken\(\{ provider: "api" \}\)/)
    expect(() => inScope(() => accessToken('api'))).toThrow(TypeError)
    const other = requireToken({ provider: 'other' }, () => accessToken('api'))
    await expect(inScope(other)).rejects.toThrow(TypeError)
    expect(credentials.asked.every((one) => one.provider === 'other')).toBe(true)
  })

  it('W09 finds each of two nested providers', async () => {
    const inner = requireToken({ provider: 'b' }, (tb) => [
      accessToken('b') === tb,
      accessToken('a').provider,
    ])
    expect(await inScope(requireToken({ provider: 'a' }, () => inner()))).toEqual([true, 'a'])
  })

  it('W09 gives the nearest of one provider, and the outer one again afterwards', async () => {
    const inner = requireToken({ provider: 'a', scopes: ['write'] }, () => accessToken('a').scopes)
    const outer = requireToken({ provider: 'a', scopes: ['read'] }, async () => {
      const [one, two] = await Promise.all([inner(), inner()])
      return [one, two, accessToken('a').scopes]
    })
    expect(await inScope(outer)).toEqual([['write'], ['write'], ['read']])
  })

  it('is gone after the call, and not there for a sibling', async () => {
    await inScope(async () => {
      await requireToken({ provider: 'a' }, async () => {})()
      expect(() => accessToken('a')).toThrow(TypeError)
    })
  })

  it('W03 takes no name from the prototype for a provider', () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(() => inScope(() => accessToken(name))).toThrow(TypeError)
    }
  })
})
