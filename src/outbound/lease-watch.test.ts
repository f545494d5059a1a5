import { describe, expect, it } from 'vitest'
import { LeaseWatch } from './lease-watch.js'

const row = (holder: string, beat: number, unchangedMs = 0, version = beat) => ({
  value: { holder, beat, unchangedMs },
  version,
})

describe('watching the lease of another process', () => {
  it('counts from the end of the first look to the begin of the last', () => {
    const watch = new LeaseWatch()
    expect(watch.see(row('a', 1), 1_000, 1_400)).toBe(0)
    expect(watch.see(row('a', 1), 3_000, 9_000)).toBe(1_600)
  })

  it('starts again at each renewal, and with each holder', () => {
    const watch = new LeaseWatch()
    watch.see(row('a', 1), 0, 0)
    expect(watch.see(row('a', 2), 5_000, 5_000)).toBe(0)
    expect(watch.see(row('a', 2), 6_000, 6_000)).toBe(1_000)
    expect(watch.see(row('b', 2), 9_000, 9_000)).toBe(0)
    expect(watch.see(row('b', 2), 9_500, 9_500)).toBe(500)
  })

  it('goes on from what others have noted', () => {
    const watch = new LeaseWatch()
    expect(watch.see(row('a', 1, 4_000), 0, 0)).toBe(4_000)
    expect(watch.see(row('a', 1, 4_000), 1_000, 1_000)).toBe(5_000)
  })

  it('does not count twice what two saw in the same time', () => {
    const watch = new LeaseWatch()
    watch.see(row('a', 1), 0, 0)
    // Another one has watched for the same two seconds, and noted them.
    expect(watch.see(row('a', 1, 2_000, 7), 2_000, 2_000)).toBe(2_000)
    expect(watch.see(row('a', 1, 2_000, 7), 2_500, 2_500)).toBe(2_500)
  })

  it('takes the note of one that has watched for longer', () => {
    const watch = new LeaseWatch()
    watch.see(row('a', 1), 0, 0)
    expect(watch.see(row('a', 1, 4_500, 7), 1_000, 1_000)).toBe(4_500)
    expect(watch.see(row('a', 1, 4_500, 7), 1_200, 1_200)).toBe(4_700)
  })

  it('watches a row that does not open by its version', () => {
    const watch = new LeaseWatch()
    const corrupt = (version: number) => ({ value: undefined, version })
    watch.see(corrupt(5), 0, 0)
    expect(watch.see(corrupt(5), 3_000, 3_000)).toBe(3_000)
    expect(watch.see(corrupt(6), 4_000, 4_000)).toBe(0)
  })
})
