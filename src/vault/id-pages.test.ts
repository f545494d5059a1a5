import { describe, expect, it } from 'vitest'
import { IdPages } from './id-pages.js'

const all = Array.from({ length: 25 }, (_, n) => `${n}`.padStart(2, '0'))

async function read(pages: IdPages, list: () => Promise<readonly string[]>, from = '') {
  const got: string[][] = []
  for (let cursor: string | undefined = from; cursor !== undefined; ) {
    const page = await pages.page(cursor, list)
    got.push([...page.ids])
    cursor = page.cursor
  }
  return got
}

describe('IdPages', () => {
  it('lists once for all pages, in order, each id once', async () => {
    let lists = 0
    const list = async () => {
      lists++
      return [...all].reverse()
    }
    const pages = new IdPages(10)
    const got = await read(pages, list)
    expect(got.map((page) => page.length)).toEqual([10, 10, 5])
    expect(got.flat()).toEqual(all)
    expect(lists).toBe(1)
    await read(pages, list)
    expect(lists).toBe(2) // the list of a scan that ended is not kept
  })

  it('goes on in another process, and after an id that has gone', async () => {
    expect((await read(new IdPages(10), async () => all, '19')).flat()).toEqual(all.slice(20))
    const some = all.filter((id) => id !== '09')
    expect((await read(new IdPages(10), async () => some, '09')).flat()).toEqual(all.slice(10))
  })

  it('ends at once where there is nothing', async () => {
    expect(await read(new IdPages(10), async () => [])).toEqual([[]])
    expect(await read(new IdPages(10), async () => all, '99')).toEqual([[]])
  })
})
