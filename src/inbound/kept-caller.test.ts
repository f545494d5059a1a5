import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { makePrincipal } from '../principal.js'
import { callerOf, keepCaller } from './kept-caller.js'

const caller = makePrincipal({
  method: 'jwt',
  issuer: 'https://idp.example',
  subject: 'ada',
  scopes: [],
  audience: [],
  claims: { email: 'ada@example.com' },
})

describe('callerOf', () => {
  it('gives the caller that was kept last', () => {
    const request = {}
    const other = makePrincipal({ ...caller, subject: 'bob' })
    keepCaller(request, other)
    keepCaller(request, caller)
    expect(callerOf(request)).toBe(caller)
  })

  it('prints nothing of the caller with the request, and copies nothing of it', () => {
    const request = { url: '/' }
    keepCaller(request, caller)
    expect(inspect(request, { depth: 9, showHidden: false })).toBe("{ url: '/' }")
    expect(() => callerOf({ ...request })).toThrow(/authenticate/)
  })

  it.each([
    ['nothing', {}],
    ['a literal', { [Symbol.for('deputize.caller')]: { ...caller } }],
    ['no object', undefined as unknown as object],
  ])('refuses a request with %s', (_, request) => {
    expect(() => callerOf(request)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIGURATION',
        message: expect.stringContaining('authenticate(verifier)'),
      }),
    )
  })

  it('keeps what a verifier made, and nothing else', () => {
    expect(() => keepCaller({}, { ...caller })).toThrow(TypeError)
  })
})
