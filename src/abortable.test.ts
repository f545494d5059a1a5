import { describe, expect, it } from 'vitest'
import { abortable } from './abortable.js'

const never = () => new Promise<never>(() => {})

describe('abortable', () => {
  it('gives what the task gives, with a signal and without', async () => {
    const { signal } = new AbortController()
    expect(await abortable(Promise.resolve(1), signal)).toBe(1)
    expect(await abortable(Promise.resolve(1), undefined)).toBe(1)
    await expect(abortable(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
  })

  it('ends with the reason of the signal, at once where it has aborted', async () => {
    const stop = new AbortController()
    const waiting = abortable(never(), stop.signal)
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(abortable(never(), stop.signal)).rejects.toThrow('enough')
    await expect(abortable(Promise.reject(new Error('late')), stop.signal)).rejects.toThrow(
      'enough',
    )
  })

  it('lets a hundred wait at one signal without a warning', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on('warning', note)
    try {
      const stop = new AbortController()
      const all = Array.from({ length: 100 }, () => abortable(never(), stop.signal))
      await new Promise((done) => setImmediate(done)) // warnings come a turn later
      stop.abort(new Error('enough'))
      const ends = await Promise.allSettled(all)
      expect(ends.every((end) => end.status === 'rejected')).toBe(true)
      expect(warnings).toEqual([])
    } finally {
      process.off('warning', note)
    }
  })
})
