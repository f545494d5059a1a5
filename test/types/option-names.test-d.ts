import { describe, expectTypeOf, it } from 'vitest'
import { checkOptionNames, type KnownOptions } from '../../src/option-names.js'

interface Plain {
  readonly name: string
  readonly limit?: number | undefined
}
type Either = { readonly key: string } | { readonly url: string; readonly retry?: boolean }
declare const plain: Plain
declare const either: Either

describe('the table of known options', () => {
  it('names every option, those that may be left out too', () => {
    expectTypeOf<KnownOptions<Plain>>().toEqualTypeOf<Readonly<Record<'name' | 'limit', true>>>()
    checkOptionNames(plain, 'f()', { name: true, limit: true })
    // @ts-expect-error limit is forgotten
    checkOptionNames(plain, 'f()', { name: true })
    // @ts-expect-error there is no option size
    checkOptionNames(plain, 'f()', { name: true, limit: true, size: true })
    // @ts-expect-error an option is known, or is not in the table
    checkOptionNames(plain, 'f()', { name: true, limit: false })
  })

  it('names the options of every member of a union', () => {
    checkOptionNames(either, 'f()', { key: true, url: true, retry: true })
    // @ts-expect-error retry, which one member has, is forgotten
    checkOptionNames(either, 'f()', { key: true, url: true })
    // @ts-expect-error url and retry are forgotten
    checkOptionNames(either, 'f()', { key: true })
  })

  it('is taken for no type that does not say which options there are', () => {
    // @ts-expect-error anything might be in there
    checkOptionNames({} as unknown, 'f()', { name: true })
    // @ts-expect-error anything might be in there
    // biome-ignore lint/suspicious/noExplicitAny: this is what must not compile
    checkOptionNames({} as any, 'f()', { name: true })
    // @ts-expect-error any name might be in there
    checkOptionNames({} as Record<string, string>, 'f()', { name: true })
  })
})
