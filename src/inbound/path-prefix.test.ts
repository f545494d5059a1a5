import { describe, expect, it } from 'vitest'
import { clock, smithy, verifierOf } from '../../test/support/aws-signers.js'
import { isPrincipal } from '../principal.js'
import { admit, checkAdmission } from './admission.js'
import type { RawRequest } from './authenticator.js'
import { behindPrefix, checkPathPrefix } from './path-prefix.js'

describe('pathPrefix', () => {
  it.each([
    ['/', '/api/'],
    ['/a?x=/b', '/api/a?x=/b'],
    ['//a', '/api//a'],
    ['*', '*'],
    ['http://h/a', 'http://h/api/a'],
    ['https://h?x', 'https://h/api?x'],
  ])('stands before the path of %s', (target, expected) => {
    const raw: RawRequest = { method: 'GET', target, headers: [] }
    expect(behindPrefix(raw, '/api').target).toBe(expected)
    expect(behindPrefix(raw, '')).toBe(raw)
  })

  it.each([
    '',
    '/',
    'api',
    '/api/',
    '/a//b',
    '/a?b',
    '/a#b',
    '/../a',
    '/a/.',
    'http://h/a',
    '/a b',
    7,
    null,
  ])('is not %j', (value) => {
    expect(() => checkPathPrefix(value)).toThrow('pathPrefix')
    const verifier = verifierOf()
    expect(() => checkAdmission(verifier, { pathPrefix: value as string })).toThrow('pathPrefix')
  })

  it('S02 has signatures judged by the path that the caller sent', async () => {
    const call = async () => {
      const signed = await smithy({ target: '/api/notes?x=1', atMs: clock() })
      return { ...signed, target: '/notes?x=1' }
    }
    const web = ({ target, headers }: RawRequest) =>
      new Request(`https://agent.example.com${target}`, {
        headers: headers.map(([name, value]): [string, string] => [name, value]),
      })
    for (const shape of [(raw: RawRequest) => raw, web]) {
      for (const pathPrefix of ['/api', '/other', undefined]) {
        const verifier = verifierOf()
        const admission = checkAdmission(verifier, { pathPrefix })
        const outcome = await admit(verifier, shape(await call()), {}, admission)
        expect([pathPrefix, isPrincipal(outcome)]).toEqual([pathPrefix, pathPrefix === '/api'])
      }
    }
  })
})
