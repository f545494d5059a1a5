import { Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { actingFor, FakeCredentials } from '../../test/support/credentials.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { oauth2 } from '../providers/oauth2.js'
import { requireApiKey } from '../tools/require-api-key.js'
import { requireToken } from '../tools/require-token.js'
import { accessToken, currentActing, currentScope, runInScope } from './run-context.js'

const real = new OutboundCredentialProvider({
  providers: { api: oauth2({ issuer: 'https://idp.example', clientId: 'c', clientSecret: 's' }) },
})
const credentials = new FakeCredentials()
const who = () => currentActing().user?.subject

/** Consumes in the scope of another user, and outside of any. */
async function consumed<T>(
  make: () => T,
  read: (value: Awaited<T>) => unknown,
): Promise<unknown[]> {
  const got: unknown[] = []
  await real.runAs(actingFor('bob'), async () => {
    got.push(await read(await make()))
    expect(who()).toBe('bob')
  })
  got.push(await read(await make()))
  expect(currentScope()).toBeUndefined()
  return got
}

async function all(items: AsyncIterable<unknown> | Iterable<unknown>): Promise<unknown[]> {
  const got: unknown[] = []
  for await (const item of items) got.push(item)
  return got
}

async function* steps() {
  yield who()
  await null
  yield who()
}

function* syncSteps() {
  yield who()
  yield who()
}

class Lazy {
  readonly #rows = ['row']
  // biome-ignore lint/suspicious/noThenProperty: a query builder as applications have them
  then(ok: (value: unknown) => unknown, no?: (error: unknown) => unknown) {
    return Promise.resolve(`${who()} ${this.#rows}`).then(ok, no)
  }
  where() {
    return this
  }
  clone() {
    return new Lazy()
  }
}

class LazyPromise extends Promise<unknown> {
  // biome-ignore lint/suspicious/noThenProperty: promises of some clients begin here
  override then(ok: never, no: never): never {
    return Promise.resolve(who()).then(ok, no) as never
  }
}

const makers: [string, () => unknown, unknown[]][] = [
  ['an async generator', steps, ['ada', 'ada']],
  ['a generator', syncSteps, ['ada', 'ada']],
  ['an async iterable', () => ({ [Symbol.asyncIterator]: steps }), ['ada', 'ada']],
  ['an iterable', () => ({ [Symbol.iterator]: syncSteps }), ['ada', 'ada']],
  ['a Node stream of a generator', () => Readable.from(steps()), ['ada', 'ada']],
  [
    'a Node stream',
    () => {
      let count = 0
      return new Readable({
        objectMode: true,
        read() {
          this.push(count++ < 2 ? who() : null)
        },
      })
    },
    ['ada', 'ada'],
  ],
  [
    'a Web stream',
    () => {
      let count = 0
      return new ReadableStream({
        pull(controller) {
          if (count++ < 2) controller.enqueue(who())
          else controller.close()
        },
      })
    },
    ['ada', 'ada'],
  ],
]

/** The ways in which a function runs for ada. */
const ways: [string, (fn: () => unknown) => unknown][] = [
  ['runAs', (fn) => real.runAs(actingFor('ada'), fn)],
  ['runAs, async', (fn) => real.runAs(actingFor('ada'), async () => fn())],
  ['bind', (fn) => real.bind(actingFor('ada'), fn)()],
  [
    'requireToken',
    (fn) => requireToken({ provider: 'api', acting: actingFor('ada'), credentials }, () => fn())(),
  ],
  [
    'requireApiKey',
    (fn) => requireApiKey({ provider: 'key', acting: actingFor('ada'), credentials }, () => fn())(),
  ],
]

/** A body whose later parts are made only when somebody reads. */
function webStream() {
  let count = 0
  return new ReadableStream({
    pull(controller) {
      if (count++ < 4) controller.enqueue(new TextEncoder().encode(`${who()} `))
      else controller.close()
    },
  })
}

describe.each(ways)('what %s returns', (_, run) => {
  it('W07 pulls the body of a response for its user, and keeps the rest', async () => {
    const init = {
      status: 201,
      headers: [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ] as never,
    }
    const read = async (value: unknown) => {
      const response = value as Response
      expect([response.status, response.headers.getSetCookie()]).toEqual([201, ['a=1', 'b=2']])
      return response.text()
    }
    const make = () => new Response(webStream(), init)
    expect(await consumed(() => run(make), read)).toEqual(Array(2).fill('ada ada ada ada '))
    const cancelled: unknown[] = []
    const stream = run(
      () => new ReadableStream({ cancel: (reason) => void cancelled.push(who(), reason) }),
    )
    await ((await stream) as ReadableStream).cancel('enough')
    expect(cancelled).toEqual(['ada', 'enough'])
  })

  it.each(makers)('W07 goes on for its user: %s', async (_, make, expected) => {
    const got = await consumed(
      () => run(make),
      (value) => all(value as AsyncIterable<unknown>),
    )
    expect(got).toEqual([expected, expected])
  })

  it('W07 begins a lazy thenable for its user', async () => {
    expect(
      await consumed(
        () => [run(() => new Lazy())],
        async ([value]) => value,
      ),
    ).toEqual(['ada row', 'ada row'])
    expect(
      await consumed(
        () => [run(() => new LazyPromise(() => {}))],
        async ([v]) => v,
      ),
    ).toEqual(['ada', 'ada'])
  })
})

describe('a view of what a function returned', () => {
  const ada = <T>(fn: () => T): T => real.runAs(actingFor('ada'), fn)

  it('chains, and is what it was', async () => {
    const query = ada(() => new Lazy())
    expect(query).toBeInstanceOf(Lazy)
    expect(query.where()).toBe(query)
    expect(await [query.clone().where()][0]).toBe('ada row')
  })

  it('W07 calls what waits for it in the scope of whoever waits', async () => {
    const seen: unknown[] = []
    await real.runAs(actingFor('bob'), async () => {
      await ada(() => new Lazy()).then(() => seen.push(who()))
      await ada(() => new LazyPromise(() => {})).finally(() => seen.push(who()))
    })
    await ada(() => new Lazy()).then(() => seen.push(currentScope()))
    expect(seen).toEqual(['bob', 'bob', undefined])
  })

  it('W07 ends and throws into a generator in its scope', async () => {
    const seen: unknown[] = []
    const generator = () =>
      ada(async function* () {
        try {
          yield 1
        } finally {
          seen.push(who())
        }
      })
    for await (const _ of generator()) break
    const other = generator()
    await other.next()
    await expect(other.throw(new Error('stop'))).rejects.toThrow('stop')
    expect(seen).toEqual(['ada', 'ada'])
  })

  it('W07 keeps the token of the function that returned a generator', async () => {
    const tool = (name: string) =>
      requireToken({ provider: 'api', acting: actingFor(name), credentials }, () =>
        (async function* () {
          yield accessToken('api').value
        })(),
      )
    const stream = await tool('ada')()
    const bob = requireToken({ provider: 'api', acting: actingFor('bob'), credentials }, () =>
      all(stream),
    )
    expect(await bob()).toEqual(['ada.api..0'])
  })

  it('W07 runs the steps of a transform and a sink for the user who made them', async () => {
    const seen: unknown[] = []
    const through = ada(
      () =>
        new Transform({
          objectMode: true,
          transform(chunk, _, done) {
            seen.push(who())
            done(null, chunk)
          },
        }),
    )
    const sink = ada(
      () =>
        new Writable({
          objectMode: true,
          write(_chunk, _, done) {
            seen.push(who())
            done()
          },
        }),
    )
    await real.runAs(actingFor('bob'), () => pipeline(Readable.from([1]), through, sink))
    expect(seen).toEqual(['ada', 'ada'])
  })

  it('W07 of two scopes takes the inner one', async () => {
    const inner = ada(() => real.runAs(actingFor('eve'), steps))
    expect(await all(inner)).toEqual(['eve', 'eve'])
  })

  it('leaves data and what has begun as they are', async () => {
    const values = [
      [1],
      new Map([[1, 2]]),
      new Set([1]),
      Buffer.from('x'),
      new Headers({ a: 'b' }),
      new URLSearchParams('a=b'),
      new FormData(),
      { a: 1 },
      'text',
      null,
      undefined,
    ]
    for (const value of values) {
      expect(ada(() => value)).toBe(value)
      expect(await ada(async () => value)).toBe(value)
    }
  })

  it('W07 refuses a frozen iterator in words', () => {
    const iterator = Object.freeze({ next: () => ({ done: true, value: undefined }) })
    expect(() => ada(() => iterator).next()).toThrow(/frozen.*next\(\)/)
    expect(() => runInScope(undefined, () => currentActing())).toThrow()
  })
})
