import { describe, expect, it } from 'vitest'
import { VaultUnavailableError } from '../errors/vault.js'
import { StoreCall } from './store-call.js'

describe('StoreCall', () => {
  it('begins no step after its deadline, also when the step before just made it', async () => {
    const call = new StoreCall('put', 5)
    const startMs = performance.now()
    await call.run(async () => {
      // The event loop is busy, so the timer cannot end this step.
      while (performance.now() < startMs + 10);
    })
    let began = false
    const late = call.run(async () => {
      began = true
    })
    await expect(late).rejects.toMatchObject({ reason: 'timeout' })
    expect(began).toBe(false)
  })

  it('takes a step that throws at once for one that rejects', async () => {
    const step = (): Promise<never> => {
      throw Object.assign(new Error('s3cr3t'), { code: 'ECONNREFUSED', syscall: 'connect' })
    }
    const call = new StoreCall('get', 50).run(step)
    const error = await call.catch((e: unknown) => e as VaultUnavailableError)
    expect(error).toBeInstanceOf(VaultUnavailableError)
    expect(error.cause).toEqual({ name: 'SystemError', code: 'ECONNREFUSED', syscall: 'connect' })
    expect(error.message).not.toContain('s3cr3t')
  })
})
