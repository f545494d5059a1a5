import {
  type AccessToken,
  type Acting,
  accessToken,
  authenticatedFetch,
  type CredentialSource,
  currentActing,
  type OutboundCredentialProvider,
  type RequireToken,
  requireApiKey,
  requireToken,
  type Secret,
} from 'deputize'
import { describe, expectTypeOf, it } from 'vitest'

const request = { provider: 'api', scopes: ['read'] }
declare const acting: Acting
declare const credentials: OutboundCredentialProvider
interface Self {
  readonly id: number
}

describe('requireToken(options, fn)', () => {
  const list = requireToken(request, async (token, day: string, limit?: number) => {
    expectTypeOf(token).toEqualTypeOf<AccessToken>()
    return [day, limit]
  })

  it('loses the first parameter and keeps the optional one', () => {
    expectTypeOf(list).toEqualTypeOf<
      (this: unknown, day: string, limit?: number) => Promise<(string | number | undefined)[]>
    >()
    expectTypeOf(list).toBeCallableWith('mon')
    expectTypeOf(list).toBeCallableWith('mon', 3)
    // @ts-expect-error a required argument is missing
    list()
    // @ts-expect-error of another type
    list(3)
    // @ts-expect-error one argument too many: the token is not the caller's to give
    list('mon', 3, 4)
  })

  it('returns a promise whatever the function returns', () => {
    expectTypeOf(requireToken(request, () => 1)).returns.toEqualTypeOf<Promise<number>>()
    expectTypeOf(requireToken(request, async () => 1)).returns.toEqualTypeOf<Promise<number>>()
    expectTypeOf(requireToken(request, () => {})).returns.toEqualTypeOf<Promise<void>>()
    expectTypeOf(requireToken(request, (): Promise<1> | 2 => 2)).returns.toEqualTypeOf<
      Promise<1 | 2>
    >()
  })

  it('knows defaults, rest, tuples and destructuring', () => {
    // Beside an untyped parameter TypeScript takes the default's type for unknown, unless it is spelled.
    expectTypeOf(requireToken(request, (_, day: string = '') => day)).parameters.toEqualTypeOf<
      [day?: string | undefined]
    >()
    expectTypeOf(requireToken(request, (_, ...days: string[]) => days)).parameters.toEqualTypeOf<
      string[]
    >()
    expectTypeOf(
      requireToken(request, (_, ...at: [number, string?]) => at),
    ).parameters.toEqualTypeOf<[number, string?]>()
    expectTypeOf(requireToken(request, (_, { a }: { a: 1 }) => a)).parameters.toEqualTypeOf<
      [{ a: 1 }]
    >()
    expectTypeOf(requireToken(request, (_) => 1)).parameters.toEqualTypeOf<[]>()
  })

  it('keeps this', () => {
    const bound = requireToken(request, function (this: Self, _, day: string) {
      return this.id + day
    })
    expectTypeOf(bound).thisParameter.toEqualTypeOf<Self>()
    expectTypeOf(bound).toEqualTypeOf<(this: Self, day: string) => Promise<string>>()
    // @ts-expect-error this must be a Self
    bound.call({}, 'mon')
  })

  it('refuses a function that takes no token first', () => {
    // @ts-expect-error the first parameter is the token
    requireToken(request, (day: string) => day)
    // @ts-expect-error a token is not its text
    requireToken(request, (token: Secret) => token)
    // @ts-expect-error no function
    requireToken(request, 'text')
  })

  it('refuses wrong options', () => {
    // @ts-expect-error provider is missing
    requireToken({ scopes: [] })
    // @ts-expect-error scopes are a list
    requireToken({ provider: 'api', scopes: 'read write' })
    // @ts-expect-error no such flow
    requireToken({ provider: 'api', flow: 'PASSWORD' })
    // @ts-expect-error who acts is no name
    requireToken({ provider: 'api', acting: 'bob' })
    // @ts-expect-error no call may say that a token was rejected
    requireToken({ provider: 'api', rejected: undefined as unknown as AccessToken })
  })

  it('takes acting, credentials and account as values and as functions of the call', () => {
    requireToken({ ...request, acting, credentials, account: 'work' }, () => 1)
    requireToken({ ...request, acting: () => acting, credentials: () => credentials }, () => 1)
    requireToken({ ...request, acting: (_day: string) => acting }, (_, day: string) => day)
    requireToken({ ...request, account: (day: string) => day }, (_, day: string) => day)
    requireToken({ ...request, account: () => undefined }, () => 1)
    // @ts-expect-error an acting is had at once
    requireToken({ ...request, acting: async () => acting }, () => 1)
    // @ts-expect-error an account is a label
    requireToken({ ...request, account: () => 1 }, () => 1)
  })

  it('nests for two providers', () => {
    const both = requireToken(
      { provider: 'a' },
      requireToken({ provider: 'b' }, (_b, _a: AccessToken, day: string) => day),
    )
    expectTypeOf(both).toEqualTypeOf<(this: unknown, day: string) => Promise<string>>()
  })
})

describe('requireToken(options)', () => {
  const wrap = requireToken(request)

  it('is a wrapper', () => {
    expectTypeOf(wrap).toEqualTypeOf<RequireToken>()
    expectTypeOf(wrap((token: AccessToken, day: string) => token.value + day)).toEqualTypeOf<
      (this: unknown, day: string) => Promise<string>
    >()
    expectTypeOf(wrap((token) => token)).toEqualTypeOf<(this: unknown) => Promise<AccessToken>>()
    expectTypeOf(wrap((_, day: number = 1) => day)).parameters.toEqualTypeOf<
      [day?: number | undefined]
    >()
    expectTypeOf(
      wrap(function (this: Self, _: AccessToken) {
        return this.id
      }),
    ).toEqualTypeOf<(this: Self) => Promise<number>>()
    // @ts-expect-error the first parameter is the token
    wrap((day: string) => day)
  })

  class Calendar {
    @requireToken(request)
    async list(day: string, limit?: number) {
      return [day, limit]
    }
    @requireToken(request)
    async first<T>(items: T[], ..._rest: number[]): Promise<T | undefined> {
      return items[0]
    }
    @requireToken(request)
    static async of(kind: 'work' | 'home') {
      return kind
    }
    async over(a: string): Promise<string>
    async over(a: number): Promise<number>
    @requireToken(request)
    async over(a: string | number): Promise<string | number> {
      return a
    }
    @requireToken(request)
    async #hidden(this: Calendar) {
      return accessToken('api')
    }
    hidden() {
      return this.#hidden()
    }
    // @ts-expect-error a decorated method is async already, so that its type stays true
    @requireToken(request)
    sync() {
      return 1
    }
    // @ts-expect-error no getter
    @requireToken(request)
    get day() {
      return 1
    }
    // @ts-expect-error no field
    @requireToken(request)
    field = async () => 1
  }

  it('is a decorator that changes no type', () => {
    expectTypeOf<Calendar['list']>().toEqualTypeOf<
      (day: string, limit?: number) => Promise<(string | number | undefined)[]>
    >()
    expectTypeOf(new Calendar().first(['x'])).toEqualTypeOf<Promise<string | undefined>>()
    expectTypeOf(Calendar.of).toEqualTypeOf<(kind: 'work' | 'home') => Promise<'work' | 'home'>>()
    expectTypeOf(new Calendar().over('x')).toEqualTypeOf<Promise<string>>()
    expectTypeOf(new Calendar().over(1)).toEqualTypeOf<Promise<number>>()
    expectTypeOf<Calendar['hidden']>().returns.toEqualTypeOf<Promise<AccessToken>>()
  })

  it('decorates no class', () => {
    // @ts-expect-error no class
    @requireToken(request)
    class Whole {}
    expectTypeOf<Whole>().toBeObject()
  })
})

describe('requireApiKey', () => {
  it('injects a Secret', () => {
    const find = requireApiKey(
      { provider: 'search' },
      async (key, text: string, limit?: number) => {
        expectTypeOf(key).toEqualTypeOf<Secret>()
        return `${text} ${limit}`
      },
    )
    expectTypeOf(find).toEqualTypeOf<
      (this: unknown, text: string, limit?: number) => Promise<string>
    >()
    expectTypeOf(
      requireApiKey({ provider: 'search' })((key, n: number) => [key, n] as const),
    ).toEqualTypeOf<(this: unknown, n: number) => Promise<readonly [Secret, number]>>()
    // @ts-expect-error a key is no string
    requireApiKey({ provider: 'search' }, (key: string) => key)
    // @ts-expect-error a key has no scopes
    requireApiKey({ provider: 'search', scopes: [] })
  })

  it('decorates nothing', () => {
    class Search {
      // @ts-expect-error no method
      @requireApiKey({ provider: 'search' })
      async find(text: string) {
        return text
      }
    }
    expectTypeOf<Search>().toBeObject()
  })
})

describe('authenticatedFetch', () => {
  it('is a fetch', () => {
    expectTypeOf(authenticatedFetch(request)).toEqualTypeOf<typeof fetch>()
    expectTypeOf(authenticatedFetch(request)).toExtend<typeof globalThis.fetch>()
    expectTypeOf(authenticatedFetch({ ...request, fetch })('https://x')).toEqualTypeOf<
      Promise<Response>
    >()
    // @ts-expect-error a call says which token was rejected, no option does
    authenticatedFetch({ ...request, rejected: undefined as unknown as AccessToken })
    // @ts-expect-error the signal is the request's
    authenticatedFetch({ ...request, signal: AbortSignal.abort() })
  })
})

describe('the scope', () => {
  it('gives what it holds', () => {
    expectTypeOf(currentActing).toEqualTypeOf<() => Acting>()
    expectTypeOf(accessToken).toEqualTypeOf<(provider: string) => AccessToken>()
    expectTypeOf(credentials).toExtend<CredentialSource>()
    expectTypeOf(credentials.runAs(acting, () => 1)).toEqualTypeOf<number>()
    expectTypeOf(credentials.runAs(acting, async () => 1)).toEqualTypeOf<Promise<number>>()
    // @ts-expect-error no user id
    credentials.runAs('ada', () => 1)
  })

  it('bind keeps the function’s type', () => {
    expectTypeOf(
      credentials.bind(acting, function (this: Self, a: string, b?: number) {
        return [this.id, a, b] as const
      }),
    ).toEqualTypeOf<
      (this: Self, a: string, b?: number) => readonly [number, string, number | undefined]
    >()
  })
})
