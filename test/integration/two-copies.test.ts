import { describe, expect, it, vi } from 'vitest'
import * as first from '../../src/index.js'
import { actingFor, FakeCredentials } from '../support/credentials.js'

vi.resetModules()
const second = await import('../../src/index.js')
const credentials = new FakeCredentials()

describe('two copies of the library in one process', () => {
  it('are two', () => {
    expect(second.requireToken).not.toBe(first.requireToken)
    expect(second.AccessToken).not.toBe(first.AccessToken)
  })

  it('W07 share who acts', () => {
    const ada = actingFor('ada')
    expect(credentials.runAs(ada, () => second.currentActing())).toBe(ada)
  })

  it('W07 take an acting of each other, and no literal', () => {
    const provider = new second.OutboundCredentialProvider({ providers: {} })
    const ada = actingFor('ada')
    expect(provider.runAs(ada, () => first.currentActing())).toBe(ada)
    expect(() => provider.runAs({ ...ada }, () => 1)).toThrow(TypeError)
  })

  it("W09 share what was injected, and know each other's wrapped functions", async () => {
    const tool = second.requireToken(
      { provider: 'api' },
      (token) => first.accessToken('api') === token,
    )
    expect(await credentials.runAs(actingFor('ada'), tool)).toBe(true)
    expect(() => first.requireToken({ provider: 'api' }, tool)).toThrow(TypeError)
  })

  it('find a missing consent of each other', () => {
    const error = new second.AuthorizationRequiredError({
      provider: 'api',
      scopes: ['read'],
      authorizationUrl: 'https://idp.example/authorize',
      sessionUri: 'urn:x',
      expiresAtMs: 1,
    })
    expect(error).not.toBeInstanceOf(first.AuthorizationRequiredError)
    expect(first.findAuthorizationRequired(new Error('x', { cause: error }))).toBe(error)
  })
})
